#include "api/conditions.h"

#include <algorithm>
#include <set>

#include "api/names.h"
#include "api/pod_rules.h"

namespace wherry::api {
namespace {

constexpr std::string_view kStates[] = {"False", "True", "Unknown"};
constexpr size_t kReasonBytesMax = 1024;
constexpr size_t kMessageBytesMax = 32 * 1024;

// [A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?
bool is_reason(std::string_view text) {
  auto letter = [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; };
  auto word = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_'; };
  return !text.empty() && letter(text.front()) && word(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return word(c) || c == ',' || c == ':'; });
}

void validate_condition(json::Value condition, const Path& path, FieldErrors& errors) {
  std::string_view type = condition["type"].as_string();
  report(qualified_name_problems(type), path.child("type"), type, errors);
  std::string_view state = condition["status"].as_string();
  check_enum(state, kStates, path.child("status"), errors);
  if (int64_t generation = condition["observedGeneration"].as_int(); generation < 0) {
    errors.invalid(path.child("observedGeneration"), generation,
                   "must be greater than or equal to zero");
  }
  json::Value time = condition["lastTransitionTime"];
  if (!time || time.is_null()) errors.required(path.child("lastTransitionTime"), "");
  std::string_view reason = condition["reason"].as_string();
  if (reason.empty()) {
    errors.required(path.child("reason"), "");
  } else {
    if (!is_reason(reason)) {
      errors.invalid(path.child("reason"), reason,
                     "a condition reason must start with alphabetic character, optionally followed "
                     "by a string of alphanumeric characters or '_,:', and must end with an "
                     "alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  "
                     "or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
                     "'[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
    }
    if (reason.size() > kReasonBytesMax) errors.too_long(path.child("reason"), kReasonBytesMax);
  }
  if (condition["message"].as_string().size() > kMessageBytesMax)
    errors.too_long(path.child("message"), kMessageBytesMax);
}

}  // namespace

void validate_conditions(json::Value conditions, const Path& path, FieldErrors& errors) {
  std::set<std::string_view> types;
  size_t at = 0;
  for (json::Value condition : conditions.items()) {
    Path item = path.index(at++);
    std::string_view type = condition["type"].as_string();
    if (!types.insert(type).second) errors.duplicate(item.child("type"), type);
    validate_condition(condition, item, errors);
  }
}

}  // namespace wherry::api
