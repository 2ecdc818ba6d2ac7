#pragma once
// Label and field selectors: the query-string form ("a=b,c in (d,e),!f") and the object form
// (meta/v1 LabelSelector). Pure; immutable after construction.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

class Object;

enum class Operator {
  kEquals,
  kNotEquals,
  kIn,
  kNotIn,
  kExists,
  kDoesNotExist,
  kGreaterThan,
  kLessThan
};

struct Requirement {
  std::string key;
  Operator op = Operator::kEquals;
  std::vector<std::string> values;  // Sorted, unique.
};

// A conjunction of requirements; without any it matches everything.
class Selector {
 public:
  Selector() = default;
  explicit Selector(std::vector<Requirement> requirements)
      : requirements_(std::move(requirements)) {}
  static Selector nothing();

  // kBadRequest with upstream's wording.
  static Result<Selector> parse(std::string_view text);
  // From a meta/v1 LabelSelector; an absent value matches nothing, an empty object everything.
  static Result<Selector> from_label_selector(json::Value selector);
  // From a plain map (Service spec.selector); an empty map matches nothing when `empty_is_nothing`.
  static Selector from_map(json::Value map, bool empty_is_nothing);

  bool matches(const Object& object) const;       // The object's labels.
  bool matches_labels(json::Value labels) const;  // A JSON map.
  bool everything() const { return !nothing_ && requirements_.empty(); }
  bool matches_nothing() const { return nothing_; }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  std::string text() const;

 private:
  std::vector<Requirement> requirements_;
  bool nothing_ = false;
};

// "metadata.name=x,status.phase!=Running". Whether a field is selectable is the resource row's
// business.
struct FieldRequirement {
  std::string path;
  bool equals = true;
  std::string value;
};
Result<std::vector<FieldRequirement>> parse_field_selector(std::string_view text);

}  // namespace wherry::api
