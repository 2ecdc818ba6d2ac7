#include "api/quantity.h"

#include <gtest/gtest.h>

namespace wherry::api {
namespace {

std::string canonical(std::string_view text) {
  Result<Quantity> parsed = Quantity::parse(text);
  return parsed.ok() ? parsed->text() : "error: " + parsed.error().message();
}

TEST(Quantity, CanonicalText) {
  struct Case {
    const char* in;
    const char* out;
  };
  for (const Case& c : {Case{"0", "0"},
                        Case{"100m", "100m"},
                        Case{"0.5", "500m"},
                        Case{"1000m", "1"},
                        Case{"1500m", "1500m"},
                        Case{"1.5Gi", "1536Mi"},
                        Case{"0.5Ki", "512"},
                        Case{"1024", "1024"},
                        Case{"1Ki", "1Ki"},
                        Case{"1024Ki", "1Mi"},
                        Case{"1000k", "1M"},
                        Case{"12e6", "12e6"},
                        Case{"1e4", "10e3"},
                        Case{"1E3", "1e3"},
                        Case{"1E", "1E"},
                        Case{"-3", "-3"},
                        Case{"+3", "3"},
                        Case{".5", "500m"},
                        Case{"5.", "5"},
                        Case{"1n", "1n"},
                        Case{"0.1n", "1n"},
                        Case{"-0.1n", "-1n"},
                        Case{"1e-3", "1e-3"},
                        Case{"0Mi", "0"},
                        Case{"1.0001Ki", "1024102400u"},
                        Case{"9223372036854775807", "9223372036854775807"}}) {
    EXPECT_EQ(canonical(c.in), c.out) << c.in;
  }
}

TEST(Quantity, HugeNumbersAreCapped) {
  EXPECT_EQ(Quantity::parse("999999999999999999999999E").value().value(), INT64_MAX);
  EXPECT_EQ(Quantity::parse("99999999999999999999999999999999999999999999Ei").value().value(),
            INT64_MAX);
}

TEST(Quantity, RefusesWhatIsNone) {
  for (const char* text : {"", "x", "1x", "1 Gi", "1gi", "--1", "1e", "1ee3", "m", "1Kii"}) {
    EXPECT_FALSE(Quantity::parse(text).ok()) << text;
  }
  EXPECT_EQ(Quantity::parse("x").error().message(),
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

TEST(Quantity, RoundsUp) {
  EXPECT_EQ(Quantity::parse("1.2").value().value(), 2);
  EXPECT_EQ(Quantity::parse("0.1m").value().milli_value(), 1);
  EXPECT_EQ(Quantity::parse("2Gi").value().value(), int64_t{2} << 30);
}

TEST(Quantity, Arithmetic) {
  Quantity sum;
  sum += Quantity::parse("512Mi").value();
  sum += Quantity::parse("0.5Gi").value();
  EXPECT_EQ(sum.text(), "1Gi");
  sum -= Quantity::parse("1Gi").value();
  EXPECT_TRUE(sum.is_zero());
  EXPECT_LT(Quantity::parse("999m").value(), Quantity::parse("1").value());
  EXPECT_EQ(Quantity::parse("1000m").value(), Quantity::parse("1").value());
}

}  // namespace
}  // namespace wherry::api
