// The list of built-in kinds, in discovery order, and the ways to look one up.

#include "api/resource.h"
#include "api/retired.h"
#include "api/rows.h"
#include "base/check.h"

namespace wherry::api {
namespace {

constexpr const Resource* kResources[] = {
    // core/v1
    &kBindings,
    &kComponentStatuses,
    &kConfigMaps,
    &kEndpoints,
    &kCoreEvents,
    &kLimitRanges,
    &kNamespaces,
    &kNodes,
    &kPersistentVolumeClaims,
    &kPersistentVolumes,
    &kPods,
    &kPodTemplates,
    &kReplicationControllers,
    &kResourceQuotas,
    &kSecrets,
    &kServiceAccounts,
    &kServices,
    // apiregistration.k8s.io/v1
    &kApiServices,
    // apps/v1
    &kControllerRevisions,
    &kDaemonSets,
    &kDeployments,
    &kReplicaSets,
    &kStatefulSets,
    // events.k8s.io/v1
    &kEvents,
    // authentication.k8s.io/v1
    &kSelfSubjectReviews,
    &kTokenReviews,
    // authorization.k8s.io/v1
    &kLocalSubjectAccessReviews,
    &kSelfSubjectAccessReviews,
    &kSelfSubjectRulesReviews,
    &kSubjectAccessReviews,
    // autoscaling/v2, autoscaling/v1
    &kHorizontalPodAutoscalers,
    &kHorizontalPodAutoscalersV1,
    // batch/v1
    &kCronJobs,
    &kJobs,
    // certificates.k8s.io/v1
    &kCertificateSigningRequests,
    // networking.k8s.io/v1
    &kIngressClasses,
    &kIngresses,
    &kIpAddresses,
    &kNetworkPolicies,
    &kServiceCidrs,
    // policy/v1
    &kPodDisruptionBudgets,
    // rbac.authorization.k8s.io/v1
    &kClusterRoleBindings,
    &kClusterRoles,
    &kRoleBindings,
    &kRoles,
    // storage.k8s.io/v1
    &kCsiDrivers,
    &kCsiNodes,
    &kCsiStorageCapacities,
    &kStorageClasses,
    &kVolumeAttachments,
    &kVolumeAttributesClasses,
    // admissionregistration.k8s.io/v1
    &kMutatingAdmissionPolicies,
    &kMutatingAdmissionPolicyBindings,
    &kMutatingWebhookConfigurations,
    &kValidatingAdmissionPolicies,
    &kValidatingAdmissionPolicyBindings,
    &kValidatingWebhookConfigurations,
    // apiextensions.k8s.io/v1
    &kCustomResourceDefinitions,
    // scheduling.k8s.io/v1
    &kPriorityClasses,
    // coordination.k8s.io/v1
    &kLeases,
    // node.k8s.io/v1
    &kRuntimeClasses,
    // discovery.k8s.io/v1
    &kEndpointSlices,
    // resource.k8s.io/v1
    &kDeviceClasses,
    &kResourceClaims,
    &kResourceClaimTemplates,
    &kResourceSlices,
    // flowcontrol.apiserver.k8s.io/v1
    &kFlowSchemas,
    &kPriorityLevelConfigurations,
    // Retired versions, last, so that nobody comes to them first.
    &kControllerRevisionsV1beta2,
    &kDaemonSetsV1beta2,
    &kDeploymentsV1beta2,
    &kReplicaSetsV1beta2,
    &kStatefulSetsV1beta2,
    &kControllerRevisionsV1beta1,
    &kDeploymentsV1beta1,
    &kStatefulSetsV1beta1,
    &kHorizontalPodAutoscalersV2beta2,
    &kHorizontalPodAutoscalersV2beta1,
    &kCronJobsV1beta1,
    &kIngressClassesV1beta1,
    &kIngressesV1beta1,
    &kPodDisruptionBudgetsV1beta1,
    &kClusterRoleBindingsV1beta1,
    &kClusterRolesV1beta1,
    &kRoleBindingsV1beta1,
    &kRolesV1beta1,
    &kDaemonSetsExtensions,
    &kDeploymentsExtensions,
    &kIngressesExtensions,
    &kNetworkPoliciesExtensions,
    &kReplicaSetsExtensions,
};

}  // namespace

std::span<const Resource* const> resources() { return kResources; }

const Subresource* Resource::subresource(std::string_view wanted) const {
  for (const Subresource& candidate : subresources) {
    if (candidate.name == wanted) return &candidate;
  }
  return nullptr;
}

const Resource* find_resource(std::string_view group, std::string_view version,
                              std::string_view resource) {
  for (const Resource* row : kResources) {
    if (row->plural == resource && row->group == group && row->version == version) return row;
  }
  return nullptr;
}

const Resource* find_kind(std::string_view group, std::string_view version, std::string_view kind) {
  for (const Resource* row : kResources) {
    if (row->kind == kind && row->group == group && row->version == version) return row;
  }
  return nullptr;
}

const Resource& resource(std::string_view group_resource) {
  for (const Resource* row : kResources) {
    if (!group_resource.starts_with(row->plural)) continue;
    std::string_view rest = group_resource.substr(row->plural.size());
    bool same =
        row->group.empty() ? rest.empty() : rest.starts_with('.') && rest.substr(1) == row->group;
    if (same) return *row;
  }
  CHECK(group_resource == "a built-in resource");
  __builtin_unreachable();
}

}  // namespace wherry::api
