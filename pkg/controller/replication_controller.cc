// ReplicationController: see replica_sets.h for the rules.

#include "controller/all.h"
#include "controller/replica_sets.h"

namespace wherry::controller {
namespace {

constexpr ReplicaKind kKind = {
    .resource = "replicationcontrollers", .kind = "ReplicationController", .plain_selector = true};

std::unique_ptr<Reconciler> make_it(const Context& context) {
  return make_replica_controller(context, kKind);
}

void pod_keys(const Change& change, const Context& context, Keys& out) {
  replica_pod_keys(change, context, kKind, out);
}

constexpr Watch kWatches[] = {{.resource = "replicationcontrollers"},
                              {.resource = "pods", .map = &pod_keys}};

}  // namespace

constinit const ControllerSpec kReplicationController = {
    .name = "replication-controller",
    .watches = kWatches,
    .make = &make_it,
    .workers = 2,
};

}  // namespace wherry::controller
