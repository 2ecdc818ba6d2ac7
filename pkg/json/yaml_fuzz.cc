// YAML bodies: whatever the text, an answer; what is written reads the same.

#include <cstdint>

#include "base/check.h"
#include "json/yaml.h"

namespace wherry::json {
namespace {

int run(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> repeated;
  Result<Document> read = parse_yaml(text, &repeated);
  if (!read.ok()) return 0;
  repeated.clear();  // Of JSON a key that stands twice is still there.
  Result<Document> again = parse_yaml(to_yaml(read->root()), &repeated);
  CHECK(again.ok() && (!repeated.empty() || equal(again->root(), read->root())));
  return 0;
}

}  // namespace
}  // namespace wherry::json

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return wherry::json::run(data, size);
}
