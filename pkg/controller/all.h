#pragma once
// Every controller's row; all.cc lists them.

#include "controller/runtime.h"

namespace wherry::controller {

extern const ControllerSpec kAttributesProtection;
extern const ControllerSpec kCertificateRequests;
extern const ControllerSpec kClaimProtection;
extern const ControllerSpec kClusterRoleAggregation;
extern const ControllerSpec kDeployment;
extern const ControllerSpec kDisruption;
extern const ControllerSpec kEndpoints;
extern const ControllerSpec kEndpointSlice;
extern const ControllerSpec kEndpointSliceMirroring;
extern const ControllerSpec kGarbageCollector;
extern const ControllerSpec kNamespace;
extern const ControllerSpec kNodeIpam;
extern const ControllerSpec kNodeLifecycle;
extern const ControllerSpec kReplicaSet;
extern const ControllerSpec kReplicationController;
extern const ControllerSpec kResourceQuota;
extern const ControllerSpec kRootCaPublisher;
extern const ControllerSpec kServiceAccount;
extern const ControllerSpec kServiceAccountTokens;
extern const ControllerSpec kTaintEviction;
extern const ControllerSpec kTokenCleaner;
extern const ControllerSpec kVolumeProtection;

}  // namespace wherry::controller
