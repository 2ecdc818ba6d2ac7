// StatefulSet, DaemonSet and ControllerRevision, apps/v1. Rules from the Kubernetes API reference.

#include <set>

#include "api/cells.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/rows.h"
#include "api/schema_apps_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kStatefulShortNames[] = {"sts"};
constexpr std::string_view kDaemonShortNames[] = {"ds"};
constexpr Subresource kStatefulSubresources[] = {kScale, status_of("StatefulSet")};
constexpr Subresource kDaemonSubresources[] = {status_of("DaemonSet")};

constexpr Column kContainers = {.name = "Containers",
                                .description = "Containers of the template.",
                                .priority = 1,
                                .cell = &template_containers_cell};
constexpr Column kImages = {.name = "Images",
                            .description = "Images of the template.",
                            .priority = 1,
                            .cell = &template_images_cell};

// ---- StatefulSet

void stateful_ready_cell(json::Value object, Time, json::Node cells) {
  cells.push(fmt::format("{}/{}", count_at(object, "status", "readyReplicas"),
                         count_at(object, "spec", "replicas")));
}

constexpr Column kStatefulColumns[] = {
    kNameColumn,
    {.name = "Ready", .description = "Ready pods, of those wanted.", .cell = &stateful_ready_cell},
    kAgeColumn,
    kContainers,
    kImages,
};

void stateful_defaults(json::Node object) {
  json::Node spec = object.ensure_object("spec");
  if (spec["podManagementPolicy"].as_string().empty())
    spec.set("podManagementPolicy", "OrderedReady");
  json::Node strategy = spec.ensure_object("updateStrategy");
  // Who names the type says the rest too.
  if (strategy["type"].as_string().empty()) {
    strategy.set("type", "RollingUpdate");
    strategy.ensure_object("rollingUpdate");
  }
  json::Node rolling = strategy["rollingUpdate"];
  bool rolls = strategy["type"].as_string() == "RollingUpdate";
  if (rolls && rolling.is_object() && !rolling["partition"]) rolling.set("partition", 0);
  json::Node retention = spec.ensure_object("persistentVolumeClaimRetentionPolicy");
  for (const char* field : {"whenDeleted", "whenScaled"}) {
    if (retention[field].as_string().empty()) retention.set(field, "Retain");
  }
  for (json::Node claim : spec["volumeClaimTemplates"].items()) {
    if (!claim["spec"]["volumeMode"]) claim.ensure_object("spec").set("volumeMode", "Filesystem");
    claim.ensure_object("status").set("phase", "Pending");
    claim.set("apiVersion", "v1");
    claim.set("kind", "PersistentVolumeClaim");
  }
  default_template(object);
}

void validate_stateful_strategy(json::Value spec, const Path& path, FieldErrors& errors) {
  std::string_view management = spec["podManagementPolicy"].as_string();
  if (management != "OrderedReady" && management != "Parallel") {
    errors.invalid(path.child("podManagementPolicy"), management,
                   "must be 'OrderedReady' or 'Parallel'");
  }
  json::Value strategy = spec["updateStrategy"];
  Path at = path.child("updateStrategy");
  std::string_view type = strategy["type"].as_string();
  json::Value rolling = strategy["rollingUpdate"];
  if (type == "OnDelete") {
    if (rolling) {
      json::Document shown = go_struct(schema::apps_v1::kRollingUpdateStatefulSetStrategy, rolling);
      errors.invalid(at.child("rollingUpdate"), shown.root(),
                     "only allowed for updateStrategy 'RollingUpdate'");
    }
  } else if (type != "RollingUpdate") {
    json::Document shown = go_struct(schema::apps_v1::kStatefulSetUpdateStrategy, strategy);
    errors.invalid(at, shown.root(), "must be 'RollingUpdate' or 'OnDelete'");
  } else {
    static constexpr const char* kPartition[] = {"partition"};
    validate_counts(rolling, at.child("rollingUpdate"), kPartition, errors);
  }
}

