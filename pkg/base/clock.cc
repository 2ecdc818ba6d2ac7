#include "base/clock.h"

namespace wherry {
namespace {

// `count` digits of a number that is not negative, at `at`.
void put_digits(char* at, size_t count, int64_t value) {
  for (size_t i = count; i > 0; --i, value /= 10) at[i - 1] = static_cast<char>('0' + value % 10);
}

// By hand: each write of an object has several times, and each event.
template <typename T>
std::string format_parts(T time, size_t fraction_digits) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date(day);
  auto in_day = time - day;
  auto seconds = std::chrono::floor<std::chrono::seconds>(in_day);
  std::chrono::hh_mm_ss clock(seconds);
  char text[] = "0000-00-00T00:00:00.000000000";
  constexpr size_t kSecondsEnd = 19;
  put_digits(text, 4, static_cast<int>(date.year()));
  put_digits(text + 5, 2, static_cast<unsigned>(date.month()));
  put_digits(text + 8, 2, static_cast<unsigned>(date.day()));
  put_digits(text + 11, 2, clock.hours().count());
  put_digits(text + 14, 2, clock.minutes().count());
  put_digits(text + 17, 2, clock.seconds().count());
  size_t size = kSecondsEnd;
  if (fraction_digits > 0) {
    int64_t rest = std::chrono::duration_cast<std::chrono::nanoseconds>(in_day - seconds).count();
    for (size_t i = fraction_digits; i < 9; ++i) rest /= 10;
    put_digits(text + kSecondsEnd + 1, fraction_digits, rest);
    size += 1 + fraction_digits;
  }
  text[size++] = 'Z';
  return {text, size};
}

// Reads `count` digits at the front of `text`.
std::optional<int> digits(std::string_view& text, size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool eat(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::chrono::microseconds> parse_fraction(std::string_view& text) {
  int64_t micros = 0;
  int64_t scale = 100'000;
  bool any = false;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    micros += (text.front() - '0') * scale;
    scale /= 10;
    any = true;
    text.remove_prefix(1);
  }
  if (!any) return std::nullopt;
  return std::chrono::microseconds(micros);
}

std::optional<std::chrono::minutes> parse_offset(std::string_view& text) {
  if (eat(text, 'Z')) return std::chrono::minutes(0);
  bool minus = !text.empty() && text.front() == '-';
  if (!eat(text, '+') && !eat(text, '-')) return std::nullopt;
  auto hours = digits(text, 2);
  if (!hours || !eat(text, ':')) return std::nullopt;
  auto minutes = digits(text, 2);
  if (!minutes || *hours > 24 || *minutes > 59) return std::nullopt;
  std::chrono::minutes offset(*hours * 60 + *minutes);
  return minus ? -offset : offset;
}

}  // namespace

Time SystemClock::now() const {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

std::string format_time(Time time) { return format_parts(time, 0); }
std::string format_micro_time(Time time) { return format_parts(time, 6); }
std::string format_nano_time(std::chrono::sys_time<std::chrono::nanoseconds> time) {
  return format_parts(time, 9);
}

std::optional<Time> parse_time(std::string_view text) {
  auto year = digits(text, 4);
  if (!year || !eat(text, '-')) return std::nullopt;
  auto month = digits(text, 2);
  if (!month || !eat(text, '-')) return std::nullopt;
  auto day = digits(text, 2);
  if (!day || !eat(text, 'T')) return std::nullopt;
  auto hour = digits(text, 2);
  if (!hour || !eat(text, ':')) return std::nullopt;
  auto minute = digits(text, 2);
  if (!minute || !eat(text, ':')) return std::nullopt;
  auto second = digits(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  std::chrono::microseconds fraction(0);
  if (eat(text, '.')) {
    auto parsed = parse_fraction(text);
    if (!parsed) return std::nullopt;
    fraction = *parsed;
  }
  auto offset = parse_offset(text);
  if (!offset || !text.empty()) return std::nullopt;
  std::chrono::year_month_day date{std::chrono::year(*year),
                                   std::chrono::month(static_cast<unsigned>(*month)),
                                   std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) + fraction - *offset;
}

}  // namespace wherry
