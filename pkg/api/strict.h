#pragma once
// Checking of JSON against a schema table, ahead of decoding: the first value of a wrong type, as
// Go's decoder would report it, and the fields that are unknown or repeated. Walks the document in
// its own order, so that errors come in upstream's order. Pure.

#include <string>
#include <vector>

#include "api/schema.h"
#include "json/json.h"

namespace wherry::api {

struct StrictReport {
  // "json: cannot unmarshal string into Go struct field PodSpec.spec.nodeName of type string", ...
  std::string type_error;
  std::vector<std::string> strict_errors;  // `unknown field "spec.foo"`, `duplicate field "kind"`.
};

// `collect_strict`: strict_errors are wanted, at most kStrictErrorsMax of them.
StrictReport check_strict(const Struct& type, json::Value in, bool collect_strict);

inline constexpr size_t kStrictErrorsMax = 100;
inline constexpr int kDecodeDepthMax = 512;  // Nested objects and lists; more is an error.

// The type whose JSON form `value` has, of the fields of a choice (a kAny with a structure); null
// when none.
const Field* choose(const Struct& choice, json::Value value);

}  // namespace wherry::api
