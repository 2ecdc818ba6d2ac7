#include "api/strict.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/decode_text.h"
#include "api/quantity.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

// One step from the root to where the checker is.
struct Step {
  std::string_view name;
  std::string_view inlined =
      {};              // The inlined struct that the field belongs to; Go names it in type errors.
  int64_t index = -1;  // Of a list item; then there is no name.
  bool map_key = false;
};

std::string_view version_of(const Struct& type) {
  std::string_view prefix = type.definition.substr(0, type.definition.rfind('.'));
  return prefix.substr(prefix.rfind('.') + 1);
}

// How Go prints the type.
std::string go_type(const TypeRef& type) {
  switch (type.kind) {
    case Kind::kInt32:
    case Kind::kIntOrString: return "int32";
    case Kind::kInt64: return "int64";
    case Kind::kBool: return "bool";
    case Kind::kDouble: return "float64";
    case Kind::kBytes: return "[]uint8";
    case Kind::kQuantity: return "resource.Quantity";
    case Kind::kStruct:
      return fmt::format("{}.{}", version_of(*type.structure), type.structure->name);
    case Kind::kList: return "[]" + go_type(*type.element);
    case Kind::kMap:
      if (type.element->kind == Kind::kQuantity) return "v1.ResourceList";
      return "map[string]" + go_type(*type.element);
    case Kind::kVerbs: return "v1.ExtraValue";
    default: return "string";
  }
}

// Lists of texts whose items have a type of their own in Go, which a refusal of the list names.
struct NamedItems {
  std::string_view field;
  std::string_view type;
};
constexpr NamedItems kNamedItems[] = {
    {"NamespaceSpec.finalizers", "FinalizerName"},
    {"PersistentVolumeClaimSpec.accessModes", "PersistentVolumeAccessMode"},
    {"PersistentVolumeClaimStatus.accessModes", "PersistentVolumeAccessMode"},
    {"PersistentVolumeSpec.accessModes", "PersistentVolumeAccessMode"},
    {"Capabilities.add", "Capability"},
    {"Capabilities.drop", "Capability"},
    {"ServiceSpec.ipFamilies", "IPFamily"},
    {"ResourceQuotaSpec.scopes", "ResourceQuotaScope"},
    {"NodeStatus.volumesInUse", "UniqueVolumeName"},
    {"NetworkPolicySpec.policyTypes", "PolicyType"},
    {"CertificateSigningRequestSpec.usages", "KeyUsage"},
    {"RuleWithOperations.operations", "OperationType"},
    {"ValidatingAdmissionPolicyBindingSpec.validationActions", "ValidationAction"},
    {"CSIDriverSpec.volumeLifecycleModes", "VolumeLifecycleMode"},
};

// The marker of the inlined struct that field `index` came from; null when it is the struct's own.
const Field* marker_of(const Struct& type, const Field& field) {
  if (field.number != 0) return nullptr;
  size_t at = static_cast<size_t>(&field - type.fields.data());
  while (at-- > 0) {
    const Field& candidate = type.fields[at];
    if (!candidate.name.empty()) continue;
    return candidate.type.structure->find(field.name) != nullptr ? &candidate : nullptr;
  }
  return nullptr;
}

class Checker {
 public:
  explicit Checker(bool collect_strict) : collect_strict_(collect_strict) {}

  StrictReport run(const Struct& type, json::Value in) {
    if (in.is_object()) {
      check_struct(type, in);
    } else {
      report_.type_error = fmt::format("json: cannot unmarshal {} into Go value of type {}.{}",
                                       json::type_name(in.type()), version_of(type), type.name);
    }
    return std::move(report_);
  }

 private:
  void check_struct(const Struct& type, json::Value in) {
    std::string_view outer = struct_name_;
    struct_name_ = type.name;
    std::vector<bool> seen(collect_strict_ ? type.fields.size() : 0);
    for (auto [key, value] : in.members()) {
      const Field* field = type.find(key);
      if (field == nullptr) {
        if (!type.preserve_unknown) strict_error("unknown", key);
        check_depth(value, depth_);
        continue;
      }
      if (collect_strict_) {
        size_t at = static_cast<size_t>(field - type.fields.data());
        if (seen[at]) strict_error("duplicate", key);
        seen[at] = true;
      }
      const Field* marker = marker_of(type, *field);
      path_.push_back({field->name, marker ? marker->type.structure->name : std::string_view()});
      check(field->type, value);
      path_.pop_back();
    }
    struct_name_ = outer;
  }

  void check(const TypeRef& type, json::Value value) {
    if (value.is_null()) return;
    if (++depth_ > kDecodeDepthMax) {
      fail("exceeded max depth");
    } else {
      check_present(type, value);
    }
    --depth_;
  }

  void check_present(const TypeRef& type, json::Value value) {
    switch (type.kind) {
      case Kind::kString: return expect(value.is_string(), type, value);
      case Kind::kBool: return expect(value.is_bool(), type, value);
      case Kind::kDouble: return expect(value.is_number(), type, value);
      case Kind::kInt32:
      case Kind::kInt64: return check_integer(type, value);
      case Kind::kIntOrString:
        if (!value.is_string()) check_integer(type, value);
        return;
      case Kind::kBytes: return check_bytes(type, value);
      case Kind::kTime:
      case Kind::kMicroTime:
      case Kind::kDuration: return check_time(type, value);
      case Kind::kQuantity: {
        Result<std::string> text = canonical_quantity(value);
        if (!text.ok()) fail(text.error().message());
        return;
      }
      case Kind::kStruct:
        if (value.is_object()) return check_struct(*type.structure, value);
        return mismatch(type, value);
      case Kind::kList: return check_list(*type.element, type, value);
      case Kind::kVerbs: return check_list(TypeRef{Kind::kString}, type, value);
      case Kind::kMap: return check_map(type, value);
      case Kind::kAny:
        if (type.structure != nullptr) {
          if (const Field* chosen = choose(*type.structure, value)) check(chosen->type, value);
        } else {
          check_depth(value, depth_);
        }
        return;
      case Kind::kFieldsV1: return check_depth(value, depth_);
    }
  }

