// Times, schedules and time zones from bodies: an answer whatever the text, and a time that is read
// prints as one that reads the same.

#include <cstdint>

#include "api/cron.h"
#include "base/check.h"
#include "base/clock.h"

namespace wherry::api {
namespace {

void run(std::string_view text) {
  static_cast<void>(schedule_problems(text));
  static_cast<void>(time_zone_problems(text));
  if (std::optional<Time> time = parse_time(text)) {
    std::string printed = format_time(*time);
    std::optional<Time> again = parse_time(printed);
    CHECK(again && format_time(*again) == printed);
  }
}

}  // namespace
}  // namespace wherry::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wherry::api::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
