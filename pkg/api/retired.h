#pragma once
// Versions that upstream no longer serves and old manifests still name. They are served for the
// sake of those, as further versions of what is stored now; each answer warns of it. Discovery
// lists them without the verbs by which programs find what to list and watch, so nothing is counted
// twice. Their rows are in retired_*.cc. Immutable; any thread.

#include <span>
#include <string>
#include <string_view>

#include "api/resource.h"

namespace wherry::api {

// What the versions of a kind have in common.
struct RetiredKind {
  std::string_view kind, plural, singular;
  const Resource* stored_as;
  std::span<const Subresource> subresources = {};  // With "status", if any.
};

// The row of one version: `row` says the group, the version, the schema, and what is peculiar to
// it.
constexpr Resource retired(const RetiredKind& kind, Resource row) {
  row.kind = kind.kind;
  row.plural = kind.plural;
  row.singular = kind.singular;
  row.subresources = kind.subresources;
  row.status_subresource = !kind.subresources.empty();
  row.stored_as = kind.stored_as;
  return row;
}

extern const Resource kDeploymentsExtensions, kDeploymentsV1beta1, kDeploymentsV1beta2,
    kDaemonSetsExtensions, kDaemonSetsV1beta2, kReplicaSetsExtensions, kReplicaSetsV1beta2,
    kStatefulSetsV1beta1, kStatefulSetsV1beta2, kControllerRevisionsV1beta1,
    kControllerRevisionsV1beta2;
extern const Resource kIngressesExtensions, kIngressesV1beta1, kIngressClassesV1beta1,
    kNetworkPoliciesExtensions;
extern const Resource kHorizontalPodAutoscalersV2beta1, kHorizontalPodAutoscalersV2beta2,
    kCronJobsV1beta1, kPodDisruptionBudgetsV1beta1;
extern const Resource kClusterRolesV1beta1, kClusterRoleBindingsV1beta1, kRolesV1beta1,
    kRoleBindingsV1beta1;

bool is_retired(const Resource& row);
// What a client of such a version is told, as upstream told it: "extensions/v1beta1 Ingress is
// deprecated in v1.14+, unavailable in v1.22+; use networking.k8s.io/v1 Ingress". Empty for others.
std::string retirement_warning(const Resource& row);

}  // namespace wherry::api
