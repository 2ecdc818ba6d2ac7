#pragma once
// NodeAuthoriser: what an agent may do. What concerns its node: itself, its Lease, the pods that
// are bound to it and what they name; and what every node needs, the rules of the ClusterRole
// system:node. Wording: Kubernetes, Node authorisation. Any thread.

#include <string>
#include <string_view>

#include "apiserver/node_graph.h"
#include "apiserver/rbac_rules.h"
#include "apiserver/request.h"

namespace wherry::apiserver {

// The node that a user is: system:node:NAME in the group system:nodes. Empty for anybody else.
std::string_view node_of(const User& user);

class NodeAuthoriser {
 public:
  explicit NodeAuthoriser(store::Store& store);

  // False for everybody but a node; `reason`, when wanted, says why not.
  bool allows(const Attributes& asked, std::string* reason) const;

 private:
  store::Store& store_;
  mutable NodeGraph graph_;  // Self-synchronised.
  const Rules rules_;        // View the built-in roles.
};

}  // namespace wherry::apiserver
