// JSON bodies: decoding never crashes, and what it gives is a fixed point of decoding.

#include <cstdint>

#include "api/decode.h"
#include "api/defaults.h"
#include "base/check.h"

namespace wherry::api {
namespace {

int run(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::span<const Struct* const> all = all_structs();
  const Struct& type = *all[(data[0] * 256u + data[1]) % all.size()];
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::vector<std::string> warnings;
  DecodeOptions options{.field_validation = FieldValidation::kWarn};
  Result<json::Draft> made = decode_text(type, text, options, warnings);
  if (!made.ok()) return 0;
  json::Document once = made->freeze();
  Result<json::Draft> again = decode(type, once.root());
  CHECK(again.ok());
  CHECK(again->dump() == made->dump());
  apply_defaults(type, again->root());
  return 0;
}

}  // namespace
}  // namespace wherry::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return wherry::api::run(data, size);
}
