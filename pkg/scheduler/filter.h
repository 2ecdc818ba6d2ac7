#pragma once
// Filters: may this pod run on that node? One row each in filters(); the first that says no gives
// the reason. Messages are upstream's, since people and tools read them in the pod's condition.
// Pure.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/cluster.h"

namespace wherry::scheduler {

// What may change a filter's mind; bits.
enum Hint : uint32_t {
  kHintNone = 0,
  kNodeAdded = 1,
  kNodeAllocatable = 2,
  kNodeLabel = 4,
  kNodeTaint = 8,
  kPodGone = 16,    // Deleted or finished.
  kPodPlaced = 32,  // Another pod got a node, or its labels changed.
};

struct Rejection {
  std::vector<std::string> reasons;  // "Insufficient cpu", ...
  bool unresolvable = false;         // Removing other pods would not help.
};

struct FilterRow {
  std::string_view name;
  std::optional<Rejection> (*rejects)(const PodInfo& pod, const NodeInfo& node,
                                      const Cluster& cluster);
  uint32_t hints;
};

std::span<const FilterRow> filters();

struct Verdict {
  bool fits = true;
  Rejection rejection;
  uint32_t hints = kHintNone;  // Of the filter that said no.
};
Verdict evaluate(const PodInfo& pod, const NodeInfo& node, const Cluster& cluster);

// Rows in files of their own.
std::optional<Rejection> rejects_by_pod_affinity(const PodInfo& pod, const NodeInfo& node,
                                                 const Cluster& cluster);
std::optional<Rejection> rejects_by_topology_spread(const PodInfo& pod, const NodeInfo& node,
                                                    const Cluster& cluster);

}  // namespace wherry::scheduler
