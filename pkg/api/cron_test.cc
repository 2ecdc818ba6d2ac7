#include "api/cron.h"

#include <gtest/gtest.h>

namespace wherry::api {
namespace {

TEST(Cron, SoundSchedulesPass) {
  for (std::string_view sound :
       {"* * * * *", "*/5 0-6 1,15 jan-MAR ?", "0 0 31 12 6", "5/10 * * * mon,Tue", "@daily",
        "@every 1h30m", "@every 0", "\t1  2 3 4 5", "+5 * * * *"}) {
    EXPECT_TRUE(schedule_problems(sound).empty()) << sound;
  }
}

TEST(Cron, TheFirstFaultIsNamed) {
  auto why = [](std::string_view schedule) { return schedule_problems(schedule).at(0); };
  EXPECT_EQ(why("60 * * * *"), "end of range (60) above maximum (59): 60");
  EXPECT_EQ(why("* * 0 * *"), "beginning of range (0) below minimum (1): 0");
  EXPECT_EQ(why("5-1 x * * *"), "beginning of range (5) beyond end of range (1): 5-1");
  EXPECT_EQ(why("*/0 * * * *"), "step of range should be a positive number: */0");
  EXPECT_EQ(why("1--2 * * * *"), "too many hyphens: 1--2");
  EXPECT_EQ(why("1/2/3 * * * *"), "too many slashes: 1/2/3");
  EXPECT_EQ(why("-1 * * * *"),
            "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax");
  EXPECT_EQ(why("1/-1 * * * *"), "negative number (-1) not allowed: -1");
  EXPECT_EQ(why(" "), "expected exactly 5 fields, found 0: []");
  EXPECT_EQ(why("@never"), "unrecognized descriptor: @never");
  EXPECT_EQ(why("@every 5"),
            "failed to parse duration @every 5: time: missing unit in duration \"5\"");
  EXPECT_EQ(why("@every 5x"),
            "failed to parse duration @every 5x: time: unknown unit \"x\" in duration \"5x\"");
}

TEST(Cron, ZonesHaveAFieldOfTheirOwn) {
  EXPECT_EQ(schedule_problems("TZ=X * * * * *").size(), 2u);
  EXPECT_EQ(schedule_problems("CRON_TZ=UTC * * * * *").size(), 1u);
  for (std::string_view sound : {"UTC", "Europe/Berlin", "America/Argentina/Salta", "Etc/GMT+3"})
    EXPECT_TRUE(time_zone_problems(sound).empty()) << sound;
  for (std::string_view wrong : {"", "Local", "utc", "X/Y", "/etc", "../UTC", "UTC/", " UTC"})
    EXPECT_EQ(time_zone_problems(wrong).size(), 1u) << wrong;
  EXPECT_EQ(time_zone_problems("LOCAL").size(), 2u);
}

}  // namespace
}  // namespace wherry::api
