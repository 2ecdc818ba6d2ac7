#include "scheduler/filter.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::scheduler {
namespace {

Rejection no(std::string reason, bool unresolvable) { return {{std::move(reason)}, unresolvable}; }

bool tolerates(json::Value toleration, json::Value taint) {
  std::string_view effect = toleration["effect"].as_string();
  if (!effect.empty() && effect != taint["effect"].as_string()) return false;
  std::string_view key = toleration["key"].as_string();
  if (!key.empty() && key != taint["key"].as_string()) return false;
  std::string_view op = toleration["operator"].as_string();
  if (op == "Exists") return true;
  if (op.empty() || op == "Equal") {
    return !key.empty() && toleration["value"].as_string() == taint["value"].as_string();
  }
  auto wanted = parse_int(toleration["value"].as_string());
  auto have = parse_int(taint["value"].as_string());
  if (!wanted || !have) return false;
  return op == "Gt" ? *have > *wanted : op == "Lt" && *have < *wanted;
}

bool matches_expression(json::Value expression, std::optional<std::string_view> value) {
  std::string_view op = expression["operator"].as_string();
  json::Value values = expression["values"];
  auto listed = [&] {
    for (json::Value one : values.items()) {
      if (value && one.as_string() == *value) return true;
    }
    return false;
  };
  if (op == "In") return listed();
  if (op == "NotIn") return !listed();
  if (op == "Exists") return value.has_value();
  if (op == "DoesNotExist") return !value.has_value();
  auto have = value ? parse_int(*value) : std::nullopt;
  auto bound = parse_int(values.at(0).as_string());
  if (!have || !bound) return false;
  return op == "Gt" ? *have > *bound : *have < *bound;
}

std::optional<Rejection> unschedulable(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (!node.spec()["unschedulable"].as_bool()) return std::nullopt;
  json::Draft taint;
  taint.root().set("key", "node.kubernetes.io/unschedulable");
  taint.root().set("effect", "NoSchedule");
  json::Document made = taint.freeze();
  for (json::Value toleration : pod.spec()["tolerations"].items()) {
    if (tolerates(toleration, made.root())) return std::nullopt;
  }
  return no("node(s) were unschedulable", true);
}

std::optional<Rejection> node_name(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (pod.node.empty() || pod.node == node.name) return std::nullopt;
  return no("node(s) didn't match the requested node name", true);
}

std::optional<Rejection> taints(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (!untolerated_taint(pod.spec()["tolerations"], node.spec()["taints"], false)) return std::nullopt;
  return no("node(s) had untolerated taint(s)", true);
}

std::optional<Rejection> node_affinity(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  if (matches_node_affinity(pod, node)) return std::nullopt;
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

json::Value untolerated_taint(json::Value tolerations, json::Value taint_list, bool preferred_only) {
  for (json::Value taint : taint_list.items()) {
    bool preferred = taint["effect"].as_string() == "PreferNoSchedule";
    if (preferred != preferred_only) continue;
    bool tolerated = false;
    for (json::Value toleration : tolerations.items()) tolerated |= tolerates(toleration, taint);
    if (!tolerated) return taint;
  }
  return {};
}

bool matches_node_selector_term(json::Value term, const NodeInfo& node) {
  if (term["matchExpressions"].empty() && term["matchFields"].empty()) return false;
  for (json::Value expression : term["matchExpressions"].items()) {
    if (!matches_expression(expression, node.label(expression["key"].as_string()))) return false;
  }
  for (json::Value expression : term["matchFields"].items()) {
    bool is_name = expression["key"].as_string() == "metadata.name";
    if (!matches_expression(expression,
                            is_name ? std::optional<std::string_view>(node.name) : std::nullopt)) {
      return false;
    }
  }
  return true;
}

bool matches_node_affinity(const PodInfo& pod, const NodeInfo& node) {
  for (auto [key, value] : pod.spec()["nodeSelector"].members()) {
    if (node.label(key) != value.as_string()) return false;
  }
  json::Value required =
      pod.spec()["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
  if (!required) return true;
  for (json::Value term : required["nodeSelectorTerms"].items()) {
    if (matches_node_selector_term(term, node)) return true;
  }
  return false;
}

}  // namespace wherry::scheduler
