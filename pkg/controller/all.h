#pragma once
// Every controller's row; all.cc lists them.

#include "controller/runtime.h"

namespace wherry::controller {

extern const ControllerSpec kDeployment;
extern const ControllerSpec kReplicaSet;
extern const ControllerSpec kReplicationController;

}  // namespace wherry::controller
