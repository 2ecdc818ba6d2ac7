#include "api/decode_text.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

#include "base/strings.h"

namespace wherry::api {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads the parts of a layout such as "2006-01-02T15:04:05Z07:00" off the front of a text.
class TimeReader {
 public:
  TimeReader(std::string_view text, bool micro) : text_(text), rest_(text), micro_(micro) {}

  std::string run() {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    const bool read = number("2006", 4, year) && literal("-") && number("01", 2, month) &&
                      literal("-") && number("02", 2, day) && literal("T") && hour_part(hour) &&
                      literal(":") && number("04", 2, minute) && literal(":") &&
                      number("05", 2, second);
    if (!read) return error_;
    if (month < 1 || month > 12) return out_of_range("month");
    if (hour > 23) return out_of_range("hour");
    if (minute > 59) return out_of_range("minute");
    if (second > 59) return out_of_range("second");
    if (!fraction() || !zone()) return error_;
    if (!rest_.empty())
      return fmt::format("parsing time {}: extra text: {}", quote(text_), quote(rest_));
    static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day < 1 || day > kDays[month - 1] + (leap ? 1 : 0)) return out_of_range("day");
    return {};
  }

 private:
  bool fail(std::string_view part) {
    if (error_.empty()) {
      error_ =
          fmt::format("parsing time {} as \"{}\": cannot parse {} as \"{}\"", quote(text_),
                      micro_ ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00",
                      quote(rest_), part);
    }
    return false;
  }
  std::string out_of_range(std::string_view what) const {
    return fmt::format("parsing time {}: {} out of range", quote(text_), what);
  }
  bool literal(std::string_view part) {
    if (!rest_.starts_with(part)) return fail(part);
    rest_.remove_prefix(part.size());
    return true;
  }
  bool number(std::string_view part, size_t digits, int& out) {
    if (rest_.size() < digits) return fail(part);
    out = 0;
    for (size_t i = 0; i < digits; ++i) {
      if (!is_digit(rest_[i])) return fail(part);
      out = out * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    return true;
  }
  // Go takes an hour of one digit.
  bool hour_part(int& out) {
    bool single =
        !rest_.empty() && is_digit(rest_[0]) && (rest_.size() == 1 || !is_digit(rest_[1]));
    return number("15", single ? 1 : 2, out);
  }
  bool fraction() {
    if (micro_) {
      bool well_formed = rest_.size() >= 7 && rest_[0] == '.';
      for (size_t i = 1; well_formed && i < 7; ++i) well_formed = is_digit(rest_[i]);
      if (!well_formed) return fail(".000000");
      rest_.remove_prefix(7);
      return true;
    }
    if (rest_.size() >= 2 && (rest_[0] == '.' || rest_[0] == ',') && is_digit(rest_[1])) {
      size_t digits = 1;
      while (digits < rest_.size() && is_digit(rest_[digits])) ++digits;
      rest_.remove_prefix(digits);
    }
    return true;
  }
  bool zone() {
    if (rest_.starts_with("Z")) {
      rest_.remove_prefix(1);
      return true;
    }
    bool well_formed = rest_.size() >= 6 && (rest_[0] == '+' || rest_[0] == '-') &&
                       is_digit(rest_[1]) && is_digit(rest_[2]) && rest_[3] == ':' &&
                       is_digit(rest_[4]) && is_digit(rest_[5]);
    if (!well_formed) return fail("Z07:00");
    rest_.remove_prefix(6);
    return true;
  }

  std::string_view text_;
  std::string_view rest_;
  bool micro_;
  std::string error_;
};

bool is_base64(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || is_digit(c) || c == '+' || c == '/';
}

constexpr std::array<std::pair<std::string_view, int64_t>, 8> kUnits = {{
    {"ns", 1},
    {"us", 1'000},
    {"\xc2\xb5s", 1'000},
    {"\xce\xbcs", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
}};

}  // namespace

std::string go_time_error(std::string_view text, bool micro) {
  return TimeReader(text, micro).run();
}

std::string go_base64_error(std::string_view text) {
  auto bad = [](size_t at) { return fmt::format("illegal base64 data at input byte {}", at); };
  size_t at = 0;
  auto skip_breaks = [&] {
    while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) ++at;
  };
  for (;;) {
    // One group of four characters; `seen` of it so far.
    for (size_t seen = 0; seen < 4;) {
      skip_breaks();
      if (at == text.size()) {
        if (seen == 0) return {};
        return bad(at - seen);
      }
      char c = text[at++];
      if (is_base64(c)) {
        ++seen;
        continue;
      }
      if (c != '=' || seen < 2) return bad(at - 1);
      skip_breaks();
      if (seen == 2) {
        if (at == text.size()) return bad(text.size());
        if (text[at] != '=') return bad(at - 1);
        ++at;
        skip_breaks();
      }
      return at == text.size() ? std::string() : bad(at);
    }
  }
}

std::optional<int64_t> parse_go_duration(std::string_view text) {
  bool negative = text.starts_with("-");
  if (negative || text.starts_with("+")) text.remove_prefix(1);
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  long double total = 0;
  while (!text.empty()) {
    size_t digits = 0;
    bool any = false;
    while (digits < text.size() && (is_digit(text[digits]) || text[digits] == '.')) {
      any = any || is_digit(text[digits]);
      ++digits;
    }
    std::string number(text.substr(0, digits));
    if (!any || number.find('.') != number.rfind('.')) return std::nullopt;
    text.remove_prefix(digits);
    size_t length = 0;
    while (length < text.size() && !is_digit(text[length]) && text[length] != '.') ++length;
    int64_t unit = 0;
    for (const auto& [name, size] : kUnits) {
      if (text.substr(0, length) == name) unit = size;
    }
    if (unit == 0) return std::nullopt;
    text.remove_prefix(length);
    total += std::strtold(number.c_str(), nullptr) * static_cast<long double>(unit);
  }
  if (total > 9.2e18L) return std::nullopt;
  return static_cast<int64_t>(negative ? -total : total);
}

// Go's Duration.String: the largest units that fit, fractions of a second without trailing zeros.
std::string format_go_duration(int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  std::string sign = nanoseconds < 0 ? "-" : "";
  uint64_t left =
      nanoseconds < 0 ? 0 - static_cast<uint64_t>(nanoseconds) : static_cast<uint64_t>(nanoseconds);
  auto decimal = [](uint64_t value, uint64_t unit) {
    std::string out = std::to_string(value / unit);
    uint64_t rest = value % unit;
    if (rest == 0) return out;
    std::string digits;
    for (uint64_t place = unit / 10; place > 0; place /= 10) {
      digits += static_cast<char>('0' + rest / place % 10);
    }
    digits.erase(digits.find_last_not_of('0') + 1);
    return out + "." + digits;
  };
  if (left < 1'000) return sign + std::to_string(left) + "ns";
  if (left < 1'000'000) return sign + decimal(left, 1'000) + "\xc2\xb5s";
  if (left < 1'000'000'000) return sign + decimal(left, 1'000'000) + "ms";
  uint64_t minutes = left / 60'000'000'000;
  std::string out = sign;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  return out + decimal(left % 60'000'000'000, 1'000'000'000) + "s";
}

}  // namespace wherry::api
