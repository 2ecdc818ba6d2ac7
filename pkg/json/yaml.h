#pragma once
// YAML in and out, over yaml-cpp, which only this folder includes. YAML is read as Kubernetes reads
// it: converted to JSON first (YAML 1.1 booleans and numbers, keys become strings).

#include <string>
#include <string_view>
#include <vector>

#include "json/json.h"

namespace wherry::json {

// One document. kBadRequest with line and cause when the text is malformed; JSON is accepted too.
// Keys that stand twice in a mapping are an error, unless `repeated` takes what is to be said of
// each ("line 8: key "a" already set in map"); then the last counts.
Result<Document> parse_yaml(std::string_view text, std::vector<std::string>* repeated = nullptr);
// All documents of a stream split by "---"; empty ones are left out.
Result<std::vector<Document>> parse_yaml_stream(std::string_view text);
// Block style, keys in the order given, strings quoted where YAML 1.1 would read something else.
std::string to_yaml(Value value);

}  // namespace wherry::json
