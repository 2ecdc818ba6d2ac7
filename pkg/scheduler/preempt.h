#pragma once
// Preemption: which pods of lower priority would have to go so that a pod fits? Pure.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/filter.h"

namespace wherry::scheduler {

struct Victims {
  std::string node;
  std::vector<PodPtr> pods;
};

// Picks the node where it hurts least: the lowest of the highest priorities among the victims, then
// the fewest victims. On each node as many pods as possible are spared, the important ones first.
std::optional<Victims> pick_victims(const PodInfo& pod, const Cluster& cluster,
                                    const std::map<std::string, Rejection>& rejections);

// "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1
// Preemption is not helpful for scheduling."
std::string preemption_message(const PodInfo& pod, size_t nodes,
                               const std::map<std::string, Rejection>& rejections);

}  // namespace wherry::scheduler
