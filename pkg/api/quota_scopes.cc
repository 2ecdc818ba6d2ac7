// Which scopes a ResourceQuota may have, and over what. Wording: Kubernetes, ResourceQuota
// validation.

#include <algorithm>
#include <array>
#include <set>

#include "api/go_text.h"
#include "api/quota.h"
#include "api/schema_core_v1.h"

namespace wherry::api {
namespace {

using Names = std::set<std::string_view>;

const Names& pod_names() {
  static const Names kNames = {"pods",
                               "cpu",
                               "memory",
                               "ephemeral-storage",
                               "requests.cpu",
                               "requests.memory",
                               "requests.ephemeral-storage",
                               "limits.cpu",
                               "limits.memory",
                               "limits.ephemeral-storage"};
  return kNames;
}
const Names& claim_names() {
  static const Names kNames = {"persistentvolumeclaims", "requests.storage"};
  return kNames;
}
// What a scope can be checked against; other names are not.
bool is_standard(std::string_view name) {
  static const Names kOthers = {
      "resourcequotas", "services",           "replicationcontrollers", "secrets",
      "configmaps",     "services.nodeports", "services.loadbalancers"};
  return pod_names().contains(name) || claim_names().contains(name) || kOthers.contains(name);
}

constexpr std::array<std::string_view, 7> kScopes = {
    "Terminating",          "NotTerminating", "BestEffort",
    "NotBestEffort",        "PriorityClass",  "CrossNamespacePodAffinity",
    "VolumeAttributesClass"};

bool is_scope(std::string_view name) {
  return std::find(kScopes.begin(), kScopes.end(), name) != kScopes.end();
}

bool fits(std::string_view scope, std::string_view name) {
  if (!is_scope(scope)) return true;
  if (scope == "BestEffort") return name == "pods";
  if (scope == "VolumeAttributesClass") return claim_names().contains(name);
  return pod_names().contains(name);
}

// One scope against everything that the quota limits, and against the others.
class ScopeCheck {
 public:
  // `at` and `shown` are what the refusals name.
  ScopeCheck(json::Value hard, Path at, json::Value shown, FieldErrors& errors)
      : hard_(hard), at_(std::move(at)), shown_(shown), errors_(errors) {}

  void add(std::string_view scope) {
    for (auto [name, amount] : hard_.members()) {
      if (is_standard(name) && !fits(scope, name)) {
        errors_.invalid(at_, shown_, "unsupported scope applied to resource");
      }
    }
    seen_.insert(scope);
  }
  void finish() {
    static constexpr std::pair<std::string_view, std::string_view> kOpposites[] = {
        {"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"}};
    for (const auto& [one, other] : kOpposites) {
      if (seen_.contains(one) && seen_.contains(other)) {
        errors_.invalid(at_, shown_, "conflicting scopes");
      }
    }
  }

 private:
  const json::Value hard_;
  const Path at_;
  const json::Value shown_;
  FieldErrors& errors_;
  Names seen_;
};

void validate_operator(json::Value requirement, const Path& path, FieldErrors& errors) {
  std::string_view scope = requirement["scopeName"].as_string();
  std::string_view op = requirement["operator"].as_string();
  json::Value values = requirement["values"];
  bool takes_values = scope == "PriorityClass" || scope == "VolumeAttributesClass";
  if (is_scope(scope) && !takes_values && op != "Exists") {
    errors.invalid(path.child("operator"), op,
                   "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                   "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                   "ResourceQuotaScopeNotBestEffort or "
                   "ResourceQuotaScopeCrossNamespacePodAffinity");
  }
  if (op == "In" || op == "NotIn") {
    if (values.empty()) {
      errors.required(path.child("values"),
                      "must be at least one value when `operator` is 'In' or 'NotIn' for scope "
                      "selector");
    }
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (!values.empty()) {
      errors.invalid(path.child("values"), values,
                     "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope "
                     "selector");
    }
  } else {
    errors.invalid(path.child("operator"), op, "not a valid selector operator");
  }
}

}  // namespace

void validate_quota_scope(json::Value requirement, const Path& path, FieldErrors& errors) {
  std::string_view scope = requirement["scopeName"].as_string();
  if (!is_scope(scope)) errors.invalid(path.child("scopeName"), scope, "unsupported scope");
  validate_operator(requirement, path, errors);
}

void validate_quota_scopes(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value scopes = spec["scopes"];
  Path at = path.child("scopes");
  ScopeCheck plain(spec["hard"], at, scopes, errors);
  for (json::Value scope : scopes.items()) {
    if (!is_scope(scope.as_string())) errors.invalid(at, scopes, "unsupported scope");
    plain.add(scope.as_string());
  }
  plain.finish();

  json::Value selector = spec["scopeSelector"];
  if (!selector.is_object()) return;
  at = path.child("scopeSelector").child("matchExpressions");
  json::Document shown = go_struct(schema::core_v1::kScopeSelector, selector);
  ScopeCheck selected(spec["hard"], at, shown.root(), errors);
  for (json::Value requirement : selector["matchExpressions"].items()) {
    std::string_view scope = requirement["scopeName"].as_string();
    if (!is_scope(scope)) errors.invalid(at.child("scopeName"), scope, "unsupported scope");
    selected.add(scope);
    validate_operator(requirement, at, errors);
  }
  selected.finish();
}

}  // namespace wherry::api
