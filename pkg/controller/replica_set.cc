// ReplicaSet: see replica_sets.h for the rules.

#include "controller/all.h"
#include "controller/replica_sets.h"

namespace wherry::controller {
namespace {

constexpr ReplicaKind kKind = {
    .resource = "replicasets.apps", .kind = "ReplicaSet", .plain_selector = false};

std::unique_ptr<Reconciler> make_it(const Context& context) {
  return make_replica_controller(context, kKind);
}

void pod_keys(const Change& change, const Context& context, Keys& out) {
  replica_pod_keys(change, context, kKind, out);
}

constexpr Watch kWatches[] = {{.resource = "replicasets.apps"},
                              {.resource = "pods", .map = &pod_keys}};

}  // namespace

constinit const ControllerSpec kReplicaSet = {
    .name = "replicaset-controller",
    .watches = kWatches,
    .make = &make_it,
    .workers = 2,
};

}  // namespace wherry::controller
