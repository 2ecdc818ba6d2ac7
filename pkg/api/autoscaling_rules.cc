#include "api/autoscaling_rules.h"

#include <algorithm>
#include <array>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"

namespace wherry::api {
namespace {

constexpr int64_t kWindowSecondsMax = 3600;
constexpr int64_t kPeriodSecondsMax = 1800;

struct MetricType {
  std::string_view type;
  const char* member;
};
constexpr MetricType kTypes[] = {{"Object", "object"},
                                 {"External", "external"},
                                 {"Pods", "pods"},
                                 {"Resource", "resource"},
                                 {"ContainerResource", "containerResource"}};
constexpr std::string_view kTypeNames[] = {"ContainerResource", "External", "Object", "Pods",
                                           "Resource"};

void validate_target(json::Value target, const Path& path, FieldErrors& errors) {
  std::string_view type = target["type"].as_string();
  if (type.empty()) errors.required(path.child("type"), "must specify a metric target type");
  if (type != "Utilization" && type != "Value" && type != "AverageValue") {
    errors.invalid(path.child("type"), type, "must be either Utilization, Value, or AverageValue");
  }
  for (const char* field : {"value", "averageValue"}) {
    json::Value value = target[field];
    if (value && Quantity::from(value).sign() != 1) {
      errors.invalid(path.child(field), Quantity::from(value).text(), "must be positive");
    }
  }
  json::Value percent = target["averageUtilization"];
  if (percent && percent.as_int() < 1) {
    errors.invalid(path.child("averageUtilization"), percent.as_int(), "must be greater than 0");
  }
}

void validate_identifier(json::Value metric, const Path& path, FieldErrors& errors) {
  std::string_view name = metric["name"].as_string();
  if (name.empty()) {
    errors.required(path.child("name"), "must specify a metric name");
  } else {
    report(path_segment_problems(name), path.child("name"), name, errors);
  }
}

// Exactly one of two values of the target.
void validate_either(json::Value target, const char* one, const char* other, const char* missing,
                     std::string_view need, std::string_view both, const Path& path,
                     FieldErrors& errors) {
  if (!target[one] && !target[other]) errors.required(path.child(missing), need);
  if (target[one] && target[other] && !both.empty()) errors.forbidden(path.child(one), both);
}

void validate_resource(json::Value part, bool container, const Path& path, FieldErrors& errors) {
  if (part["name"].as_string().empty()) {
    errors.required(path.child("name"), "must specify a resource name");
  }
  if (container && part["container"].as_string().empty()) {
    errors.required(path.child("container"), "must specify a container");
  }
  Path at = path.child("target");
  validate_target(part["target"], at, errors);
  validate_either(part["target"], "averageValue", "averageUtilization", "averageUtilization",
                  "must set either a target raw value or a target utilization",
                  "may not set both a target raw value and a target utilization", at, errors);
}

void validate_described(json::Value object, const Path& path, FieldErrors& errors) {
  for (const char* field : {"kind", "name"}) {
    std::string_view text = object[field].as_string();
    if (text.empty()) {
      errors.required(path.child(field), "");
    } else {
      report(path_segment_problems(text), path.child(field), text, errors);
    }
  }
}

void validate_part(std::string_view type, json::Value part, const Path& path, FieldErrors& errors) {
  if (type == "Resource" || type == "ContainerResource") {
    validate_resource(part, type == "ContainerResource", path, errors);
    return;
  }
  Path at = path.child("target");
  if (type == "Object")
    validate_described(part["describedObject"], path.child("describedObject"), errors);
  validate_identifier(part["metric"], path.child("metric"), errors);
  validate_target(part["target"], at, errors);
  if (type == "Object") {
    validate_either(part["target"], "value", "averageValue", "averageValue",
                    "must set either a target value or averageValue", "", at, errors);
  } else if (type == "External") {
    validate_either(part["target"], "value", "averageValue", "averageValue",
                    "must set either a target value for metric or a per-pod target",
                    "may not set both a target value for metric and a per-pod target", at, errors);
  } else if (!part["target"]["averageValue"]) {
    errors.required(at.child("averageValue"), "must specify a positive target averageValue");
  }
}

void validate_scaling(json::Value rules, const Path& path, FieldErrors& errors) {
  if (json::Value window = rules["stabilizationWindowSeconds"]) {
    Path at = path.child("stabilizationWindowSeconds");
    if (window.as_int() < 0) {
      errors.invalid(at, window.as_int(), "must be greater than or equal to zero");
    }
    if (window.as_int() > kWindowSecondsMax) {
      errors.invalid(at, window.as_int(),
                     fmt::format("must be less than or equal to {}", kWindowSecondsMax));
    }
  }
  if (json::Value policy = rules["selectPolicy"]) {
    static constexpr std::string_view kKnown[] = {"Disabled", "Max", "Min"};
    if (std::ranges::find(kKnown, policy.as_string()) == std::end(kKnown)) {
      errors.not_supported(path.child("selectPolicy"), policy.as_string(), kKnown);
    }
  }
  if (rules["policies"].empty()) {
    errors.required(path.child("policies"), "must specify at least one Policy");
  }
  for (size_t i = 0; i < rules["policies"].size(); ++i) {
    json::Value policy = rules["policies"].at(i);
    Path at = path.child("policies").index(i);
    static constexpr std::string_view kKnown[] = {"Percent", "Pods"};
    if (std::ranges::find(kKnown, policy["type"].as_string()) == std::end(kKnown)) {
      errors.not_supported(at.child("type"), policy["type"].as_string(), kKnown);
    }
    for (const char* field : {"value", "periodSeconds"}) {
      if (policy[field].as_int() > 0) continue;
      errors.invalid(at.child(field), policy[field].as_int(), "must be greater than zero");
    }
    if (policy["periodSeconds"].as_int() > kPeriodSecondsMax) {
      errors.invalid(at.child("periodSeconds"), policy["periodSeconds"].as_int(),
                     fmt::format("must be less than or equal to {}", kPeriodSecondsMax));
    }
  }
  json::Value tolerance = rules["tolerance"];
  if (tolerance && Quantity::from(tolerance).sign() < 0) {
    errors.invalid(path.child("tolerance"), Quantity::from(tolerance).text(),
                   "must be greater than or equal to 0");
  }
}

void push_policy(json::Node policies, std::string_view type, int value) {
  json::Node policy = policies.push_object();
  policy.set("type", type);
  policy.set("value", value);
  policy.set("periodSeconds", 15);
}

}  // namespace

void validate_metrics(json::Value metrics, const Path& path, FieldErrors& errors) {
  for (size_t i = 0; i < metrics.size(); ++i) {
    json::Value metric = metrics.at(i);
    Path at = path.index(i);
    std::string_view type = metric["type"].as_string();
    if (type.empty()) errors.required(at.child("type"), "must specify a metric source type");
    bool known = std::ranges::find(kTypeNames, type) != std::end(kTypeNames);
    if (!known) errors.not_supported(at.child("type"), type, kTypeNames);
    const char* wanted = nullptr;
    for (const MetricType& kind : kTypes) {
      if (kind.type == type) wanted = kind.member;
      if (metric[kind.member]) {
        validate_part(kind.type, metric[kind.member], at.child(kind.member), errors);
      }
    }
    // Said of the type, and once more of the member that it names.
    if (wanted == nullptr) errors.not_supported(at.child("type"), type, kTypeNames);
    if (wanted == nullptr) continue;
    if (!metric[wanted])
      errors.required(at.child(wanted), "must populate information for the given metric source");
    for (const MetricType& kind : kTypes) {
      if (kind.type != type && metric[kind.member] && metric[wanted])
        errors.forbidden(at.child(kind.member), "must populate the given metric source only");
    }
  }
}

void validate_behavior(json::Value behavior, const Path& path, FieldErrors& errors) {
  for (const char* field : {"scaleUp", "scaleDown"}) {
    if (behavior[field]) validate_scaling(behavior[field], path.child(field), errors);
  }
}

void behavior_defaults(json::Node behavior) {
  json::Node up = behavior.ensure_object("scaleUp");
  if (!up["stabilizationWindowSeconds"]) up.set("stabilizationWindowSeconds", 0);
  if (!up["selectPolicy"]) up.set("selectPolicy", "Max");
  if (!up["policies"]) {
    json::Node policies = up.set_array("policies");
    push_policy(policies, "Pods", 4);
    push_policy(policies, "Percent", 100);
  }
  json::Node down = behavior.ensure_object("scaleDown");
  if (!down["selectPolicy"]) down.set("selectPolicy", "Max");
  if (!down["policies"]) push_policy(down.set_array("policies"), "Percent", 100);
}

}  // namespace wherry::api
