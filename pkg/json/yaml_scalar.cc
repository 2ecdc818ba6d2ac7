#include "json/yaml_scalar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>

#include <fmt/core.h>

namespace wherry::json {
namespace {

constexpr std::string_view kNulls[] = {"", "~", "null", "Null", "NULL"};
constexpr std::string_view kTrues[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                       "True", "TRUE", "on",  "On",  "ON"};
constexpr std::string_view kFalses[] = {"n",     "N",     "no",  "No",  "NO", "false",
                                        "False", "FALSE", "off", "Off", "OFF"};
constexpr std::string_view kInfinities[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"};
constexpr std::string_view kNegatives[] = {"-.inf", "-.Inf", "-.INF"};
constexpr std::string_view kNoNumbers[] = {".nan", ".NaN", ".NAN"};

template <size_t N>
bool is_one_of(std::string_view text, const std::string_view (&all)[N]) {
  return std::find(std::begin(all), std::end(all), text) != std::end(all);
}

// Base by prefix: 0x, 0o or a plain 0 (octal), 0b, else decimal. Up to 64 bits, as text.
std::optional<std::string> integer(std::string_view text) {
  bool negative = false;
  if (text.front() == '-' || text.front() == '+') {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!negative) return std::to_string(value);
  if (value > uint64_t{1} << 63) return std::nullopt;
  return value == 0 ? "0" : "-" + std::to_string(value);
}

// [-+]? ( .digits | digits [ . digits ] ) [ e [-+]? digits ]
bool looks_like_float(std::string_view text) {
  size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  auto digits = [&] {
    size_t from = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - from;
  };
  size_t whole = digits();
  size_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

// What is too large for a float is text.
Scalar real(std::string_view text, std::string_view plain) {
  if (text.front() == '+') text.remove_prefix(1);
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range)
    value = std::strtod(std::string(text).c_str(), nullptr);
  if (!std::isfinite(value)) return {ScalarKind::kString, std::string(plain)};
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return {ScalarKind::kNumber, fmt::format("{:.0f}", value)};
  return {ScalarKind::kNumber, fmt::format("{}", value)};
}

}  // namespace

Scalar resolve_scalar(std::string_view plain) {
  if (is_one_of(plain, kNulls)) return {ScalarKind::kNull, "null"};
  if (is_one_of(plain, kTrues)) return {ScalarKind::kBool, "true"};
  if (is_one_of(plain, kFalses)) return {ScalarKind::kBool, "false"};
  if (is_one_of(plain, kInfinities)) return {ScalarKind::kNotFinite, ".inf"};
  if (is_one_of(plain, kNegatives)) return {ScalarKind::kNotFinite, "-.inf"};
  if (is_one_of(plain, kNoNumbers)) return {ScalarKind::kNotFinite, ".nan"};
  char first = plain.front();
  bool numeric = (first >= '0' && first <= '9') || first == '-' || first == '+' || first == '.';
  if (numeric && plain.size() < 400) {
    std::string text(plain);
    std::erase(text, '_');
    if (text.size() > 1 || (first >= '0' && first <= '9')) {
      if (std::optional<std::string> whole = integer(text))
        return {ScalarKind::kNumber, std::move(*whole)};
      if (looks_like_float(text)) return real(text, plain);
    }
  }
  return {ScalarKind::kString, std::string(plain)};
}

}  // namespace wherry::json
