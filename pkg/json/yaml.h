#pragma once
// YAML in and out, over yaml-cpp, which only this folder includes. YAML is read as Kubernetes reads
// it: converted to JSON first (YAML 1.1 booleans and numbers, keys become strings).

#include <string>
#include <string_view>
#include <vector>

#include "json/json.h"

namespace wherry::json {

// One document. kBadRequest with line and cause when the text is malformed; JSON is accepted too.
Result<Document> parse_yaml(std::string_view text);
// All documents of a stream split by "---"; empty ones are left out.
Result<std::vector<Document>> parse_yaml_stream(std::string_view text);
// Block style, keys in the order given, strings quoted where YAML 1.1 would read something else.
std::string to_yaml(Value value);

}  // namespace wherry::json
