#pragma once
// The rows of all built-in kinds, each defined in the file of its kind or group; table.cc lists
// them.

#include "api/resource.h"

namespace wherry::api {

// core/v1
extern const Resource kBindings, kComponentStatuses, kConfigMaps, kEndpoints, kCoreEvents,
    kLimitRanges, kNamespaces, kNodes, kPersistentVolumeClaims, kPersistentVolumes, kPods,
    kPodTemplates, kReplicationControllers, kResourceQuotas, kSecrets, kServiceAccounts, kServices;
// apps/v1
extern const Resource kControllerRevisions, kDaemonSets, kDeployments, kReplicaSets, kStatefulSets;
// batch/v1, autoscaling/v1, autoscaling/v2, policy/v1
extern const Resource kCronJobs, kJobs, kHorizontalPodAutoscalersV1, kHorizontalPodAutoscalers,
    kPodDisruptionBudgets;
// networking.k8s.io/v1, discovery.k8s.io/v1
extern const Resource kIngressClasses, kIngresses, kIpAddresses, kNetworkPolicies, kServiceCidrs,
    kEndpointSlices;
// rbac.authorization.k8s.io/v1, authentication.k8s.io/v1, authorization.k8s.io/v1,
// certificates.k8s.io/v1
extern const Resource kClusterRoleBindings, kClusterRoles, kRoleBindings, kRoles,
    kSelfSubjectReviews, kTokenReviews, kLocalSubjectAccessReviews, kSelfSubjectAccessReviews,
    kSelfSubjectRulesReviews, kSubjectAccessReviews, kCertificateSigningRequests;
// storage.k8s.io/v1
extern const Resource kCsiDrivers, kCsiNodes, kCsiStorageCapacities, kStorageClasses,
    kVolumeAttachments, kVolumeAttributesClasses;
// coordination.k8s.io/v1, events.k8s.io/v1, node.k8s.io/v1, scheduling.k8s.io/v1
extern const Resource kLeases, kEvents, kRuntimeClasses, kPriorityClasses;
// admissionregistration.k8s.io/v1
extern const Resource kMutatingAdmissionPolicies, kMutatingAdmissionPolicyBindings,
    kMutatingWebhookConfigurations, kValidatingAdmissionPolicies,
    kValidatingAdmissionPolicyBindings, kValidatingWebhookConfigurations;
// apiregistration.k8s.io/v1, apiextensions.k8s.io/v1, flowcontrol.apiserver.k8s.io/v1,
// resource.k8s.io/v1
extern const Resource kApiServices, kCustomResourceDefinitions, kFlowSchemas,
    kPriorityLevelConfigurations, kDeviceClasses, kResourceClaims, kResourceClaimTemplates,
    kResourceSlices;

// Verbs and subresources that many rows share.
inline constexpr std::string_view kReadWriteVerbs[] = {"get", "patch", "update"};
inline constexpr std::string_view kCreateVerb[] = {"create"};
inline constexpr std::string_view kAllCategory[] = {"all"};
inline constexpr std::string_view kApiExtensionsCategory[] = {"api-extensions"};

constexpr Subresource status_of(std::string_view kind) {
  return {.name = "status", .kind = kind, .verbs = kReadWriteVerbs, .in_status = true};
}

}  // namespace wherry::api
