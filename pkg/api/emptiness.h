#pragma once
// Whether Go's omitempty would leave a value out. For a json::Value or a json::Node.

#include "api/schema.h"

namespace wherry::api {

template <typename Any>
bool is_empty(const TypeRef& type, const Any& value) {
  switch (type.kind) {
    case Kind::kString:
    case Kind::kBytes:
      return value.is_string() ? value.as_string().empty() : value.is_array() && value.empty();
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kDouble: return value.is_number() && value.as_double() == 0;
    case Kind::kBool: return value.is_bool() && !value.as_bool();
    // Go would write the 0, which nobody means: defaulting takes it for unset.
    case Kind::kIntOrString:
      return value.is_string() ? value.as_string().empty() : value.as_int(1) == 0;
    case Kind::kList:
    case Kind::kVerbs: return value.is_array() && value.empty();
    case Kind::kMap: return value.is_object() && value.empty();
    default: return false;
  }
}

}  // namespace wherry::api
