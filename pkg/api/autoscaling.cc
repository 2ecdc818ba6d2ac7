// HorizontalPodAutoscaler, autoscaling/v2, and PodDisruptionBudget, policy/v1.
// Rules from the Kubernetes API reference.

#include "api/autoscaling_rules.h"
#include "api/cells.h"
#include "api/conditions.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "api/rows.h"
#include "api/schema_autoscaling_v2.h"
#include "api/schema_policy_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kScalerShortNames[] = {"hpa"};
constexpr std::string_view kBudgetShortNames[] = {"pdb"};
constexpr Subresource kScalerSubresources[] = {status_of("HorizontalPodAutoscaler")};
constexpr Subresource kBudgetSubresources[] = {status_of("PodDisruptionBudget")};

// ---- HorizontalPodAutoscaler; its other versions are in autoscaling_versions.cc

void reference_cell(json::Value scaler, Time, json::Node cells) {
  json::Value target = scaler["spec"]["scaleTargetRef"];
  cells.push(fmt::format("{}/{}", target["kind"].as_string(), target["name"].as_string()));
}

// The member of a metric that has the same name as its type: "Resource" is under "resource".
json::Value metric_part(json::Value metric) {
  std::string_view type = metric["type"].as_string();
  if (type == "Resource") return metric["resource"];
  if (type == "ContainerResource") return metric["containerResource"];
  if (type == "Pods") return metric["pods"];
  if (type == "Object") return metric["object"];
  return metric["external"];
}

std::string metric_text(json::Value metric, json::Value current) {
  std::string_view type = metric["type"].as_string();
  json::Value part = metric_part(metric);
  json::Value target = part["target"];
  json::Value now = metric_part(current)["current"];
  bool named = type == "Resource" || type == "ContainerResource";
  std::string prefix = named ? std::string(part["name"].as_string()) + ": " : std::string();
  if (json::Value percent = target["averageUtilization"]) {
    std::string have = now["averageUtilization"]
                           ? std::to_string(now["averageUtilization"].as_int()) + "%"
                           : "<unknown>";
    return fmt::format("{}{}/{}%", prefix, have, percent.as_int());
  }
  bool average = static_cast<bool>(target["averageValue"]);
  json::Value want = average ? target["averageValue"] : target["value"];
  json::Value have = average ? now["averageValue"] : now["value"];
  return fmt::format("{}{}/{}{}", prefix, have ? Quantity::from(have).text() : "<unknown>",
                     Quantity::from(want).text(), average && !named ? " (avg)" : "");
}

void targets_cell(json::Value scaler, Time, json::Node cells) {
  json::Value metrics = scaler["spec"]["metrics"];
  json::Value current = scaler["status"]["currentMetrics"];
  constexpr size_t kShown = 2;
  std::vector<std::string> parts;
  for (size_t i = 0; i < metrics.size() && i < kShown; ++i) {
    parts.push_back(metric_text(metrics.at(i), current.at(i)));
  }
  std::string text = parts.empty() ? "<none>" : join(parts, ", ");
  if (metrics.size() > kShown) text += fmt::format(" + {} more...", metrics.size() - kShown);
  cells.push(text);
}
void minimum_cell(json::Value scaler, Time, json::Node cells) {
  json::Value minimum = scaler["spec"]["minReplicas"];
  cells.push(minimum ? std::to_string(minimum.as_int()) : std::string("<unset>"));
}
void maximum_cell(json::Value scaler, Time, json::Node cells) {
  cells.push(count_at(scaler, "spec", "maxReplicas"));
}
void replicas_cell(json::Value scaler, Time, json::Node cells) {
  cells.push(count_at(scaler, "status", "currentReplicas"));
}

constexpr Column kScalerColumns[] = {
    kNameColumn,
    {.name = "Reference", .description = "What it scales.", .cell = &reference_cell},
    {.name = "Targets", .description = "Measured and wanted values.", .cell = &targets_cell},
    {.name = "MinPods", .description = "Fewest pods.", .cell = &minimum_cell},
    {.name = "MaxPods", .description = "Most pods.", .cell = &maximum_cell},
    {.name = "Replicas", .description = "Pods now.", .cell = &replicas_cell},
    kAgeColumn,
};

void scaler_defaults(json::Node scaler) {
  json::Node spec = scaler.ensure_object("spec");
  if (!spec["minReplicas"]) spec.set("minReplicas", 1);
  if (spec["metrics"].empty()) {
    json::Node metric = spec.set_array("metrics").push_object();
    metric.set("type", "Resource");
    json::Node part = metric.set_object("resource");
    part.set("name", "cpu");
    json::Node target = part.set_object("target");
    target.set("type", "Utilization");
    target.set("averageUtilization", 80);
  }
  if (json::Node behavior = spec["behavior"]; behavior.is_object()) behavior_defaults(behavior);
}

