#pragma once
// The rules that ReplicaSet and ReplicationController share: one controller over two kinds.

#include <memory>

#include "controller/runtime.h"

namespace wherry::controller {

// What differs between the two kinds.
struct ReplicaKind {
  std::string_view resource;    // "replicasets.apps"
  std::string_view kind;        // "ReplicaSet"
  bool plain_selector = false;  // A map instead of a LabelSelector.
};

std::unique_ptr<Reconciler> make_replica_controller(const Context& context,
                                                    const ReplicaKind& kind);
void replica_pod_keys(const Change& change, const Context& context, const ReplicaKind& kind,
                      Keys& out);

}  // namespace wherry::controller
