#pragma once
// Every controller's row; all.cc lists them.

#include "controller/runtime.h"

namespace wherry::controller {

extern const ControllerSpec kDeployment;
extern const ControllerSpec kGarbageCollector;
extern const ControllerSpec kNamespace;
extern const ControllerSpec kReplicaSet;
extern const ControllerSpec kReplicationController;
extern const ControllerSpec kRootCaPublisher;
extern const ControllerSpec kServiceAccount;

}  // namespace wherry::controller