  void check_integer(const TypeRef& type, json::Value value) {
    if (!value.is_number()) return mismatch(type, value);
    bool fits = value.is_int();
    if (type.kind == Kind::kInt64) {
      // Larger numbers saturate when they are read.
      fits = fits && (value.as_int() != INT64_MAX || value.dump() == "9223372036854775807");
    } else {
      fits = fits && value.as_int() >= INT32_MIN && value.as_int() <= INT32_MAX;
    }
    if (!fits) mismatch_text(type, "number " + value.dump());
  }

  void check_bytes(const TypeRef& type, json::Value value) {
    if (value.is_array()) return;  // Go takes a list of numbers too.
    if (!value.is_string()) return mismatch(type, value);
    std::string error = go_base64_error(value.as_string());
    if (!error.empty()) fail(std::move(error));
  }

  void check_time(const TypeRef& type, json::Value value) {
    if (!value.is_string()) return mismatch(TypeRef{Kind::kString}, value);
    if (type.kind == Kind::kDuration) {
      if (!parse_go_duration(value.as_string())) {
        fail(fmt::format("time: invalid duration {}", value.dump()));
      }
      return;
    }
    std::string error = go_time_error(value.as_string(), type.kind == Kind::kMicroTime);
    if (!error.empty()) fail(std::move(error));
  }

  void check_list(const TypeRef& element, const TypeRef& type, json::Value value) {
    if (!value.is_array()) return mismatch(type, value);
    path_.push_back({});
    for (json::Value item : value.items()) {
      ++path_.back().index;
      check(element, item);
    }
    path_.pop_back();
  }

  void check_map(const TypeRef& type, json::Value value) {
    if (!value.is_object()) return mismatch(type, value);
    std::vector<std::string_view> keys;
    if (collect_strict_) {
      for (auto [key, item] : value.members()) keys.push_back(key);
      std::sort(keys.begin(), keys.end());
    }
    std::set<std::string_view> repeated;
    for (size_t i = 1; i < keys.size(); ++i) {
      if (keys[i] == keys[i - 1]) repeated.insert(keys[i]);
    }
    std::set<std::string_view> met;
    for (auto [key, item] : value.members()) {
      if (!repeated.empty() && repeated.contains(key) && !met.insert(key).second)
        strict_error("duplicate", key);
      path_.push_back({.name = key, .map_key = true});
      check(*type.element, item);
      path_.pop_back();
    }
  }

  // Values of any shape are copied as they are; only their depth matters.
  void check_depth(json::Value value, int depth) {
    if (depth > kDecodeDepthMax) return fail("exceeded max depth");
    for (json::Value item : value.items()) check_depth(item, depth + 1);
    for (auto [key, item] : value.members()) check_depth(item, depth + 1);
  }

  void expect(bool right, const TypeRef& type, json::Value value) {
    if (!right) mismatch(type, value);
  }
  void mismatch(const TypeRef& type, json::Value value) {
    mismatch_text(type, json::type_name(value.type()));
  }
  void mismatch_text(const TypeRef& type, std::string_view what) {
    if (!report_.type_error.empty()) return;
    std::string path;
    for (const Step& step : path_) {
      if (step.index >= 0 || step.map_key) continue;
      if (!path.empty()) path += '.';
      if (!step.inlined.empty()) path.append(step.inlined).append(".");
      path += step.name;
    }
    fail(fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}", what,
                     struct_name_, path, named_type(type)));
  }
  std::string named_type(const TypeRef& type) const {
    const bool list = type.kind == Kind::kList && !path_.empty() && path_.back().index < 0;
    if (list) {
      std::string field = fmt::format("{}.{}", struct_name_, path_.back().name);
      const auto* found = std::ranges::find(kNamedItems, field, &NamedItems::field);
      if (found != std::end(kNamedItems)) return fmt::format("[]v1.{}", found->type);
    }
    return go_type(type);
  }
  void fail(std::string text) {
    if (report_.type_error.empty()) report_.type_error = std::move(text);
  }
  void strict_error(std::string_view what, std::string_view key) {
    if (!collect_strict_ || report_.strict_errors.size() >= kStrictErrorsMax) return;
    std::string path;
    for (const Step& step : path_) {
      if (step.index >= 0) {
        path += fmt::format("[{}]", step.index);
      } else {
        if (!path.empty()) path += '.';
        path += step.name;
      }
    }
    if (!path.empty()) path += '.';
    std::string text = fmt::format("{} field {}", what, quote(path.append(key)));
    if (told_.insert(text).second) report_.strict_errors.push_back(std::move(text));
  }

  const bool collect_strict_;
  StrictReport report_;
  std::set<std::string> told_;
  std::vector<Step> path_;
  std::string_view struct_name_;
  int depth_ = 0;
};

}  // namespace

const Field* choose(const Struct& choice, json::Value value) {
  for (const Field& field : choice.fields) {
    const Kind kind = field.type.kind;
    if ((kind == Kind::kStruct && value.is_object()) || (kind == Kind::kBool && value.is_bool()) ||
        (kind == Kind::kList && value.is_array())) {
      return &field;
    }
  }
  return nullptr;
}

StrictReport check_strict(const Struct& type, json::Value in, bool collect_strict) {
  return Checker(collect_strict).run(type, in);
}

}  // namespace wherry::api