// To have several pods down at a time is a feature that is off.
void drop_disabled(json::Node object) {
  object["spec"]["updateStrategy"]["rollingUpdate"].remove("maxUnavailable");
  drop_disabled_pod_fields(object["spec"]["template"]["spec"]);
}
void stateful_prepare_create(json::Node object, Time) { drop_disabled(object); }
void stateful_prepare_update(json::Value, json::Node after, Time) { drop_disabled(after); }

void validate_retention(json::Value policy, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kPolicies[] = {"Retain", "Delete"};
  for (const char* field : {"whenDeleted", "whenScaled"}) {
    if (policy[field]) check_enum(policy[field].as_string(), kPolicies, path.child(field), errors);
  }
}

void validate_stateful_status(json::Value, json::Value after, FieldErrors& errors) {
  static constexpr const char* kCounts[] = {
      "replicas",          "readyReplicas",      "currentReplicas", "updatedReplicas",
      "availableReplicas", "observedGeneration", "collisionCount"};
  json::Value status = after["status"];
  Path path("status");
  validate_counts(status, path, kCounts, errors);
  auto at_most = [&](const char* field, const char* limit) {
    if (status[field].as_int() > status[limit].as_int()) {
      errors.invalid(path.child(field), status[field].as_int(),
                     fmt::format("cannot be greater than status.{}", limit));
    }
  };
  for (const char* field :
       {"readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"})
    at_most(field, "replicas");
  at_most("availableReplicas", "readyReplicas");
}

std::vector<std::string> stateful_warnings(json::Value object) {
  std::vector<std::string> out = workload_warnings(object);
  if (object["spec"]["revisionHistoryLimit"].as_int() < 0) {
    out.emplace_back(
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= "
        "0 is recommended");
  }
  return out;
}

// The spec with a template as its pods will be: a claim is a volume, in place of one of that name.
json::Document with_claims(json::Value spec) {
  json::Draft out(spec);
  json::Node pod = out.root()["template"]["spec"];
  if (!pod.is_object()) return out.freeze();
  std::set<std::string_view> names;
  json::Node volumes = pod.set_array("volumes");
  for (json::Value claim : spec["volumeClaimTemplates"].items()) {
    std::string_view name = claim["metadata"]["name"].as_string();
    if (!names.insert(name).second) continue;
    json::Node volume = volumes.push_object();
    volume.set("name", name);
    volume.set_object("persistentVolumeClaim").set("claimName", name);
  }
  for (json::Value volume : spec["template"]["spec"]["volumes"].items()) {
    if (!names.contains(volume["name"].as_string())) volumes.push(volume);
  }
  return out.freeze();
}

void validate_stateful(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  static constexpr const char* kReplicas[] = {"replicas"};
  static constexpr const char* kMinReady[] = {"minReadySeconds"};
  static constexpr const char* kStart[] = {"start"};
  validate_stateful_strategy(spec, path, errors);
  size_t at = 0;
  for (json::Value claim : spec["volumeClaimTemplates"].items()) {
    validate_claim_template(claim, path.child("volumeClaimTemplates").index(at++), errors);
  }
  validate_counts(spec, path, kReplicas, errors);
  validate_counts(spec, path, kMinReady, errors);
  validate_counts(spec["ordinals"], path.child("ordinals"), kStart, errors);
  validate_retention(spec["persistentVolumeClaimRetentionPolicy"],
                     path.child("persistentVolumeClaimRetentionPolicy"), errors);
  validate_selector_and_labels(spec, path, "empty selector is invalid for statefulset",
                               UnsoundSelector::kShown, errors);
  bool claims = !spec["volumeClaimTemplates"].empty();
  json::Document mounted = claims ? with_claims(spec) : json::Document();
  json::Value pod_template = (claims ? mounted.root() : spec)["template"];
  // Upstream goes over the template's metadata twice.
  Path inside = path.child("template");
  json::Value meta = pod_template["metadata"];
  validate_labels(meta["labels"], inside.child("labels"), errors);
  validate_annotations(meta["annotations"], inside.child("annotations"), errors);
  validate_pod_annotations(meta["annotations"], pod_template["spec"], inside.child("annotations"),
                           errors);
  validate_workload_template(pod_template, "StatefulSet", inside, errors);
  if (std::string_view service = spec["serviceName"].as_string(); !service.empty()) {
    report(dns_label_problems(service), path.child("serviceName"), service, errors);
  }
}

