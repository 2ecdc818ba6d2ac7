// Deployment, apps/v1. Rules from the Kubernetes API reference, Deployment v1 apps.

#include "api/cells.h"
#include "api/go_text.h"
#include "api/rows.h"
#include "api/schema_apps_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"deploy"};
constexpr Subresource kSubresources[] = {kScale, status_of("Deployment")};

void ready_cell(json::Value object, Time, json::Node cells) {
  cells.push(fmt::format("{}/{}", count_at(object, "status", "readyReplicas"),
                         count_at(object, "spec", "replicas")));
}
void updated_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "updatedReplicas"));
}
void available_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "availableReplicas"));
}

constexpr Column kColumns[] = {
    kNameColumn,
    {.name = "Ready", .description = "Ready pods, of those wanted.", .cell = &ready_cell},
    {.name = "Up-to-date",
     .description = "Pods made from the current template.",
     .cell = &updated_cell},
    {.name = "Available",
     .description = "Pods that have been ready for minReadySeconds.",
     .cell = &available_cell},
    kAgeColumn,
    {.name = "Containers",
     .description = "Containers of the template.",
     .priority = 1,
     .cell = &template_containers_cell},
    {.name = "Images",
     .description = "Images of the template.",
     .priority = 1,
     .cell = &template_images_cell},
    {.name = "Selector",
     .description = "Which pods it manages.",
     .priority = 1,
     .cell = &selector_cell},
};

void apply_defaults(json::Node object) {
  json::Node spec = object.ensure_object("spec");
  json::Node strategy = spec.ensure_object("strategy");
  if (strategy["type"].as_string().empty()) strategy.set("type", "RollingUpdate");
  if (strategy["type"].as_string() == "RollingUpdate") {
    json::Node rolling = strategy.ensure_object("rollingUpdate");
    for (const char* field : {"maxUnavailable", "maxSurge"}) {
      if (!rolling[field]) rolling.set(field, "25%");
    }
  }
  default_template(object);
}

// Annotations (rollout's change cause among them) count as a change of the Deployment, unlike
// elsewhere.
void prepare_update(json::Value before, json::Node after, Time) {
  json::Draft old(before["metadata"]);
  json::Node meta = after["metadata"];
  json::Node old_notes = old.root()["annotations"];
  json::Node notes = meta["annotations"];
  bool both_empty = old_notes.empty() && notes.empty();
  if (both_empty || json::equal(old_notes, notes)) return;
  meta.set("generation", before["metadata"]["generation"].as_int() + 1);
}

void validate_strategy(json::Value strategy, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kTypes[] = {"Recreate", "RollingUpdate"};
  std::string_view type = strategy["type"].as_string();
  json::Value rolling = strategy["rollingUpdate"];
  Path at = path.child("rollingUpdate");
  if (type == "Recreate") {
    if (rolling) errors.forbidden(at, "may not be specified when strategy `type` is 'Recreate'");
    return;
  }
  if (type != "RollingUpdate") {
    json::Document shown = go_struct(schema::apps_v1::kDeploymentStrategy, strategy);
    errors.not_supported(path, shown.root(), kTypes);
    return;
  }
  json::Value unavailable = rolling["maxUnavailable"];
  json::Value surge = rolling["maxSurge"];
  validate_int_or_percent(unavailable, Percent::kAny, at.child("maxUnavailable"), errors);
  validate_int_or_percent(surge, Percent::kAny, at.child("maxSurge"), errors);
  if (is_zero_count(unavailable) && is_zero_count(surge)) {
    errors.invalid(at.child("maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0");
  }
  if (unavailable.is_string()) {
    FieldErrors whole;
    validate_int_or_percent(unavailable, Percent::kAtMostWhole, at.child("maxUnavailable"), whole);
    std::string_view text = unavailable.as_string();
    if (!whole.empty() && text.ends_with('%') && parse_int(text.substr(0, text.size() - 1))) {
      errors.invalid(at.child("maxUnavailable"), text, "must not be greater than 100%");
    }
  }
}

void validate(json::Value object, FieldErrors& errors) {
  static constexpr const char* kLate[] = {"revisionHistoryLimit"};
  json::Value spec = object["spec"];
  Path path("spec");
  static constexpr const char* kReplicas[] = {"replicas"};
  static constexpr const char* kMinReady[] = {"minReadySeconds"};
  validate_counts(spec, path, kReplicas, errors);
  validate_selector_and_labels(spec, path, "empty selector is invalid for deployment",
                               UnsoundSelector::kNamed, errors);
  validate_workload_template(spec["template"], "ReplicaSet", path.child("template"), errors);
  validate_strategy(spec["strategy"], path.child("strategy"), errors);
  validate_counts(spec, path, kMinReady, errors);
  validate_counts(spec, path, kLate, errors);
  if (json::Value deadline = spec["progressDeadlineSeconds"]) {
    static constexpr const char* kDeadline[] = {"progressDeadlineSeconds"};
    validate_counts(spec, path, kDeadline, errors);
    if (deadline.as_int() <= spec["minReadySeconds"].as_int()) {
      errors.invalid(path.child("progressDeadlineSeconds"), deadline.as_int(),
                     "must be greater than minReadySeconds");
    }
  }
}

void validate_update(json::Value before, json::Value after, FieldErrors& errors) {
  validate_immutable(before["spec"]["selector"], after["spec"]["selector"],
                     Path("spec").child("selector"), errors);
}

void validate_status_update(json::Value, json::Value after, FieldErrors& errors) {
  static constexpr const char* kCounts[] = {"observedGeneration", "replicas",
                                            "updatedReplicas",    "readyReplicas",
                                            "availableReplicas",  "unavailableReplicas"};
  json::Value status = after["status"];
  Path path("status");
  validate_counts(status, path, kCounts, errors);
  int64_t replicas = status["replicas"].as_int();
  for (const char* field : {"updatedReplicas", "readyReplicas", "availableReplicas"}) {
    if (status[field].as_int() > replicas) {
      errors.invalid(path.child(field), status[field].as_int(),
                     "cannot be greater than status.replicas");
    }
  }
  if (status["availableReplicas"].as_int() > status["readyReplicas"].as_int()) {
    errors.invalid(path.child("availableReplicas"), status["availableReplicas"].as_int(),
                   "cannot be greater than readyReplicas");
  }
}

}  // namespace

constinit const Resource kDeployments = {
    .group = "apps",
    .version = "v1",
    .kind = "Deployment",
    .plural = "deployments",
    .singular = "deployment",
    .short_names = kShortNames,
    .categories = kAllCategory,
    .schema = &schema::apps_v1::kDeployment,
    .columns = kColumns,
    .subresources = kSubresources,
    .status_subresource = true,
    .generation = true,
    .apply_defaults = &apply_defaults,
    .prepare_update = &prepare_update,
    .validate = &validate,
    .validate_update = &validate_update,
    .validate_status_update = &validate_status_update,
    .warnings = &replicated_warnings,
    .pod_template = "spec.template",
};

}  // namespace wherry::api
