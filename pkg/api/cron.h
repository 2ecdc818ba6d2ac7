#pragma once
// The schedules and time zones of CronJobs: what is wrong with one, in the words upstream has for
// it; empty when it is sound. Pure.

#include <string>
#include <string_view>
#include <vector>

namespace wherry::api {

// Five fields as cron writes them, or a word such as @daily, or @every and a duration.
std::vector<std::string> schedule_problems(std::string_view schedule);
// A name of the IANA database. Which cities an area has is not known here.
std::vector<std::string> time_zone_problems(std::string_view zone);

}  // namespace wherry::api
