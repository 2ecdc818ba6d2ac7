// HorizontalPodAutoscaler as autoscaling/v2beta1 and v2beta2 had it, CronJob of batch/v1beta1,
// PodDisruptionBudget of policy/v1beta1, and the kinds of rbac.authorization.k8s.io/v1beta1. Rules
// from the Kubernetes API reference of 1.21.

#include "api/autoscaling_metrics.h"
#include "api/retired.h"
#include "api/rows.h"
#include "api/schema_autoscaling_v2.h"
#include "api/schema_autoscaling_v2beta1.h"
#include "api/schema_batch_v1.h"
#include "api/schema_policy_v1.h"
#include "api/schema_rbac_v1.h"

namespace wherry::api {
namespace {

constexpr std::string_view kAuthorization = "rbac.authorization.k8s.io";
constexpr Subresource kScalerParts[] = {status_of("HorizontalPodAutoscaler")};
constexpr Subresource kCronJobParts[] = {status_of("CronJob")};
constexpr Subresource kBudgetParts[] = {status_of("PodDisruptionBudget")};

void scaler_to_stored(json::Node scaler) {
  unflatten_metrics(scaler["spec"]["metrics"]);
  unflatten_current_metrics(scaler["status"]["currentMetrics"]);
}

// It had no words for the behavior.
void scaler_from_stored(json::Node scaler) {
  flatten_metrics(scaler["spec"]["metrics"]);
  flatten_current_metrics(scaler["status"]["currentMetrics"]);
  scaler["spec"].remove("behavior");
}

// An empty selector took no pod in v1beta1 and takes every one now. Of the two conditions on a
// label that nobody has, one never holds and one always.
constexpr const char* kEmptySelector = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";

void set_selector(json::Node spec, const char* condition) {
  json::Node selector = spec.set_object("selector");
  json::Node expression = selector.set_array("matchExpressions").push_object();
  expression.set("key", kEmptySelector);
  expression.set("operator", condition);
}

bool is_only(json::Node selector, const char* condition) {
  json::Node expression = selector["matchExpressions"].at(0);
  return selector["matchExpressions"].size() == 1 && selector["matchLabels"].empty() &&
         expression["key"].as_string() == kEmptySelector &&
         expression["operator"].as_string() == condition;
}

void budget_to_stored(json::Node budget) {
  json::Node spec = budget["spec"];
  json::Node selector = spec["selector"];
  if (!selector.is_object()) return;
  if (selector.empty()) {
    set_selector(spec, "Exists");
  } else if (is_only(selector, "DoesNotExist")) {
    spec.set_object("selector");
  }
}

void budget_from_stored(json::Node budget) {
  json::Node spec = budget["spec"];
  json::Node selector = spec["selector"];
  if (!selector.is_object()) return;
  if (selector.empty()) {
    set_selector(spec, "DoesNotExist");
  } else if (is_only(selector, "Exists")) {
    spec.set_object("selector");
  }
}

// In this version the template was a Job to its defaults, of which it got these.
void beta_cron_job_defaults(json::Node object) {
  json::Node job = object["spec"]["jobTemplate"]["spec"];
  if (!job) return;
  if (!job["completionMode"]) job.set("completionMode", "NonIndexed");
  for (const char* field : {"manualSelector", "suspend"}) {
    if (!job[field]) job.set(field, false);
  }
}

constexpr RetiredKind kHorizontalPodAutoscalerKind = {
    "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler",
    &kHorizontalPodAutoscalers, kScalerParts};
constexpr RetiredKind kCronJobKind = {"CronJob", "cronjobs", "cronjob", &kCronJobs, kCronJobParts};
constexpr RetiredKind kPodDisruptionBudgetKind = {"PodDisruptionBudget", "poddisruptionbudgets",
                                                  "poddisruptionbudget", &kPodDisruptionBudgets,
                                                  kBudgetParts};
constexpr RetiredKind kClusterRoleKind = {"ClusterRole", "clusterroles", "clusterrole",
                                          &kClusterRoles};
constexpr RetiredKind kClusterRoleBindingKind = {"ClusterRoleBinding", "clusterrolebindings",
                                                 "clusterrolebinding", &kClusterRoleBindings};
constexpr RetiredKind kRoleKind = {"Role", "roles", "role", &kRoles};
constexpr RetiredKind kRoleBindingKind = {"RoleBinding", "rolebindings", "rolebinding",
                                          &kRoleBindings};

}  // namespace

constinit const Resource kHorizontalPodAutoscalersV2beta1 = retired(
    kHorizontalPodAutoscalerKind, {.group = "autoscaling",
                                   .version = "v2beta1",
                                   .schema = &schema::autoscaling_v2beta1::kHorizontalPodAutoscaler,
                                   .to_stored = &scaler_to_stored,
                                   .from_stored = &scaler_from_stored});

constinit const Resource kHorizontalPodAutoscalersV2beta2 = retired(
    kHorizontalPodAutoscalerKind, {.group = "autoscaling",
                                   .version = "v2beta2",
                                   .schema = &schema::autoscaling_v2::kHorizontalPodAutoscaler});

constinit const Resource kCronJobsV1beta1 =
    retired(kCronJobKind, {.group = "batch",
                           .version = "v1beta1",
                           .schema = &schema::batch_v1::kCronJob,
                           .apply_defaults = &beta_cron_job_defaults});

constinit const Resource kPodDisruptionBudgetsV1beta1 =
    retired(kPodDisruptionBudgetKind, {.group = "policy",
                                       .version = "v1beta1",
                                       .schema = &schema::policy_v1::kPodDisruptionBudget,
                                       .meta_checks = MetaChecks::kNone,
                                       .to_stored = &budget_to_stored,
                                       .from_stored = &budget_from_stored});

constinit const Resource kClusterRolesV1beta1 =
    retired(kClusterRoleKind, {.group = kAuthorization,
                               .version = "v1beta1",
                               .scope = Scope::kCluster,
                               .schema = &schema::rbac_v1::kClusterRole,
                               .create_on_update = true,
                               .meta_checks = MetaChecks::kChangeAndWhole});

constinit const Resource kClusterRoleBindingsV1beta1 =
    retired(kClusterRoleBindingKind, {.group = kAuthorization,
                                      .version = "v1beta1",
                                      .scope = Scope::kCluster,
                                      .schema = &schema::rbac_v1::kClusterRoleBinding,
                                      .create_on_update = true,
                                      .meta_checks = MetaChecks::kChangeAndWhole});

constinit const Resource kRolesV1beta1 =
    retired(kRoleKind, {.group = kAuthorization,
                        .version = "v1beta1",
                        .schema = &schema::rbac_v1::kRole,
                        .create_on_update = true,
                        .meta_checks = MetaChecks::kChangeAndWhole});

constinit const Resource kRoleBindingsV1beta1 =
    retired(kRoleBindingKind, {.group = kAuthorization,
                               .version = "v1beta1",
                               .schema = &schema::rbac_v1::kRoleBinding,
                               .create_on_update = true,
                               .meta_checks = MetaChecks::kChangeAndWhole});

}  // namespace wherry::api
