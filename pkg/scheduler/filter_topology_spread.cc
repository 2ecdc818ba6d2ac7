// Topology spread constraints that must hold (core/v1 TopologySpreadConstraint, DoNotSchedule).

#include <map>

#include "api/selector.h"
#include "scheduler/filter.h"

namespace wherry::scheduler {
namespace {

bool counts_pod(json::Value constraint, const api::Selector& selector, const PodInfo& pod,
                const PodInfo& other) {
  if (other.ns != pod.ns || other.object->deleting()) return false;
  if (!selector.matches_labels(other.labels())) return false;
  for (json::Value key : constraint["matchLabelKeys"].items()) {
    json::Value own = pod.labels()[key.as_string()];
    if (own && own.as_string() != other.labels()[key.as_string()].as_string()) return false;
  }
  return true;
}

bool node_counts(json::Value constraint, const PodInfo& pod, const NodeInfo& node) {
  if (node.object == nullptr || !node.label(constraint["topologyKey"].as_string())) return false;
  if (constraint["nodeAffinityPolicy"].as_string() != "Ignore" &&
      !api::matches_node(pod.spec(), node.root())) {
    return false;
  }
  return constraint["nodeTaintsPolicy"].as_string() != "Honor" ||
         !api::untolerated_taint(pod.spec()["tolerations"], node.spec()["taints"]);
}

}  // namespace

std::optional<Rejection> rejects_by_topology_spread(const PodInfo& pod, const NodeInfo& node,
                                                    const Cluster& cluster) {
  for (json::Value constraint : pod.spec()["topologySpreadConstraints"].items()) {
    if (constraint["whenUnsatisfiable"].as_string() != "DoNotSchedule") continue;
    std::string_view topology = constraint["topologyKey"].as_string();
    auto domain = node.label(topology);
    if (!domain) {
      return Rejection{
          {"node(s) didn't match pod topology spread constraints (missing required label)"}, true};
    }
    Result<api::Selector> selector =
        api::Selector::from_label_selector(constraint["labelSelector"]);
    if (!selector.ok()) continue;
    std::map<std::string_view, int64_t> counts;
    for (const auto& [name, other] : cluster.nodes()) {
      if (!node_counts(constraint, pod, other)) continue;
      const NodeInfo& looked_at = name == node.name ? node : other;
      int64_t& count = counts[*looked_at.label(topology)];
      for (const auto& [uid, placed] : looked_at.pods) {
        if (counts_pod(constraint, *selector, pod, *placed)) ++count;
      }
    }
    int64_t least = INT64_MAX;
    for (const auto& [name, count] : counts) least = std::min(least, count);
    if (static_cast<int64_t>(counts.size()) < constraint["minDomains"].as_int(1)) least = 0;
    if (counts.empty()) least = 0;
    int64_t here = counts[*domain] + (counts_pod(constraint, *selector, pod, pod) ? 1 : 0);
    if (here - least > constraint["maxSkew"].as_int(1)) {
      return Rejection{{"node(s) didn't match pod topology spread constraints"}, false};
    }
  }
  return std::nullopt;
}

}  // namespace wherry::scheduler