void validate_stateful_update(json::Value before, json::Value after, FieldErrors& errors) {
  static constexpr std::string_view kOpen[] = {"replicas",
                                               "ordinals",
                                               "template",
                                               "updateStrategy",
                                               "revisionHistoryLimit",
                                               "persistentVolumeClaimRetentionPolicy",
                                               "minReadySeconds"};
  json::Draft old_spec(before["spec"]);
  json::Draft new_spec(after["spec"]);
  for (std::string_view field : kOpen) {
    old_spec.root().remove(field);
    new_spec.root().remove(field);
  }
  if (json::equal(old_spec.root(), new_spec.root())) return;
  errors.forbidden(
      Path("spec"),
      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
      "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
      "'minReadySeconds' are forbidden");
}

// ---- DaemonSet

void desired_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "desiredNumberScheduled"));
}
void current_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "currentNumberScheduled"));
}
void ready_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "numberReady"));
}
void updated_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "updatedNumberScheduled"));
}
void available_cell(json::Value object, Time, json::Node cells) {
  cells.push(count_at(object, "status", "numberAvailable"));
}
void node_selector_cell(json::Value object, Time, json::Node cells) {
  cells.push(labels_text(object["spec"]["template"]["spec"]["nodeSelector"]));
}

constexpr Column kDaemonColumns[] = {
    kNameColumn,
    {.name = "Desired",
     .type = "integer",
     .description = "Nodes that should run a pod.",
     .cell = &desired_cell},
    {.name = "Current",
     .type = "integer",
     .description = "Nodes that run one.",
     .cell = &current_cell},
    {.name = "Ready",
     .type = "integer",
     .description = "Nodes whose pod is ready.",
     .cell = &ready_cell},
    {.name = "Up-to-date",
     .type = "integer",
     .description = "Nodes with a pod of the current template.",
     .cell = &updated_cell},
    {.name = "Available",
     .type = "integer",
     .description = "Nodes whose pod has been ready for minReadySeconds.",
     .cell = &available_cell},
    {.name = "Node Selector", .description = "Which nodes it picks.", .cell = &node_selector_cell},
    kAgeColumn,
    kContainers,
    kImages,
    {.name = "Selector",
     .description = "Which pods it manages.",
     .priority = 1,
     .cell = &selector_cell},
};

constexpr std::string_view kTemplateGeneration = "deprecated.daemonset.template.generation";

void daemon_defaults(json::Node object) {
  json::Node strategy = object.ensure_object("spec").ensure_object("updateStrategy");
  if (strategy["type"].as_string().empty()) strategy.set("type", "RollingUpdate");
  bool rolls = strategy["type"].as_string() == "RollingUpdate";
  if (rolls) strategy.ensure_object("rollingUpdate");
  if (json::Node rolling = strategy["rollingUpdate"]; rolling.is_object()) {
    if (!rolling["maxUnavailable"]) rolling.set("maxUnavailable", rolls ? 1 : 0);
    if (!rolling["maxSurge"]) rolling.set("maxSurge", 0);
  }
  // It is the caller's, though the server counts.
  json::Node annotations = object.ensure_object("metadata").ensure_object("annotations");
  if (!annotations[kTemplateGeneration]) annotations.set(kTemplateGeneration, "0");
  default_template(object);
}

