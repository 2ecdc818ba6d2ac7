#include "base/clock.h"

#include <gtest/gtest.h>

namespace wherry {
namespace {

TEST(Clock, WritesTimesAsTheApiDoes) {
  Time time = *parse_time("2026-02-03T04:05:06.789012Z");
  EXPECT_EQ(format_time(time), "2026-02-03T04:05:06Z");
  EXPECT_EQ(format_micro_time(time), "2026-02-03T04:05:06.789012Z");
  EXPECT_EQ(format_nano_time(time + std::chrono::nanoseconds(7)), "2026-02-03T04:05:06.789012007Z");
  EXPECT_EQ(format_time(Time{}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_micro_time(Time{}), "1970-01-01T00:00:00.000000Z");
  // Before the epoch too, where the parts must not be cut towards zero.
  EXPECT_EQ(format_micro_time(Time{} - std::chrono::microseconds(1)),
            "1969-12-31T23:59:59.999999Z");
}

TEST(Clock, ReadsWhatItWrote) {
  for (const char* text :
       {"0001-01-01T00:00:00Z", "2024-02-29T23:59:59Z", "9999-12-31T00:00:00Z"}) {
    std::optional<Time> time = parse_time(text);
    ASSERT_TRUE(time.has_value()) << text;
    EXPECT_EQ(format_time(*time), text);
  }
}

}  // namespace
}  // namespace wherry
