#pragma once
// Quantity: resource.Quantity, a decimal number with a unit suffix ("100m", "1.5Gi", "2e3"). Exact
// to 1e-9, capped at +-(2^63-1) as upstream; finer fractions round away from zero. The format read
// is kept, so that a canonical text stays in the units the user chose. A value type; pure.

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

class Quantity {
 public:
  enum class Format : uint8_t { kDecimalSI, kBinarySI, kDecimalExponent };

  Quantity() = default;  // Zero.
  static Quantity of(int64_t value, Format format = Format::kDecimalSI);
  static Quantity of_milli(int64_t value, Format format = Format::kDecimalSI);

  // kBadRequest with upstream's text when `text` is no quantity.
  static Result<Quantity> parse(std::string_view text);
  // A JSON string or number; zero when absent or malformed: for objects that were validated.
  static Quantity from(json::Value value);
  static Quantity from_text(std::string_view text);

  std::string text() const;      // Canonical: "1500m", "1536Mi", "12e6".
  int64_t value() const;         // Rounded up to a whole number; saturates.
  int64_t milli_value() const;   // Rounded up to a thousandth; saturates.
  Quantity up_to_milli() const;  // Rounded away from zero to a thousandth.
  double as_double() const;
  bool is_zero() const { return nano_ == 0; }
  int sign() const { return nano_ < 0 ? -1 : nano_ > 0 ? 1 : 0; }
  bool is_whole() const;  // No fraction.
  Format format() const { return format_; }

  // The left side's format stays; a zero left side takes the right one's.
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  friend Quantity operator+(Quantity a, const Quantity& b) { return a += b; }
  friend Quantity operator-(Quantity a, const Quantity& b) { return a -= b; }
  friend bool operator==(const Quantity& a, const Quantity& b) { return a.nano_ == b.nano_; }
  friend std::strong_ordering operator<=>(const Quantity& a, const Quantity& b) {
    return a.nano_ <=> b.nano_;
  }

 private:
  __extension__ using Wide = __int128;
  Quantity(Wide nano, Format format) : nano_(nano), format_(format) {}
  static Result<Quantity> parse_parts(std::string_view text);

  Wide nano_ = 0;  // Billionths.
  Format format_ = Format::kDecimalSI;
};

// The canonical text of a quantity given as a JSON string or number; kBadRequest when it is none.
Result<std::string> canonical_quantity(json::Value value);

}  // namespace wherry::api