void daemon_prepare_create(json::Node object, Time) {
  json::Node annotations = object.ensure_object("metadata").ensure_object("annotations");
  int64_t number = parse_int(annotations[kTemplateGeneration].as_string()).value_or(1);
  annotations.set(kTemplateGeneration, std::to_string(std::max<int64_t>(number, 1)));
}

// The annotation stands for a field that the Go type still has.
std::string daemon_fault(json::Value object) {
  json::Value number = object["metadata"]["annotations"][kTemplateGeneration];
  if (!number || parse_int(number.as_string())) return {};
  return fmt::format("strconv.ParseInt: parsing {}: invalid syntax", quote(number.as_string()));
}

// The number of templates the set has had; old clients read it.
void daemon_prepare_update(json::Value before, json::Node after, Time) {
  std::string_view text = before["metadata"]["annotations"][kTemplateGeneration].as_string();
  int64_t number = parse_int(text).value_or(1);
  json::Draft old_template(before["spec"]["template"]);
  if (!json::equal(old_template.root(), after["spec"]["template"])) ++number;
  after.ensure_object("metadata")
      .ensure_object("annotations")
      .set(kTemplateGeneration, std::to_string(number));
}

void validate_daemon(json::Value object, FieldErrors& errors) {
  static constexpr std::string_view kTypes[] = {"RollingUpdate", "OnDelete"};
  static constexpr const char* kCounts[] = {"minReadySeconds"};
  static constexpr const char* kHistory[] = {"revisionHistoryLimit"};
  json::Value spec = object["spec"];
  Path path("spec");
  // Upstream leaves a missing selector to the labels' rule here.
  FieldErrors selector_errors;
  validate_selector_and_labels(spec, path, "empty selector is invalid for daemonset",
                               UnsoundSelector::kNothing, selector_errors);
  for (const Cause& cause : selector_errors.causes()) {
    if (cause.reason != "FieldValueRequired" || cause.field != "spec.selector") errors.copy(cause);
  }
  validate_workload_template(spec["template"], "DaemonSet", path.child("template"), errors);
  validate_counts(spec, path, kCounts, errors);
  json::Value strategy = spec["updateStrategy"];
  Path at = path.child("updateStrategy");
  std::string_view type = strategy["type"].as_string();
  if (type == "RollingUpdate") {
    json::Value rolling = strategy["rollingUpdate"];
    Path item = at.child("rollingUpdate");
    validate_int_or_percent(rolling["maxUnavailable"], Percent::kAtMostWhole,
                            item.child("maxUnavailable"), errors);
    validate_int_or_percent(rolling["maxSurge"], Percent::kAtMostWhole, item.child("maxSurge"),
                            errors);
    if (is_zero_count(rolling["maxUnavailable"]) && is_zero_count(rolling["maxSurge"])) {
      errors.required(item.child("maxUnavailable"), "cannot be 0 when maxSurge is 0");
    }
    if (!is_zero_count(rolling["maxUnavailable"]) && !is_zero_count(rolling["maxSurge"])) {
      errors.invalid(item.child("maxSurge"), rolling["maxSurge"],
                     "may not be set when maxUnavailable is non-zero");
    }
  } else if (type != "OnDelete") {
    json::Document shown = go_struct(schema::apps_v1::kDaemonSetUpdateStrategy, strategy);
    errors.not_supported(at, shown.root(), kTypes);
  }
  validate_counts(spec, path, kHistory, errors);
}

void validate_daemon_status(json::Value, json::Value after, FieldErrors& errors) {
  static constexpr const char* kCounts[] = {"currentNumberScheduled", "numberMisscheduled",
                                            "desiredNumberScheduled", "numberReady",
                                            "observedGeneration",     "updatedNumberScheduled",
                                            "numberAvailable",        "numberUnavailable",
                                            "collisionCount"};
  validate_counts(after["status"], Path("status"), kCounts, errors);
}

