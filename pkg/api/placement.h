#pragma once
// What decides where a pod may run, shared by scheduler, node and controllers: what it asks for,
// its host ports, node selectors and affinity, taints and tolerations. Rules from the Kubernetes
// API reference, core/v1 PodSpec, NodeSelector, Taint, Toleration. Pure.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/quantity.h"
#include "json/json.h"

namespace wherry::api {

// "cpu" -> 1500m, "memory" -> 64Mi, "example.com/gpu" -> 1.
using Resources = std::map<std::string, Quantity, std::less<>>;

// What the pod's containers ask for together: the sum of those that run side by side, or the
// largest init container where that is more, plus overhead; sidecars included.
Resources effective_requests(json::Value pod_spec);
// What they may take at most together; overhead counts where there is a limit.
Resources effective_limits(json::Value pod_spec);

// Whether it names a resource of somebody's own (example.com/gpu), counted in whole pieces.
bool is_extended_resource(std::string_view name);

struct PortUse {
  std::string host_ip;  // "0.0.0.0" for every address.
  std::string protocol;
  int64_t port = 0;
  bool conflicts_with(const PortUse& other) const;
};
// Of containers and sidecars.
std::vector<PortUse> host_ports(json::Value pod_spec);

bool tolerates(json::Value toleration, json::Value taint);
// The first taint that wants `effect` ("" any but PreferNoSchedule) and is not tolerated; or
// absent.
json::Value untolerated_taint(json::Value tolerations, json::Value taints,
                              std::string_view effect = {});

// `node` is the Node object's root.
bool matches_node_selector_term(json::Value term, json::Value node);
// spec.nodeSelector and the required part of node affinity.
bool matches_node(json::Value pod_spec, json::Value node);

}  // namespace wherry::api
