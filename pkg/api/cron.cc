#include "api/cron.h"

#include <algorithm>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kDays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Bounds {
  int64_t least;
  int64_t most;
  std::span<const std::string_view> names = {};  // Of `least` and what follows.
};

// Minute, hour, day of the month, month, day of the week.
constexpr Bounds kFields[] = {{0, 59}, {0, 23}, {1, 31}, {1, 12, kMonths}, {0, 6, kDays}};

constexpr std::string_view kWords[] = {"@yearly", "@annually", "@monthly", "@weekly",
                                       "@daily",  "@midnight", "@hourly"};

// Reads parts of a field; the first fault ends it.
class Reader {
 public:
  explicit Reader(const Bounds& bounds) : bounds_(bounds) {}
  const std::string& problem() const { return problem_; }

  int64_t number(std::string_view text) {
    if (!problem_.empty()) return 0;
    std::string_view digits = text;
    if (digits.starts_with('+') || digits.starts_with('-')) digits.remove_prefix(1);
    bool sound = !digits.empty() && std::all_of(digits.begin(), digits.end(),
                                                [](char c) { return c >= '0' && c <= '9'; });
    std::optional<int64_t> value =
        sound ? parse_int(text.starts_with('+') ? digits : text) : std::nullopt;
    if (!value) {
      problem_ = fmt::format("failed to parse int from {}: strconv.Atoi: parsing {}: {}", text,
                             quote(text), sound ? "value out of range" : "invalid syntax");
    } else if (*value < 0) {
      problem_ = fmt::format("negative number ({}) not allowed: {}", *value, text);
    }
    return value.value_or(0);
  }

  int64_t number_or_name(std::string_view text) {
    std::string lower = to_lower(text);
    for (size_t i = 0; i < bounds_.names.size(); ++i) {
      if (bounds_.names[i] == lower) return bounds_.least + static_cast<int64_t>(i);
    }
    return number(text);
  }

  // 5, 1-5, *, each with a step behind a slash.
  void range(std::string_view text) {
    std::vector<std::string_view> parts = split(text, '/');
    std::vector<std::string_view> ends = split(parts[0], '-');
    int64_t first = bounds_.least, last = bounds_.most, step = 1;
    if (ends[0] != "*" && ends[0] != "?") {
      first = number_or_name(ends[0]);
      last = ends.size() == 2 ? number_or_name(ends[1]) : first;
      if (ends.size() > 2) fail("too many hyphens: {}", text);
    }
    if (parts.size() == 2) {
      step = number(parts[1]);
      if (ends.size() == 1) last = bounds_.most;
    } else if (parts.size() > 2) {
      fail("too many slashes: {}", text);
    }
    if (first < bounds_.least)
      fail("beginning of range ({}) below minimum ({}): {}", first, bounds_.least, text);
    if (last > bounds_.most)
      fail("end of range ({}) above maximum ({}): {}", last, bounds_.most, text);
    if (first > last)
      fail("beginning of range ({}) beyond end of range ({}): {}", first, last, text);
    if (step == 0) fail("step of range should be a positive number: {}", text);
  }

 private:
  template <typename... Args>
  void fail(fmt::format_string<Args...> form, Args&&... args) {
    if (problem_.empty()) problem_ = fmt::format(form, std::forward<Args>(args)...);
  }

  const Bounds& bounds_;
  std::string problem_;
};

// A duration as Go writes it: 1h30m, -1.5s, 0.
std::string duration_problem(std::string_view text) {
  static constexpr std::string_view kUnits[] = {"ns", "us", "µs", "μs", "ms", "s", "m", "h"};
  const std::string invalid = "time: invalid duration " + quote(text);
  std::string_view rest = text;
  if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return {};
  if (rest.empty()) return invalid;
  while (!rest.empty()) {
    size_t number = std::min(rest.find_first_not_of("0123456789."), rest.size());
    std::string_view digits = rest.substr(0, number);
    bool sound = digits.find_first_of("0123456789") != std::string_view::npos &&
                 std::count(digits.begin(), digits.end(), '.') <= 1;
    if (!sound) return invalid;
    rest.remove_prefix(number);
    size_t end = std::min(rest.find_first_of("0123456789."), rest.size());
    std::string_view unit = rest.substr(0, end);
    if (unit.empty()) return "time: missing unit in duration " + quote(text);
    if (std::find(std::begin(kUnits), std::end(kUnits), unit) == std::end(kUnits))
      return fmt::format("time: unknown unit {} in duration {}", quote(unit), quote(text));
    rest.remove_prefix(end);
  }
  return {};
}

