// Deployment, DaemonSet, ReplicaSet, StatefulSet and ControllerRevision as extensions/v1beta1,
// apps/v1beta1 and apps/v1beta2 had them. What differs is their defaults. Rules from the Kubernetes
// API reference of 1.15.

#include <limits>

#include "api/retired.h"
#include "api/rows.h"
#include "api/schema_apps_v1.h"
#include "api/schema_extensions_v1beta1.h"
#include "api/workload_rules.h"

namespace wherry::api {
namespace {

constexpr Subresource kDeploymentParts[] = {kScale, status_of("Deployment")};
constexpr Subresource kReplicaSetParts[] = {kScale, status_of("ReplicaSet")};
constexpr Subresource kStatefulSetParts[] = {kScale, status_of("StatefulSet")};
constexpr Subresource kDaemonSetParts[] = {status_of("DaemonSet")};

// Without a selector the labels of the template were meant.
void select_template(json::Node object) {
  json::Node spec = object.ensure_object("spec");
  json::Node selector = spec["selector"];
  json::Node labels = spec["template"]["metadata"]["labels"];
  bool stated = !selector["matchLabels"].empty() || !selector["matchExpressions"].empty();
  if (!stated && !labels.empty()) spec.set_object("selector").set("matchLabels", labels);
}

void set_strategy_type(json::Node spec, const char* strategy, const char* type) {
  json::Node node = spec.ensure_object(strategy);
  if (node["type"].as_string().empty()) node.set("type", type);
}

// No deadline and all history, and one pod at a time.
void extensions_deployment_defaults(json::Node object) {
  constexpr int64_t kNoLimit = std::numeric_limits<int32_t>::max();
  select_template(object);
  json::Node spec = object["spec"];
  set_strategy_type(spec, "strategy", "RollingUpdate");
  json::Node strategy = spec["strategy"];
  if (strategy["type"].as_string() == "RollingUpdate") {
    json::Node rolling = strategy.ensure_object("rollingUpdate");
    for (const char* field : {"maxUnavailable", "maxSurge"}) {
      if (!rolling[field]) rolling.set(field, 1);
    }
  }
  for (const char* field : {"revisionHistoryLimit", "progressDeadlineSeconds"}) {
    if (!spec[field]) spec.set(field, kNoLimit);
  }
}

void beta_deployment_defaults(json::Node object) {
  select_template(object);
  if (!object["spec"]["revisionHistoryLimit"]) object["spec"].set("revisionHistoryLimit", 2);
}

// Pods were replaced only as somebody deleted them.
void on_delete_defaults(json::Node object) {
  select_template(object);
  set_strategy_type(object["spec"], "updateStrategy", "OnDelete");
}

void deployment_to_stored(json::Node object) { object["spec"].remove("rollbackTo"); }
void daemon_set_to_stored(json::Node object) { object["spec"].remove("templateGeneration"); }

}  // namespace

constinit const Resource kDeploymentsExtensions = {
    .group = "extensions",
    .version = "v1beta1",
    .kind = "Deployment",
    .plural = "deployments",
    .singular = "deployment",
    .schema = &schema::extensions_v1beta1::kDeployment,
    .subresources = kDeploymentParts,
    .status_subresource = true,
    .apply_defaults = &extensions_deployment_defaults,
    .stored_as = &kDeployments,
    .to_stored = &deployment_to_stored,
};

constinit const Resource kDaemonSetsExtensions = {
    .group = "extensions",
    .version = "v1beta1",
    .kind = "DaemonSet",
    .plural = "daemonsets",
    .singular = "daemonset",
    .schema = &schema::extensions_v1beta1::kDaemonSet,
    .subresources = kDaemonSetParts,
    .status_subresource = true,
    .apply_defaults = &on_delete_defaults,
    .stored_as = &kDaemonSets,
    .to_stored = &daemon_set_to_stored,
};

constinit const Resource kReplicaSetsExtensions = {
    .group = "extensions",
    .version = "v1beta1",
    .kind = "ReplicaSet",
    .plural = "replicasets",
    .singular = "replicaset",
    .schema = &schema::extensions_v1beta1::kReplicaSet,
    .subresources = kReplicaSetParts,
    .status_subresource = true,
    .apply_defaults = &select_template,
    .stored_as = &kReplicaSets,
};

constinit const Resource kDeploymentsV1beta1 = {
    .group = "apps",
    .version = "v1beta1",
    .kind = "Deployment",
    .plural = "deployments",
    .singular = "deployment",
    .schema = &schema::apps_v1::kDeployment,
    .subresources = kDeploymentParts,
    .status_subresource = true,
    .apply_defaults = &beta_deployment_defaults,
    .stored_as = &kDeployments,
    .to_stored = &deployment_to_stored,
};

constinit const Resource kStatefulSetsV1beta1 = {
    .group = "apps",
    .version = "v1beta1",
    .kind = "StatefulSet",
    .plural = "statefulsets",
    .singular = "statefulset",
    .schema = &schema::apps_v1::kStatefulSet,
    .subresources = kStatefulSetParts,
    .status_subresource = true,
    .apply_defaults = &on_delete_defaults,
    .stored_as = &kStatefulSets,
};

constinit const Resource kControllerRevisionsV1beta1 = {
    .group = "apps",
    .version = "v1beta1",
    .kind = "ControllerRevision",
    .plural = "controllerrevisions",
    .singular = "controllerrevision",
    .schema = &schema::apps_v1::kControllerRevision,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .stored_as = &kControllerRevisions,
};

constinit const Resource kDeploymentsV1beta2 = {
    .group = "apps",
    .version = "v1beta2",
    .kind = "Deployment",
    .plural = "deployments",
    .singular = "deployment",
    .schema = &schema::apps_v1::kDeployment,
    .subresources = kDeploymentParts,
    .status_subresource = true,
    .stored_as = &kDeployments,
};

constinit const Resource kDaemonSetsV1beta2 = {
    .group = "apps",
    .version = "v1beta2",
    .kind = "DaemonSet",
    .plural = "daemonsets",
    .singular = "daemonset",
    .schema = &schema::apps_v1::kDaemonSet,
    .subresources = kDaemonSetParts,
    .status_subresource = true,
    .stored_as = &kDaemonSets,
};

constinit const Resource kReplicaSetsV1beta2 = {
    .group = "apps",
    .version = "v1beta2",
    .kind = "ReplicaSet",
    .plural = "replicasets",
    .singular = "replicaset",
    .schema = &schema::apps_v1::kReplicaSet,
    .subresources = kReplicaSetParts,
    .status_subresource = true,
    .stored_as = &kReplicaSets,
};

constinit const Resource kStatefulSetsV1beta2 = {
    .group = "apps",
    .version = "v1beta2",
    .kind = "StatefulSet",
    .plural = "statefulsets",
    .singular = "statefulset",
    .schema = &schema::apps_v1::kStatefulSet,
    .subresources = kStatefulSetParts,
    .status_subresource = true,
    .stored_as = &kStatefulSets,
};

constinit const Resource kControllerRevisionsV1beta2 = {
    .group = "apps",
    .version = "v1beta2",
    .kind = "ControllerRevision",
    .plural = "controllerrevisions",
    .singular = "controllerrevision",
    .schema = &schema::apps_v1::kControllerRevision,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .stored_as = &kControllerRevisions,
};

}  // namespace wherry::api
