#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr const ControllerSpec* kAll[] = {
    &kDeployment,
    &kGarbageCollector,
    &kNamespace,
    &kReplicaSet,
    &kReplicationController,
    &kRootCaPublisher,
    &kServiceAccount,
};

}  // namespace

std::span<const ControllerSpec* const> all_controllers() { return kAll; }

}  // namespace wherry::controller