std::string fields_problem(std::string_view text) {
  std::vector<std::string_view> fields;
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  for (std::string_view rest = text; !rest.empty();) {
    size_t start = rest.find_first_not_of(kSpace);
    if (start == std::string_view::npos) break;
    rest.remove_prefix(start);
    size_t end = std::min(rest.find_first_of(kSpace), rest.size());
    fields.push_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  if (fields.size() != std::size(kFields)) {
    return fmt::format("expected exactly {} fields, found {}: [{}]", std::size(kFields),
                       fields.size(), join(fields, " "));
  }
  for (size_t i = 0; i < fields.size(); ++i) {
    Reader reader(kFields[i]);
    for (std::string_view part : split(fields[i], ',')) {
      if (!part.empty()) reader.range(part);
    }
    if (!reader.problem().empty()) return reader.problem();
  }
  return {};
}

std::string schedule_problem(std::string_view schedule) {
  if (!schedule.starts_with('@')) return fields_problem(schedule);
  constexpr std::string_view kEvery = "@every ";
  if (schedule.starts_with(kEvery)) {
    std::string problem = duration_problem(schedule.substr(kEvery.size()));
    return problem.empty() ? problem
                           : fmt::format("failed to parse duration {}: {}", schedule, problem);
  }
  bool known = std::find(std::begin(kWords), std::end(kWords), schedule) != std::end(kWords);
  return known ? std::string() : fmt::format("unrecognized descriptor: {}", schedule);
}

// Areas that hold cities, and zones that stand alone.
constexpr std::string_view kAreas[] = {
    "Africa", "America", "Antarctica", "Arctic", "Asia",   "Atlantic", "Australia", "Brazil",
    "Canada", "Chile",   "Etc",        "Europe", "Indian", "Mexico",   "Pacific",   "US"};
constexpr std::string_view kZones[] = {
    "CET",     "CST6CDT",   "Cuba",     "EET",     "EST",    "EST5EDT",   "Egypt",  "Eire",
    "Factory", "GB",        "GB-Eire",  "GMT",     "GMT+0",  "GMT-0",     "GMT0",   "Greenwich",
    "HST",     "Hongkong",  "Iceland",  "Iran",    "Israel", "Jamaica",   "Japan",  "Kwajalein",
    "Libya",   "MET",       "MST",      "MST7MDT", "NZ",     "NZ-CHAT",   "Navajo", "PRC",
    "PST8PDT", "Poland",    "Portugal", "ROC",     "ROK",    "Singapore", "Turkey", "UCT",
    "UTC",     "Universal", "W-SU",     "WET",     "Zulu"};

template <size_t N>
bool is_one_of(const std::string_view (&known)[N], std::string_view text) {
  return std::find(std::begin(known), std::end(known), text) != std::end(known);
}

bool is_zone(std::string_view zone) {
  auto parts = split_once(zone, "/");
  if (!parts) return is_one_of(kZones, zone);
  auto [area, city] = *parts;
  bool sound = std::all_of(city.begin(), city.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+' || c == '/';
  });
  return is_one_of(kAreas, area) && sound && !city.empty() && !city.ends_with('/');
}

}  // namespace

std::vector<std::string> schedule_problems(std::string_view schedule) {
  std::vector<std::string> out;
  std::string_view rest = schedule;
  if (rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=")) {
    size_t space = std::min(rest.find(' '), rest.size());
    size_t equals = rest.find('=');
    std::string_view zone = rest.substr(equals + 1, space - equals - 1);
    if (!zone.empty() && !is_zone(zone))
      out.push_back(fmt::format("provided bad location {}: unknown time zone {}", zone, zone));
    rest = trim(rest.substr(space));
  }
  if (out.empty()) {
    std::string problem = schedule_problem(rest);
    if (!problem.empty()) out.push_back(problem);
  }
  if (schedule.find("TZ") != std::string_view::npos)
    out.emplace_back("cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  return out;
}

std::vector<std::string> time_zone_problems(std::string_view zone) {
  if (zone.empty()) return {"timeZone must be nil or non-empty string"};
  std::vector<std::string> out;
  if (to_lower(zone) == "local") {
    out.emplace_back(
        "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    if (zone == "Local") return out;
  }
  if (!is_zone(zone)) out.push_back(fmt::format("unknown time zone {}", zone));
  return out;
}

}  // namespace wherry::api
