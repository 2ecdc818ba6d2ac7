#include "api/quantity.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"

namespace wherry::api {
namespace {

__extension__ using Wide = __int128;

constexpr Wide kBillion = 1'000'000'000;
constexpr Wide kNanoMax = Wide(std::numeric_limits<int64_t>::max()) * kBillion;
constexpr int kDigitsMax = 18;  // Times 1024^6 still fits 128 bits.

// Wording of resource.Quantity's parser, as clients see it in decoding errors.
constexpr const char* kFormatWrong =
    "quantities must match the regular expression "
    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
constexpr const char* kNumberWrong = "unable to parse numeric part of quantity";
constexpr const char* kSuffixWrong = "unable to parse quantity's suffix";

struct Suffix {
  std::string_view text;
  Quantity::Format format;
  int exponent;  // Of 10, or of 1024 for kBinarySI.
};

constexpr Suffix kSuffixes[] = {
    {"n", Quantity::Format::kDecimalSI, -9}, {"u", Quantity::Format::kDecimalSI, -6},
    {"m", Quantity::Format::kDecimalSI, -3}, {"", Quantity::Format::kDecimalSI, 0},
    {"k", Quantity::Format::kDecimalSI, 3},  {"M", Quantity::Format::kDecimalSI, 6},
    {"G", Quantity::Format::kDecimalSI, 9},  {"T", Quantity::Format::kDecimalSI, 12},
    {"P", Quantity::Format::kDecimalSI, 15}, {"E", Quantity::Format::kDecimalSI, 18},
    {"Ki", Quantity::Format::kBinarySI, 1},  {"Mi", Quantity::Format::kBinarySI, 2},
    {"Gi", Quantity::Format::kBinarySI, 3},  {"Ti", Quantity::Format::kBinarySI, 4},
    {"Pi", Quantity::Format::kBinarySI, 5},  {"Ei", Quantity::Format::kBinarySI, 6},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string wide_text(Wide value) {
  if (value == 0) return "0";
  bool negative = value < 0;
  std::string out;
  for (; value != 0; value /= 10) {
    int digit = static_cast<int>(value % 10);
    out.insert(out.begin(), static_cast<char>('0' + (digit < 0 ? -digit : digit)));
  }
  if (negative) out.insert(out.begin(), '-');
  return out;
}

// Away from zero when something is cut off: what is asked for is never made smaller.
Wide divide_up(Wide value, Wide by) {
  Wide quotient = value / by;
  if (quotient * by != value) quotient += value < 0 ? -1 : 1;
  return quotient;
}

Wide power_of_ten(int exponent) {
  Wide out = 1;
  for (int i = 0; i < exponent; ++i) out *= 10;
  return out;
}

int64_t saturate(Wide value) {
  if (value > std::numeric_limits<int64_t>::max()) return std::numeric_limits<int64_t>::max();
  if (value < std::numeric_limits<int64_t>::min()) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

// `digits` x 10^exponent x 1024^thousands, in whatever unit the exponent says; capped.
Wide scaled(std::string digits, int64_t exponent, int thousands) {
  digits.erase(0, digits.find_first_not_of('0'));
  if (digits.empty()) return 0;
  bool cut = false;
  if (digits.size() > kDigitsMax && exponent < 0) {
    size_t drop = std::min<size_t>(digits.size() - kDigitsMax, static_cast<size_t>(-exponent));
    cut = digits.find_first_not_of('0', digits.size() - drop) != std::string::npos;
    digits.resize(digits.size() - drop);
    exponent += static_cast<int64_t>(drop);
  }
  if (static_cast<int64_t>(digits.size()) + exponent > 29 || digits.size() > 29) return kNanoMax;
  Wide value = 0;
  for (char c : digits) value = value * 10 + (c - '0');
  for (int i = 0; i < thousands; ++i) {
    if (value > kNanoMax * 1024) return kNanoMax;
    value *= 1024;
  }
  if (cut) value += 1;
  if (exponent >= 0) {
    for (; exponent > 0; --exponent) {
      if (value > kNanoMax) return kNanoMax;
      value *= 10;
    }
  } else if (exponent < -37) {
    value = 1;  // Too small to tell from zero, yet not zero.
  } else {
    value = divide_up(value, power_of_ten(static_cast<int>(-exponent)));
  }
  return std::min(value, kNanoMax);
}

struct Unit {
  Quantity::Format format = Quantity::Format::kDecimalSI;
  int64_t exponent = 0;
};

Result<Unit> parse_suffix(std::string_view suffix) {
  for (const Suffix& known : kSuffixes) {
    if (suffix == known.text) return Unit{known.format, known.exponent};
  }
  if (suffix.size() > 1 && (suffix[0] == 'e' || suffix[0] == 'E')) {
    std::string_view number = suffix.substr(1);
    if (number[0] == '+') number.remove_prefix(1);
    std::optional<int64_t> exponent = parse_int(number);
    if (exponent && *exponent < 1000 && *exponent > -1000) {
      return Unit{Quantity::Format::kDecimalExponent, *exponent};
    }
  }
  return Error::bad_request("{}", kSuffixWrong);
}

}  // namespace

Quantity Quantity::of(int64_t value, Format format) { return {Wide(value) * kBillion, format}; }
Quantity Quantity::of_milli(int64_t value, Format format) {
  return {Wide(value) * 1'000'000, format};
}

Result<Quantity> Quantity::parse(std::string_view text) {
  if (text.empty()) return Error::bad_request("{}", kFormatWrong);
  return parse_parts(text);
}

Result<Quantity> Quantity::parse_parts(std::string_view text) {
  size_t at = 0;
  bool negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') ++at;
  size_t start = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  std::string digits(text.substr(start, at - start));
  int64_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    start = ++at;
    while (at < text.size() && is_digit(text[at])) ++at;
    digits += text.substr(start, at - start);
    fraction = static_cast<int64_t>(at - start);
  }
  std::string_view suffix = text.substr(at);
  size_t end = 0;
  while (end < suffix.size() &&
         std::string_view("eEinumkKMGTP").find(suffix[end]) != std::string_view::npos) {
    ++end;
  }
  if (end < suffix.size() && (suffix[end] == '-' || suffix[end] == '+')) ++end;
  while (end < suffix.size() && is_digit(suffix[end])) ++end;
  if (end != suffix.size()) return Error::bad_request("{}", kFormatWrong);
  if (digits.empty()) return Error::bad_request("{}", at == 0 ? kFormatWrong : kNumberWrong);

  Unit unit = TRY(parse_suffix(suffix));
  bool binary = unit.format == Format::kBinarySI;
  Wide nano = scaled(std::move(digits), 9 - fraction + (binary ? 0 : unit.exponent),
                     binary ? static_cast<int>(unit.exponent) : 0);
  return Quantity(negative ? -nano : nano, unit.format);
}

Quantity Quantity::from(json::Value value) {
  if (value.is_string()) return from_text(value.as_string());
  if (value.is_number()) return from_text(value.dump());
  return {};
}

Quantity Quantity::from_text(std::string_view text) {
  Result<Quantity> parsed = parse(text);
  return parsed.ok() ? *parsed : Quantity();
}

std::string Quantity::text() const {
  if (nano_ == 0) return "0";
  if (format_ == Format::kBinarySI && is_whole()) {
    Wide value = nano_ / kBillion;
    if (value >= 1024 || value <= -1024) {
      int power = 0;
      for (; value % 1024 == 0 && power < 6; ++power) value /= 1024;
      static constexpr const char* kBinary[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
      return wide_text(value) + kBinary[power];
    }
  }
  // The largest power of a thousand that leaves a whole number.
  Wide value = nano_;
  int exponent = -9;
  for (; value % 1000 == 0 && exponent < 18; exponent += 3) value /= 1000;
  if (format_ == Format::kDecimalExponent) {
    return wide_text(value) + (exponent == 0 ? "" : "e" + std::to_string(exponent));
  }
  static constexpr const char* kDecimal[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
  return wide_text(value) + kDecimal[exponent / 3 + 3];
}

int64_t Quantity::value() const { return saturate(divide_up(nano_, kBillion)); }
int64_t Quantity::milli_value() const { return saturate(divide_up(nano_, 1'000'000)); }
Quantity Quantity::up_to_milli() const {
  constexpr Wide kMilli = 1'000'000;
  Wide size = nano_ < 0 ? -nano_ : nano_;
  Wide up = (size + kMilli - 1) / kMilli * kMilli;
  return Quantity(nano_ < 0 ? -up : up, format_);
}
double Quantity::as_double() const { return static_cast<double>(nano_) / 1e9; }
bool Quantity::is_whole() const { return nano_ % kBillion == 0; }

Quantity& Quantity::operator+=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  nano_ = std::clamp<Wide>(nano_ + other.nano_, -kNanoMax, kNanoMax);
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  nano_ = std::clamp<Wide>(nano_ - other.nano_, -kNanoMax, kNanoMax);
  return *this;
}

Result<std::string> canonical_quantity(json::Value value) {
  std::string text = value.is_string() ? std::string(value.as_string()) : value.dump();
  Quantity quantity = TRY(Quantity::parse(text));
  return quantity.text();
}

}  // namespace wherry::api
