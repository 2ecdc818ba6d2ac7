#pragma once
// What a plain YAML scalar means, as Kubernetes reads YAML: 1.1 booleans (yes, on, ...), octal and
// other integers, floats, null. Pure. For this folder's YAML files only.

#include <string>
#include <string_view>

namespace wherry::json {

enum class ScalarKind { kNull, kBool, kNumber, kNotFinite, kString };

struct Scalar {
  ScalarKind kind = ScalarKind::kString;
  std::string text;  // Its JSON form; of kNotFinite ".inf", "-.inf", ".nan"; of kString as it is.
};

Scalar resolve_scalar(std::string_view plain);

}  // namespace wherry::json
