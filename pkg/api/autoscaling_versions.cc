// HorizontalPodAutoscaler in the versions beside the stored one, autoscaling/v2. v1 has fields for
// the CPU percentage only; all else travels in annotations. Rules from the Kubernetes API
// reference.

#include <cctype>

#include "api/autoscaling_metrics.h"
#include "api/go_text.h"
#include "api/rows.h"
#include "api/schema_autoscaling_v1.h"
#include "api/schema_autoscaling_v2.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"hpa"};
constexpr Subresource kSubresources[] = {status_of("HorizontalPodAutoscaler")};

constexpr const char* kMetrics = "autoscaling.alpha.kubernetes.io/metrics";
constexpr const char* kCurrentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr const char* kConditions = "autoscaling.alpha.kubernetes.io/conditions";
constexpr const char* kBehavior = "autoscaling.alpha.kubernetes.io/behavior";

// ---- From v1

// What an annotation holds, which goes; null when it is absent or no JSON.
json::Draft take_annotation(json::Node scaler, const char* key) {
  json::Node annotations = scaler["metadata"]["annotations"];
  Result<json::Document> parsed = json::Document::parse(annotations[key].as_string("null"));
  if (annotations.remove(key) && annotations.empty()) scaler["metadata"].remove("annotations");
  json::Draft out;
  out.root().assign_null();
  if (parsed.ok()) out.root().assign(parsed->root());
  return out;
}

// Go's names of an unversioned struct begin with a capital letter.
void uncapitalise(json::Node node) {
  for (json::Node item : node.items()) uncapitalise(item);
  if (!node.is_object()) return;
  json::Draft renamed;
  for (const auto& [key, value] : node.members()) {
    if (value.is_null()) continue;
    uncapitalise(value);
    std::string name(key);
    if (!name.empty()) name[0] = static_cast<char>(std::tolower(name[0]));
    renamed.root().set(name, value);
  }
  node.assign(renamed.root());
}

void push_cpu(json::Node metrics, const char* part_name, json::Node percent) {
  json::Node metric = metrics.push_object();
  metric.set("type", "Resource");
  json::Node part = metric.set_object("resource");
  part.set("name", "cpu");
  json::Node values = part.set_object(part_name);
  if (part_name == std::string_view("target")) values.set("type", "Utilization");
  values.set("averageUtilization", percent.as_int());
}

void to_stored(json::Node scaler) {
  json::Node spec = scaler.ensure_object("spec");
  json::Draft metrics = take_annotation(scaler, kMetrics);
  if (metrics.root().is_array()) {
    unflatten_metrics(metrics.root());
    spec.set("metrics", metrics.root());
  }
  if (json::Node percent = spec["targetCPUUtilizationPercentage"]; percent && !percent.is_null()) {
    push_cpu(spec.ensure_array("metrics"), "target", percent);
  }
  spec.remove("targetCPUUtilizationPercentage");
  json::Draft behavior = take_annotation(scaler, kBehavior);
  if (behavior.root().is_object()) {
    uncapitalise(behavior.root());
    spec.set("behavior", behavior.root());
  }

  json::Node status = scaler.ensure_object("status");
  json::Draft current = take_annotation(scaler, kCurrentMetrics);
  json::Node percent = status["currentCPUUtilizationPercentage"];
  if (current.root().is_array()) {
    unflatten_current_metrics(current.root());
    status.set("currentMetrics", current.root());
  } else if (percent && !percent.is_null()) {
    push_cpu(status.ensure_array("currentMetrics"), "current", percent);
  }
  status.remove("currentCPUUtilizationPercentage");
  json::Draft conditions = take_annotation(scaler, kConditions);
  if (conditions.root().is_array()) status.set("conditions", conditions.root());
}

// ---- To v1

bool is_cpu(json::Node metric) {
  return metric["type"].as_string() == "Resource" &&
         metric["resource"]["name"].as_string() == "cpu";
}

void annotate(json::Node scaler, const char* key, const std::string& text) {
  scaler.ensure_object("metadata").ensure_object("annotations").set(key, text);
}

void metrics_from_stored(json::Node scaler, json::Node spec) {
  json::Draft others = json::Draft::array();
  for (json::Node metric : spec["metrics"].items()) {
    json::Node percent = metric["resource"]["target"]["averageUtilization"];
    if (is_cpu(metric) && percent) {
      spec.set("targetCPUUtilizationPercentage", percent.as_int());
    } else {
      others.root().push(metric);
    }
  }
  spec.remove("metrics");
  if (others.root().empty()) return;
  flatten_metrics(others.root());
  annotate(scaler, kMetrics, others.dump());
}

void from_stored(json::Node scaler) {
  json::Node spec = scaler.ensure_object("spec");
  if (json::Node behavior = spec["behavior"]; behavior.is_object()) {
    json::Draft copy(behavior);
    json::Document document = copy.freeze();
    annotate(scaler, kBehavior,
             go_struct(schema::autoscaling_v2::kHorizontalPodAutoscalerBehavior, document.root())
                 .root()
                 .dump());
  }
  spec.remove("behavior");
  metrics_from_stored(scaler, spec);

  json::Node status = scaler.ensure_object("status");
  json::Node current = status["currentMetrics"];
  for (json::Node metric : current.items()) {
    json::Node percent = metric["resource"]["current"]["averageUtilization"];
    if (is_cpu(metric) && percent) {
      status.set("currentCPUUtilizationPercentage", percent.as_int());
    }
  }
  if (!current.empty()) {
    flatten_current_metrics(current);
    annotate(scaler, kCurrentMetrics, current.dump());
  }
  status.remove("currentMetrics");
  if (!status["conditions"].empty()) annotate(scaler, kConditions, status["conditions"].dump());
  status.remove("conditions");
}

}  // namespace

constinit const Resource kHorizontalPodAutoscalersV1 = {
    .group = "autoscaling",
    .version = "v1",
    .kind = "HorizontalPodAutoscaler",
    .plural = "horizontalpodautoscalers",
    .singular = "horizontalpodautoscaler",
    .short_names = kShortNames,
    .categories = kAllCategory,
    .schema = &schema::autoscaling_v1::kHorizontalPodAutoscaler,
    .subresources = kSubresources,
    .status_subresource = true,
    .stored_as = &kHorizontalPodAutoscalers,
    .to_stored = &to_stored,
    .from_stored = &from_stored,
};

}  // namespace wherry::api
