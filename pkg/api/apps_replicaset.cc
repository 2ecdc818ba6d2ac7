// ReplicaSet, apps/v1, and its forerunner ReplicationController, core/v1. Rules from the Kubernetes
// API reference.

#include "api/cells.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quota.h"
#include "api/rows.h"
#include "api/schema_apps_v1.h"
#include "api/schema_core_v1.h"
#include "api/selector.h"
#include "api/workload_rules.h"

namespace wherry::api {
namespace {

constexpr std::string_view kSetShortNames[] = {"rs"};
constexpr std::string_view kControllerShortNames[] = {"rc"};
constexpr Subresource kSetSubresources[] = {kScale, status_of("ReplicaSet")};
constexpr Subresource kControllerSubresources[] = {kScale, status_of("ReplicationController")};

std::string status_replicas(json::Value object) {
  return std::to_string(count_at(object, "status", "replicas"));
}
constexpr SelectableField kFields[] = {{.path = "status.replicas", .value = &status_replicas}};

void desired_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "spec", "replicas"));
}
void current_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "replicas"));
}
void ready_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "readyReplicas"));
}
void map_selector_cell(json::Value object, Time, json::Node cells) {
  cells.push(labels_text(object["spec"]["selector"]));
}

constexpr Column columns_with(void (*selector)(json::Value, Time, json::Node)) {
  return {
      .name = "Selector", .description = "Which pods it manages.", .priority = 1, .cell = selector};
}
constexpr Column kDesired = {
    .name = "Desired", .type = "integer", .description = "Pods wanted.", .cell = &desired_cell};
constexpr Column kCurrent = {
    .name = "Current", .type = "integer", .description = "Pods that exist.", .cell = &current_cell};
constexpr Column kReady = {
    .name = "Ready", .type = "integer", .description = "Pods that are ready.", .cell = &ready_cell};
constexpr Column kContainers = {.name = "Containers",
                                .description = "Containers of the template.",
                                .priority = 1,
                                .cell = &template_containers_cell};
constexpr Column kImages = {.name = "Images",
                            .description = "Images of the template.",
                            .priority = 1,
                            .cell = &template_images_cell};
constexpr Column kSetColumns[] = {kNameColumn, kDesired,    kCurrent, kReady,
                                  kAgeColumn,  kContainers, kImages,  columns_with(&selector_cell)};
constexpr Column kControllerColumns[] = {
    kNameColumn, kDesired,    kCurrent, kReady,
    kAgeColumn,  kContainers, kImages,  columns_with(&map_selector_cell)};

constexpr const char* kSpecCounts[] = {"replicas", "minReadySeconds"};
constexpr const char* kStatusCounts[] = {"replicas", "fullyLabeledReplicas", "readyReplicas",
                                         "availableReplicas", "observedGeneration"};

void validate_set(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  validate_counts(spec, path, kSpecCounts, errors);
  validate_selector_and_labels(spec, path, "empty selector is invalid for deployment",
                               UnsoundSelector::kNamed, errors);
  validate_workload_template(spec["template"], "ReplicaSet", path.child("template"), errors);
}

void validate_set_update(json::Value before, json::Value after, FieldErrors& errors) {
  validate_immutable(before["spec"]["selector"], after["spec"]["selector"],
                     Path("spec").child("selector"), errors);
}

void validate_status(json::Value, json::Value after, FieldErrors& errors) {
  json::Value status = after["status"];
  Path path("status");
  validate_counts(status, path, kStatusCounts, errors);
  int64_t replicas = status["replicas"].as_int();
  for (const char* field : {"fullyLabeledReplicas", "readyReplicas", "availableReplicas"}) {
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

// A new set has made nothing yet.
void reset_status(json::Node object, Time) { object.set_object("status").set("replicas", 0); }

// A controller without selector or labels takes those of its template.
void controller_defaults(json::Node object) {
  json::Node spec = object.ensure_object("spec");
  json::Node labels = spec["template"]["metadata"]["labels"];
  if (labels.is_object() && !labels.empty()) {
    if (spec["selector"].empty()) spec.set("selector", labels);
    json::Node meta = object.ensure_object("metadata");
    if (meta["labels"].empty()) meta.set("labels", labels);
  }
  default_template(object);
}

void validate_controller(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  static constexpr const char* kMinReady[] = {"minReadySeconds"};
  static constexpr const char* kReplicas[] = {"replicas"};
  validate_counts(spec, path, kMinReady, errors);
  json::Value selector = spec["selector"];
  if (selector.empty()) errors.required(path.child("selector"), "");
  validate_counts(spec, path, kReplicas, errors);
  if (!spec["template"]) {
    errors.required(path.child("template"), "");
    return;
  }
  json::Value labels = spec["template"]["metadata"]["labels"];
  if (!selector.empty() && !Selector::from_map(selector, true).matches_labels(labels)) {
    errors.invalid(path.child("template").child("metadata").child("labels"), labels,
                   "`selector` does not match template `labels`");
  }
  validate_workload_template(spec["template"], "ReplicationController", path.child("template"),
                             errors);
}

}  // namespace

constinit const Resource kReplicaSets = {
    .group = "apps",
    .version = "v1",
    .kind = "ReplicaSet",
    .plural = "replicasets",
    .singular = "replicaset",
    .short_names = kSetShortNames,
    .categories = kAllCategory,
    .schema = &schema::apps_v1::kReplicaSet,
    .columns = kSetColumns,
    .subresources = kSetSubresources,
    .selectable_fields = kFields,
    .status_subresource = true,
    .generation = true,
    .apply_defaults = &default_template,
    .prepare_create = &reset_status,
    .validate = &validate_set,
    .validate_update = &validate_set_update,
    .validate_status_update = &validate_status,
    .warnings = &replicated_warnings,
    .pod_template = "spec.template",
};

constinit const Resource kReplicationControllers = {
    .group = "",
    .version = "v1",
    .kind = "ReplicationController",
    .plural = "replicationcontrollers",
    .singular = "replicationcontroller",
    .short_names = kControllerShortNames,
    .categories = kAllCategory,
    .schema = &schema::core_v1::kReplicationController,
    .columns = kControllerColumns,
    .subresources = kControllerSubresources,
    .selectable_fields = kFields,
    .status_subresource = true,
    .generation = true,
    .orphans = true,
    .apply_defaults = &controller_defaults,
    .prepare_create = &reset_status,
    .validate = &validate_controller,
    .validate_status_update = &validate_status,
    .warnings = &replicated_warnings,
    .pod_template = "spec.template",
    .quota = &kQuotaByPlural,
};

}  // namespace wherry::api
