#include "scheduler/filter.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::scheduler {
namespace {

Rejection no(std::string reason, bool unresolvable) { return {{std::move(reason)}, unresolvable}; }

std::optional<Rejection> unschedulable(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (!node.spec()["unschedulable"].as_bool()) return std::nullopt;
  json::Draft taint;
  taint.root().set("key", "node.kubernetes.io/unschedulable");
  taint.root().set("effect", "NoSchedule");
  json::Document made = taint.freeze();
  for (json::Value toleration : pod.spec()["tolerations"].items()) {
    if (api::tolerates(toleration, made.root())) return std::nullopt;
  }
  return no("node(s) were unschedulable", true);
}

std::optional<Rejection> node_name(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (pod.node.empty() || pod.node == node.name) return std::nullopt;
  return no("node(s) didn't match the requested node name", true);
}

std::optional<Rejection> taints(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (!api::untolerated_taint(pod.spec()["tolerations"], node.spec()["taints"]))
    return std::nullopt;
  return no("node(s) had untolerated taint(s)", true);
}

std::optional<Rejection> node_affinity(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (api::matches_node(pod.spec(), node.root())) return std::nullopt;
  return no("node(s) didn't match Pod's node affinity/selector", true);
}

std::optional<Rejection> node_ports(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (pod.ports.empty()) return std::nullopt;
  for (const auto& [uid, other] : node.pods) {
    for (const PortUse& used : other->ports) {
      for (const PortUse& wanted : pod.ports) {
        if (wanted.conflicts_with(used)) {
          return no("node(s) didn't have free ports for the requested pod ports", false);
        }
      }
    }
  }
  return std::nullopt;
}

std::optional<Rejection> resources(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  Rejection out;
  // Where a single pod asks for more than the whole node has, no preemption helps.
  auto pods = node.allocatable.find("pods");
  api::Quantity pods_max = pods == node.allocatable.end() ? api::Quantity() : pods->second;
  if (api::Quantity::of(static_cast<int64_t>(node.pods.size()) + 1) > pods_max) {
    out.reasons.push_back("Too many pods");
    out.unresolvable |= pods_max.is_zero();
  }
  for (const auto& [name, wanted] : pod.requests) {
    if (wanted.is_zero()) continue;
    auto have = node.allocatable.find(name);
    auto used = node.requested.find(name);
    api::Quantity total = have == node.allocatable.end() ? api::Quantity() : have->second;
    api::Quantity taken = used == node.requested.end() ? api::Quantity() : used->second;
    if (taken + wanted <= total) continue;
    out.reasons.push_back("Insufficient " + name);
    out.unresolvable |= wanted > total;
  }
  if (out.reasons.empty()) return std::nullopt;
  return out;
}

constexpr uint32_t kNodeAny = kNodeAdded | kNodeAllocatable | kNodeLabel | kNodeTaint;
constexpr FilterRow kFilters[] = {
    {"NodeUnschedulable", &unschedulable, kNodeAdded | kNodeTaint},
    {"NodeName", &node_name, kNodeAdded},
    {"TaintToleration", &taints, kNodeAdded | kNodeTaint},
    {"NodeAffinity", &node_affinity, kNodeAdded | kNodeLabel},
    {"NodePorts", &node_ports, kNodeAdded | kPodGone},
    {"NodeResourcesFit", &resources, kNodeAdded | kNodeAllocatable | kPodGone},
    {"PodTopologySpread", &rejects_by_topology_spread, kNodeAny | kPodGone | kPodPlaced},
    {"InterPodAffinity", &rejects_by_pod_affinity, kNodeAny | kPodGone | kPodPlaced},
};

}  // namespace

std::span<const FilterRow> filters() { return kFilters; }

Verdict evaluate(const PodInfo& pod, const NodeInfo& node, const Cluster& cluster) {
  for (const FilterRow& row : kFilters) {
    if (auto rejection = row.rejects(pod, node, cluster)) {
      return {false, std::move(*rejection), row.hints};
    }
  }
  return {};
}

}  // namespace wherry::scheduler