void validate_daemon_update(json::Value before, json::Value after, FieldErrors& errors) {
  validate_immutable(before["spec"]["selector"], after["spec"]["selector"],
                     Path("spec").child("selector"), errors);
}

// ---- ControllerRevision

void controller_cell(json::Value object, Time, json::Node cells) {
  std::string text = "<none>";
  for (json::Value owner : object["metadata"]["ownerReferences"].items()) {
    if (!owner["controller"].as_bool()) continue;
    std::string_view version = owner["apiVersion"].as_string();
    size_t slash = version.find('/');
    text = to_lower(owner["kind"].as_string());
    if (slash != std::string_view::npos) text += "." + std::string(version.substr(0, slash));
    text += "/" + std::string(owner["name"].as_string());
  }
  cells.push(text);
}
void revision_cell(json::Value object, Time, json::Node cells) {
  cells.push(std::to_string(object["revision"].as_int()));
}

constexpr Column kRevisionColumns[] = {
    kNameColumn,
    {.name = "Controller", .description = "Whose revision it is.", .cell = &controller_cell},
    {.name = "Revision", .description = "Number of the revision.", .cell = &revision_cell},
    kAgeColumn,
};

void validate_revision(json::Value object, FieldErrors& errors) {
  json::Value data = object["data"];
  if (!data) {
    errors.required(Path("data"), "data is mandatory");
  } else if (!data.is_object()) {
    errors.required(Path("data"), "data must be a valid JSON object");
  }
  check_not_negative(object["revision"], Path("revision"), errors);
}
void validate_revision_update(json::Value before, json::Value after, FieldErrors& errors) {
  check_not_negative(after["revision"], Path("revision"), errors);
  validate_immutable(before["data"], after["data"], Path("data"), errors);
}

}  // namespace

constinit const Resource kStatefulSets = {
    .group = "apps",
    .version = "v1",
    .kind = "StatefulSet",
    .plural = "statefulsets",
    .singular = "statefulset",
    .short_names = kStatefulShortNames,
    .categories = kAllCategory,
    .schema = &schema::apps_v1::kStatefulSet,
    .columns = kStatefulColumns,
    .subresources = kStatefulSubresources,
    .status_subresource = true,
    .generation = true,
    .apply_defaults = &stateful_defaults,
    .prepare_create = &stateful_prepare_create,
    .prepare_update = &stateful_prepare_update,
    .validate = &validate_stateful,
    .validate_update = &validate_stateful_update,
    .validate_status_update = &validate_stateful_status,
    .valid_name = &valid_dns_label_name,
    .warnings = &stateful_warnings,
    .pod_template = "spec.template",
};

constinit const Resource kDaemonSets = {
    .group = "apps",
    .version = "v1",
    .kind = "DaemonSet",
    .plural = "daemonsets",
    .singular = "daemonset",
    .short_names = kDaemonShortNames,
    .categories = kAllCategory,
    .schema = &schema::apps_v1::kDaemonSet,
    .columns = kDaemonColumns,
    .subresources = kDaemonSubresources,
    .status_subresource = true,
    .generation = true,
    .update_rules = UpdateRules::kChangeFirst,
    .apply_defaults = &daemon_defaults,
    .prepare_create = &daemon_prepare_create,
    .prepare_update = &daemon_prepare_update,
    .validate = &validate_daemon,
    .validate_update = &validate_daemon_update,
    .validate_status_update = &validate_daemon_status,
    .conversion_fault = &daemon_fault,
    .warnings = &workload_warnings,
    .pod_template = "spec.template",
};

constinit const Resource kControllerRevisions = {
    .group = "apps",
    .version = "v1",
    .kind = "ControllerRevision",
    .plural = "controllerrevisions",
    .singular = "controllerrevision",
    .schema = &schema::apps_v1::kControllerRevision,
    .columns = kRevisionColumns,
    .update_rules = UpdateRules::kChangeOnly,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_revision,
    .validate_update = &validate_revision_update,
};

}  // namespace wherry::api