void validate_scaler(json::Value scaler, FieldErrors& errors) {
  json::Value spec = scaler["spec"];
  Path path("spec");
  int64_t minimum = spec["minReplicas"].as_int(1);
  int64_t maximum = spec["maxReplicas"].as_int();
  if (minimum < 1)
    errors.invalid(path.child("minReplicas"), minimum, "must be greater than or equal to 1");
  if (maximum == 0) {
    errors.required(path.child("maxReplicas"), "must be set and greater than 0");
  } else if (maximum < 0) {
    errors.invalid(path.child("maxReplicas"), maximum, "must be greater than or equal to 1");
  }
  if (maximum < minimum) {
    errors.invalid(path.child("maxReplicas"), maximum,
                   "must be greater than or equal to `minReplicas`");
  }
  json::Value target = spec["scaleTargetRef"];
  Path reference = path.child("scaleTargetRef");
  for (const char* field : {"kind", "name"}) {
    std::string_view text = target[field].as_string();
    Path at = reference.child(field);
    if (text.empty()) {
      errors.required(at, "");
    } else {
      report(path_segment_problems(text), at, text, errors);
    }
  }
  std::string_view version = target["apiVersion"].as_string();
  std::vector<std::string_view> parts = split(version, '/');
  if (parts.size() > 2) {
    errors.invalid(reference.child("apiVersion"), version,
                   fmt::format("unexpected GroupVersion string: {}", version));
  } else if (parts.size() < 2 || parts[0].empty()) {
    errors.invalid(reference.child("apiVersion"), version, "apiVersion must specify API group");
  }
  validate_metrics(spec["metrics"], path.child("metrics"), errors);
  if (minimum == 0) {
    bool scales = false;
    for (json::Value metric : spec["metrics"].items()) {
      std::string_view type = metric["type"].as_string();
      scales = scales || type == "Object" || type == "External";
    }
    if (!scales) {
      errors.forbidden(path.child("metrics"),
                       "must specify at least one Object or External metric to support scaling to "
                       "zero replicas");
    }
  }
  validate_behavior(spec["behavior"], path.child("behavior"), errors);
}

void validate_scaler_status(json::Value, json::Value after, FieldErrors& errors) {
  for (const char* field : {"currentReplicas", "desiredReplicas"})
    check_not_negative(after["status"][field], Path("status").child(field), errors);
}

// ---- PodDisruptionBudget

void bound_cell(json::Value budget, const char* field, json::Node cells) {
  json::Value bound = budget["spec"][field];
  if (bound.is_string()) {
    cells.push(bound.as_string());
  } else {
    cells.push(bound ? std::to_string(bound.as_int()) : std::string("N/A"));
  }
}
void min_available_cell(json::Value budget, Time, json::Node cells) {
  bound_cell(budget, "minAvailable", cells);
}
void max_unavailable_cell(json::Value budget, Time, json::Node cells) {
  bound_cell(budget, "maxUnavailable", cells);
}
void allowed_cell(json::Value budget, Time, json::Node cells) {
  cells.push(count_at(budget, "status", "disruptionsAllowed"));
}

constexpr Column kBudgetColumns[] = {
    kNameColumn,
    {.name = "Min Available", .description = "Pods that must stay.", .cell = &min_available_cell},
    {.name = "Max Unavailable",
     .description = "Pods that may be missing.",
     .cell = &max_unavailable_cell},
    {.name = "Allowed Disruptions",
     .type = "integer",
     .description = "Pods that may be evicted now.",
     .cell = &allowed_cell},
    kAgeColumn,
};

void validate_budget(json::Value budget, FieldErrors& errors) {
  json::Value spec = budget["spec"];
  Path path("spec");
  if (spec["minAvailable"] && spec["maxUnavailable"]) {
    json::Document shown = go_struct(schema::policy_v1::kPodDisruptionBudgetSpec, spec);
    errors.invalid(path, shown.root(), "minAvailable and maxUnavailable cannot be both set");
  }
  for (const char* field : {"minAvailable", "maxUnavailable"}) {
    validate_int_or_percent(spec[field], Percent::kAtMostWhole, path.child(field), errors);
  }
  validate_label_selector(spec["selector"], path.child("selector"), errors);
  static constexpr std::string_view kPolicies[] = {"AlwaysAllow", "IfHealthyBudget"};
  if (json::Value policy = spec["unhealthyPodEvictionPolicy"]) {
    check_enum(policy.as_string(), kPolicies, path.child("unhealthyPodEvictionPolicy"), errors);
  }
}

void validate_budget_status(json::Value, json::Value after, FieldErrors& errors) {
  json::Value status = after["status"];
  Path path("status");
  validate_conditions(status["conditions"], path.child("conditions"), errors);
  for (const char* field :
       {"disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"})
    check_not_negative(status[field], path.child(field), errors);
}

}  // namespace

constinit const Resource kHorizontalPodAutoscalers = {
    .group = "autoscaling",
    .version = "v2",
    .kind = "HorizontalPodAutoscaler",
    .plural = "horizontalpodautoscalers",
    .singular = "horizontalpodautoscaler",
    .short_names = kScalerShortNames,
    .categories = kAllCategory,
    .schema = &schema::autoscaling_v2::kHorizontalPodAutoscaler,
    .columns = kScalerColumns,
    .subresources = kScalerSubresources,
    .status_subresource = true,
    .apply_defaults = &scaler_defaults,
    .validate = &validate_scaler,
    .validate_status_update = &validate_scaler_status,
};

constinit const Resource kPodDisruptionBudgets = {
    .group = "policy",
    .version = "v1",
    .kind = "PodDisruptionBudget",
    .plural = "poddisruptionbudgets",
    .singular = "poddisruptionbudget",
    .short_names = kBudgetShortNames,
    .schema = &schema::policy_v1::kPodDisruptionBudget,
    .columns = kBudgetColumns,
    .subresources = kBudgetSubresources,
    .status_subresource = true,
    .generation = true,
    .unconditional_update = false,
    .meta_checks = MetaChecks::kNone,
    .validate = &validate_budget,
    .validate_status_update = &validate_budget_status,
    .valid_name = &valid_path_segment_name,
};

}  // namespace wherry::api
