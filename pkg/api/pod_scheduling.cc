// Where a pod may run: node selectors, affinity, tolerations, spread.

#include <algorithm>
#include <map>
#include <set>

#include "api/names.h"
#include "api/pod_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr const char* kWeightRange = "must be in the range 1-100";
constexpr std::string_view kEffects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};
constexpr std::string_view kUnsatisfiable[] = {"DoNotSchedule", "ScheduleAnyway"};
constexpr std::string_view kInclusion[] = {"Honor", "Ignore"};

void validate_node_expression(json::Value expression, const Path& path, FieldErrors& errors) {
  std::string_view op = expression["operator"].as_string();
  size_t values = expression["values"].size();
  if (op == "In" || op == "NotIn") {
    if (values == 0) {
      errors.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
    }
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (values > 0) {
      errors.forbidden(path.child("values"),
                       "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (op == "Gt" || op == "Lt") {
    if (values != 1) {
      errors.required(path.child("values"),
                      "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  } else {
    errors.invalid(path.child("operator"), op, "not a valid selector operator");
  }
  std::string_view key = expression["key"].as_string();
  report(qualified_name_problems(key), path.child("key"), key, errors);
}

void validate_node_field(json::Value requirement, const Path& path, FieldErrors& errors) {
  std::string_view op = requirement["operator"].as_string();
  std::string_view key = requirement["key"].as_string();
  if (op == "In" || op == "NotIn") {
    if (requirement["values"].size() != 1) {
      errors.required(
          path.child("values"),
          "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
    }
  } else {
    errors.invalid(path.child("operator"), op, "not a valid selector operator");
  }
  if (key != "metadata.name") {
    errors.invalid(path.child("key"), key, "not a valid field selector key");
    return;
  }
  size_t at = 0;
  for (json::Value value : requirement["values"].items()) {
    report(dns_subdomain_problems(value.as_string()), path.child("values").index(at++),
           value.as_string(), errors);
  }
}

void validate_node_term(json::Value term, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value expression : term["matchExpressions"].items()) {
    validate_node_expression(expression, path.child("matchExpressions").index(at++), errors);
  }
  at = 0;
  for (json::Value field : term["matchFields"].items()) {
    validate_node_field(field, path.child("matchFields").index(at++), errors);
  }
}

void validate_weight(json::Value weighted, const Path& path, FieldErrors& errors) {
  int64_t weight = weighted["weight"].as_int();
  if (weight < 1 || weight > 100) errors.invalid(path.child("weight"), weight, kWeightRange);
}

constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
constexpr const char* kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";

void validate_node_affinity(json::Value affinity, const Path& path, FieldErrors& errors) {
  if (json::Value required = affinity[kRequired])
    validate_node_selector(required, path.child(kRequired), errors);
  size_t at = 0;
  for (json::Value preferred : affinity[kPreferred].items()) {
    Path item = path.child(kPreferred).index(at++);
    validate_weight(preferred, item, errors);
    validate_node_term(preferred["preference"], item.child("preference"), errors);
  }
}

// Keys whose values are taken from the pod's own labels.
void validate_label_keys(json::Value keys, json::Value selector, const Path& path,
                         FieldErrors& errors) {
  if (!keys.empty() && !selector) {
    errors.forbidden(path, "must not be specified when labelSelector is not set");
    return;
  }
  size_t at = 0;
  for (json::Value item : keys.items())
    report(qualified_name_problems(item.as_string()), path.index(at++), item.as_string(), errors);
}

void validate_term_keys(json::Value term, const Path& path, FieldErrors& errors) {
  json::Value same = term["matchLabelKeys"];
  json::Value other = term["mismatchLabelKeys"];
  json::Value selector = term["labelSelector"];
  validate_label_keys(same, selector, path.child("matchLabelKeys"), errors);
  validate_label_keys(other, selector, path.child("mismatchLabelKeys"), errors);
  size_t at = 0;
  for (json::Value key : same.items()) {
    Path item = path.child("matchLabelKeys").index(at++);
    for (json::Value opposite : other.items()) {
      if (opposite.as_string() != key.as_string()) continue;
      errors.invalid(item, key.as_string(), "exists in both matchLabelKeys and mismatchLabelKeys");
    }
  }
}

void validate_pod_term(json::Value term, const Path& path, FieldErrors& errors) {
  validate_term_keys(term, path, errors);
  validate_label_selector(term["labelSelector"], path.child("labelSelector"), errors);
  validate_label_selector(term["namespaceSelector"], path.child("namespaceSelector"), errors);
  for (json::Value name : term["namespaces"].items()) {
    report(dns_label_problems(name.as_string()), path.child("namespace"), name.as_string(), errors);
  }
  std::string_view key = term["topologyKey"].as_string();
  if (key.empty()) errors.required(path.child("topologyKey"), "can not be empty");
  report(qualified_name_problems(key), path.child("topologyKey"), key, errors);
}

void validate_pod_affinity(json::Value affinity, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value term : affinity[kRequired].items()) {
    validate_pod_term(term, path.child(kRequired).index(at++), errors);
  }
  at = 0;
  for (json::Value preferred : affinity[kPreferred].items()) {
    Path item = path.child(kPreferred).index(at++);
    validate_weight(preferred, item, errors);
    validate_pod_term(preferred["podAffinityTerm"], item.child("podAffinityTerm"), errors);
  }
}

void validate_spread_item(json::Value constraint, const Path& item, FieldErrors& errors) {
  if (constraint["maxSkew"].as_int() <= 0) {
    errors.invalid(item.child("maxSkew"), constraint["maxSkew"].as_int(),
                   "must be greater than zero");
  }
  std::string_view action = constraint["whenUnsatisfiable"].as_string();
  if (constraint["topologyKey"].as_string().empty()) {
    errors.required(item.child("topologyKey"), "can not be empty");
  }
  check_enum(action, kUnsatisfiable, item.child("whenUnsatisfiable"), errors);
  if (json::Value domains = constraint["minDomains"]) {
    if (domains.as_int() <= 0) {
      errors.invalid(item.child("minDomains"), domains.as_int(), "must be greater than zero");
    }
    if (action != "DoNotSchedule") {
      errors.invalid(
          item.child("minDomains"), domains.as_int(),
          fmt::format("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                      action));
    }
  }
  for (const char* policy : {"nodeAffinityPolicy", "nodeTaintsPolicy"}) {
    if (constraint[policy])
      check_enum(constraint[policy].as_string(), kInclusion, item.child(policy), errors);
  }
  validate_label_keys(constraint["matchLabelKeys"], constraint["labelSelector"],
                      item.child("matchLabelKeys"), errors);
  validate_label_selector(constraint["labelSelector"], item.child("labelSelector"), errors);
}

void validate_spread(json::Value constraints, const Path& path, FieldErrors& errors) {
  auto pair_of = [](json::Value constraint) {
    return std::pair(constraint["topologyKey"].as_string(),
                     constraint["whenUnsatisfiable"].as_string());
  };
  std::map<std::pair<std::string_view, std::string_view>, size_t> left;  // To come yet.
  for (json::Value constraint : constraints.items()) ++left[pair_of(constraint)];
  size_t at = 0;
  for (json::Value constraint : constraints.items()) {
    Path item = path.index(at++);
    validate_spread_item(constraint, item, errors);
    const auto pair = pair_of(constraint);
    if (--left[pair] == 0) continue;
    errors.duplicate(item.child("{topologyKey, whenUnsatisfiable}"),
                     fmt::format("{{{}, {}}}", pair.first, pair.second));
  }
}

void resolve_keys(json::Node term, const char* list, std::string_view op, json::Node labels) {
  json::Node selector = term["labelSelector"];
  if (!selector.is_object()) return;
  for (json::Node key : term[list].items()) {
    json::Node label = labels[key.as_string()];
    if (!label) continue;
    json::Node expression = selector.ensure_array("matchExpressions").push_object();
    expression.set("key", key);
    expression.set("operator", op);
    expression.set_array("values").push(label);
  }
}

void resolve_term(json::Node term, json::Node labels) {
  resolve_keys(term, "matchLabelKeys", "In", labels);
  resolve_keys(term, "mismatchLabelKeys", "NotIn", labels);
}

}  // namespace

void resolve_label_keys(json::Node pod) {
  json::Node labels = pod["metadata"]["labels"];
  json::Node spec = pod["spec"];
  for (const char* affinity : {"podAffinity", "podAntiAffinity"}) {
    json::Node terms = spec["affinity"][affinity];
    for (json::Node term : terms[kRequired].items()) resolve_term(term, labels);
    for (json::Node term : terms[kPreferred].items()) resolve_term(term["podAffinityTerm"], labels);
  }
  for (json::Node constraint : spec["topologySpreadConstraints"].items())
    resolve_keys(constraint, "matchLabelKeys", "In", labels);
}

void validate_node_selector(json::Value selector, const Path& path, FieldErrors& errors) {
  Path terms = path.child("nodeSelectorTerms");
  if (selector["nodeSelectorTerms"].empty())
    errors.required(terms, "must have at least one node selector term");
  size_t at = 0;
  for (json::Value term : selector["nodeSelectorTerms"].items())
    validate_node_term(term, terms.index(at++), errors);
}

void validate_tolerations(json::Value tolerations, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value toleration : tolerations.items()) {
    Path item = path.index(at++);
    std::string_view key = toleration["key"].as_string();
    std::string_view op = toleration["operator"].as_string();
    std::string_view value = toleration["value"].as_string();
    std::string_view effect = toleration["effect"].as_string();
    if (!key.empty()) report(qualified_name_problems(key), item.child("key"), key, errors);
    if (key.empty() && op != "Exists") {
      errors.invalid(item.child("operator"), op,
                     "operator must be Exists when `key` is empty, which means \"match all values "
                     "and all keys\"");
    }
    if (toleration["tolerationSeconds"] && effect != "NoExecute") {
      errors.invalid(item.child("effect"), effect,
                     "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (op.empty() || op == "Equal") {
      Problems problems = label_value_problems(value);
      if (!problems.empty()) errors.invalid(item.child("operator"), value, join(problems, ";"));
    } else if (op == "Exists") {
      if (!value.empty()) {
        errors.invalid(item.child("operator"), value,
                       "value must be empty when `operator` is 'Exists'");
      }
    } else {
      // Those that compare numbers are known by name, though off.
      static constexpr std::string_view kOperators[] = {"Equal", "Exists", "Lt", "Gt"};
      std::span<const std::string_view> known = kOperators;
      if (op != "Lt" && op != "Gt") known = known.first(2);
      errors.not_supported(item.child("operator"), op, known);
    }
    if (!effect.empty()) check_enum(effect, kEffects, item.child("effect"), errors);
  }
}

void validate_pod_scheduling(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value affinity = spec["affinity"];
  Path at = path.child("affinity");
  validate_node_affinity(affinity["nodeAffinity"], at.child("nodeAffinity"), errors);
  validate_pod_affinity(affinity["podAffinity"], at.child("podAffinity"), errors);
  validate_pod_affinity(affinity["podAntiAffinity"], at.child("podAntiAffinity"), errors);
  size_t index = 0;
  std::set<std::string_view> gates;
  for (json::Value gate : spec["schedulingGates"].items()) {
    Path item = path.child("schedulingGates").index(index++);
    std::string_view name = gate["name"].as_string();
    report(qualified_name_problems(name), item, name, errors);
    if (!gates.insert(name).second) errors.duplicate(item, name);
  }
  validate_spread(spec["topologySpreadConstraints"], path.child("topologySpreadConstraints"),
                  errors);
}

}  // namespace wherry::api
