// Protobuf bodies: decoding never crashes, and what it gives survives encoding.

#include <cstdint>

#include "api/protobuf.h"
#include "base/check.h"

namespace wherry::api {
namespace {

int run(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::span<const Struct* const> all = all_structs();
  const Struct& type = *all[(data[0] * 256u + data[1]) % all.size()];
  std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  Result<ProtobufEnvelope> envelope = protobuf_unwrap(bytes);
  Result<json::Draft> made = protobuf_decode(type, envelope.ok() ? envelope->raw : bytes);
  if (!made.ok()) return 0;
  json::Document once = made->freeze();
  std::string encoded = protobuf_encode(type, once.root());
  Result<json::Draft> again = protobuf_decode(type, encoded);
  CHECK(again.ok());
  json::Document twice = again->freeze();
  CHECK(protobuf_encode(type, twice.root()) == encoded);
  return 0;
}

}  // namespace
}  // namespace wherry::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return wherry::api::run(data, size);
}
