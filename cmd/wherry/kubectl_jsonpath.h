#pragma once
// JSONPath templates as kubectl reads them: "{.items[*].metadata.name}", {range}{end}, filters,
// quoted text. Members that are not there give nothing. Pure. Rules: Kubernetes documentation,
// "JSONPath Support".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace wherry::command::kubectl {

class JsonPath {
 public:
  // `relaxed` also takes an expression without braces ("status.phase"), as wait and custom columns
  // do.
  static Result<JsonPath> parse(std::string_view text, bool relaxed = false);

  std::string print(json::Value root) const;
  // What the first expression of the template selects.
  std::vector<json::Value> find(json::Value root) const;

  struct Step {
    enum class Kind { kMember, kWildcard, kSlice, kIndexes, kFilter, kDescend } kind;
    std::string member;
    std::vector<std::string> members;  // ['a','b']
    std::vector<int64_t> indexes;
    std::optional<int64_t> from, to;
    int64_t stride = 1;
    // Filter: left OP right; without an operator: left exists.
    std::vector<Step> left, right;
    std::string op, literal;  // `literal` is JSON text when the right side is a constant.
    bool left_is_path = true, right_is_path = false;
  };
  struct Part {
    enum class Kind { kText, kPath, kRange } kind = Kind::kText;
    std::string text;
    std::vector<Step> path;
    std::vector<Part> body;  // Of a range.
  };

 private:
  std::vector<Part> parts_;
};

// As kubectl prints one value in text: strings without quotes, objects as JSON.
std::string plain_text(json::Value value);

}  // namespace wherry::command::kubectl
