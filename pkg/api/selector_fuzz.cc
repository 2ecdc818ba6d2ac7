// Selectors and quantities from query strings and bodies: what parses prints, and prints the same
// again.

#include <cstdint>

#include "api/quantity.h"
#include "api/selector.h"
#include "base/check.h"

namespace wherry::api {
namespace {

int run(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (Result<Selector> selector = Selector::parse(text); selector.ok()) {
    Result<Selector> again = Selector::parse(selector->text());
    CHECK(again.ok() && again->text() == selector->text());
  }
  static_cast<void>(parse_field_selector(text));
  if (Result<Quantity> quantity = Quantity::parse(text); quantity.ok()) {
    Result<Quantity> again = Quantity::parse(quantity->text());
    CHECK(again.ok() && again->text() == quantity->text());
  }
  return 0;
}

}  // namespace
}  // namespace wherry::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return wherry::api::run(data, size);
}
