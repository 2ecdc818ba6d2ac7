// Patches of every kind: whatever the patch, an answer; apply twice is apply once.

#include <cstdint>

#include "api/apply.h"
#include "api/patch.h"
#include "api/schema_apps_v1.h"
#include "base/check.h"

namespace wherry::api {
namespace {

constexpr const char* kObject =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d",
  "labels":{"a":"b"},"finalizers":["a/b","c/d"]},"spec":{"replicas":1,"template":{"spec":{"containers":[
  {"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"2"}],
  "volumes":[{"name":"v","emptyDir":{}}]}}}})";

int run(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const json::Document object = json::Document::parse(kObject).value();
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  Result<json::Document> patch = json::Document::parse(text);
  if (!patch.ok()) return 0;
  const Struct& type = schema::apps_v1::kDeployment;
  switch (data[0] % 4) {
    case 0: static_cast<void>(json_patch(object.root(), patch->root())); break;
    case 1: static_cast<void>(merge_patch(object.root(), patch->root())); break;
    case 2: static_cast<void>(strategic_merge_patch(type, object.root(), patch->root())); break;
    default: {
      ApplyOptions options;
      options.manager = "m";
      options.api_version = "apps/v1";
      options.force = true;
      Result<json::Draft> once = apply(&type, object.root(), patch->root(), options);
      if (!once.ok()) return 0;
      json::Document live = once->freeze();
      static_cast<void>(apply(&type, live.root(), patch->root(), options));
    }
  }
  return 0;
}

}  // namespace
}  // namespace wherry::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return wherry::api::run(data, size);
}
