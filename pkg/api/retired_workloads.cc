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

constexpr RetiredKind kDeploymentKind = {"Deployment", "deployments", "deployment", &kDeployments,
                                         kDeploymentParts};
constexpr RetiredKind kDaemonSetKind = {"DaemonSet", "daemonsets", "daemonset", &kDaemonSets,
                                        kDaemonSetParts};
constexpr RetiredKind kReplicaSetKind = {"ReplicaSet", "replicasets", "replicaset", &kReplicaSets,
                                         kReplicaSetParts};
constexpr RetiredKind kStatefulSetKind = {"StatefulSet", "statefulsets", "statefulset",
                                          &kStatefulSets, kStatefulSetParts};
constexpr RetiredKind kControllerRevisionKind = {"ControllerRevision", "controllerrevisions",
                                                 "controllerrevision", &kControllerRevisions};

}  // namespace

constinit const Resource kDeploymentsExtensions =
    retired(kDeploymentKind, {.group = "extensions",
                              .version = "v1beta1",
                              .schema = &schema::extensions_v1beta1::kDeployment,
                              .apply_defaults = &extensions_deployment_defaults,
                              .to_stored = &deployment_to_stored});

constinit const Resource kDaemonSetsExtensions =
    retired(kDaemonSetKind, {.group = "extensions",
                             .version = "v1beta1",
                             .schema = &schema::extensions_v1beta1::kDaemonSet,
                             .apply_defaults = &on_delete_defaults,
                             .to_stored = &daemon_set_to_stored});

constinit const Resource kReplicaSetsExtensions =
    retired(kReplicaSetKind, {.group = "extensions",
                              .version = "v1beta1",
                              .schema = &schema::extensions_v1beta1::kReplicaSet,
                              .apply_defaults = &select_template});

constinit const Resource kDeploymentsV1beta1 =
    retired(kDeploymentKind, {.group = "apps",
                              .version = "v1beta1",
                              .schema = &schema::apps_v1::kDeployment,
                              .apply_defaults = &beta_deployment_defaults,
                              .to_stored = &deployment_to_stored});

constinit const Resource kStatefulSetsV1beta1 =
    retired(kStatefulSetKind, {.group = "apps",
                               .version = "v1beta1",
                               .schema = &schema::apps_v1::kStatefulSet,
                               .apply_defaults = &on_delete_defaults});

constinit const Resource kControllerRevisionsV1beta1 =
    retired(kControllerRevisionKind, {.group = "apps",
                                      .version = "v1beta1",
                                      .schema = &schema::apps_v1::kControllerRevision,
                                      .meta_checks = MetaChecks::kChangeAndWhole});

constinit const Resource kDeploymentsV1beta2 =
    retired(kDeploymentKind,
            {.group = "apps", .version = "v1beta2", .schema = &schema::apps_v1::kDeployment});

constinit const Resource kDaemonSetsV1beta2 =
    retired(kDaemonSetKind,
            {.group = "apps", .version = "v1beta2", .schema = &schema::apps_v1::kDaemonSet});

constinit const Resource kReplicaSetsV1beta2 =
    retired(kReplicaSetKind,
            {.group = "apps", .version = "v1beta2", .schema = &schema::apps_v1::kReplicaSet});

constinit const Resource kStatefulSetsV1beta2 =
    retired(kStatefulSetKind,
            {.group = "apps", .version = "v1beta2", .schema = &schema::apps_v1::kStatefulSet});

constinit const Resource kControllerRevisionsV1beta2 =
    retired(kControllerRevisionKind, {.group = "apps",
                                      .version = "v1beta2",
                                      .schema = &schema::apps_v1::kControllerRevision,
                                      .meta_checks = MetaChecks::kChangeAndWhole});

}  // namespace wherry::api
