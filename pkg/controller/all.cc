#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr const ControllerSpec* kAll[] = {
    &kAttributesProtection,
    &kCertificateRequests,
    &kClaimProtection,
    &kClusterRoleAggregation,
    &kDeployment,
    &kDisruption,
    &kEndpoints,
    &kEndpointSlice,
    &kEndpointSliceMirroring,
    &kGarbageCollector,
    &kNamespace,
    &kNodeIpam,
    &kNodeLifecycle,
    &kReplicaSet,
    &kReplicationController,
    &kResourceQuota,
    &kRootCaPublisher,
    &kServiceAccount,
    &kServiceAccountTokens,
    &kTaintEviction,
    &kTokenCleaner,
    &kVolumeProtection,
};

}  // namespace

std::span<const ControllerSpec* const> all_controllers() { return kAll; }

}  // namespace wherry::controller
