#pragma once
// Values of a pod's own fields, as fieldRef shows them in environment variables and downward API
// volumes. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "agent/pod.h"
#include "base/result.h"

namespace wherry::agent {

// What the agent knows about a pod that its API object may not say yet.
struct PodFacts {
  std::vector<std::string> pod_ips;
  std::vector<std::string> host_ips;
  std::string node_name;
};

// `field_path` as in ObjectFieldSelector: "metadata.name", "metadata.annotations['x']",
// "status.podIP", and for volumes the whole of "metadata.labels" as key="value" lines.
Result<std::string> field_value(const Pod& pod, const PodFacts& facts, std::string_view field_path);

}  // namespace wherry::agent
