// Required affinity and anti-affinity between pods (core/v1 PodAffinity, PodAntiAffinity).

#include "api/selector.h"
#include "scheduler/filter.h"

namespace wherry::scheduler {
namespace {

constexpr std::string_view kRequired = "requiredDuringSchedulingIgnoredDuringExecution";

// Whether `candidate` is one of the pods that a term of `owner` speaks of.
bool term_selects(json::Value term, const PodInfo& owner, const PodInfo& candidate,
                  const Cluster& cluster) {
  json::Value namespaces = term["namespaces"];
  json::Value by_label = term["namespaceSelector"];
  bool in_namespace = namespaces.empty() && !by_label && candidate.ns == owner.ns;
  for (json::Value ns : namespaces.items()) in_namespace |= ns.as_string() == candidate.ns;
  if (!in_namespace && by_label) {
    Result<api::Selector> selector = api::Selector::from_label_selector(by_label);
    api::ObjectPtr ns = cluster.namespaces().find("", candidate.ns);
    in_namespace = selector.ok() && ns != nullptr && selector->matches(*ns);
  }
  if (!in_namespace) return false;
  Result<api::Selector> selector = api::Selector::from_label_selector(term["labelSelector"]);
  if (!selector.ok() || !selector->matches_labels(candidate.labels())) return false;
  // matchLabelKeys: the candidate must agree with the owner on these labels, where the owner has
  // them.
  for (json::Value key : term["matchLabelKeys"].items()) {
    json::Value own = owner.labels()[key.as_string()];
    if (own && own.as_string() != candidate.labels()[key.as_string()].as_string()) return false;
  }
  for (json::Value key : term["mismatchLabelKeys"].items()) {
    json::Value own = owner.labels()[key.as_string()];
    if (own && own.as_string() == candidate.labels()[key.as_string()].as_string()) return false;
  }
  return true;
}

// Some pod that the term selects runs in the same topology domain as `node`.
bool selected_in_domain(json::Value term, const PodInfo& owner, const NodeInfo& node,
                        const Cluster& cluster, bool* anywhere) {
  std::string_view topology = term["topologyKey"].as_string();
  auto domain = node.label(topology);
  for (const auto& [name, other] : cluster.nodes()) {
    if (other.object == nullptr) continue;
    // The node in question may carry a changed set of pods (preemption is tried on a copy).
    const NodeInfo& looked_at = name == node.name ? node : other;
    for (const auto& [uid, pod] : looked_at.pods) {
      if (!term_selects(term, owner, *pod, cluster)) continue;
      if (looked_at.label(topology)) *anywhere = true;
      if (domain && looked_at.label(topology) == domain) return true;
    }
  }
  return false;
}

bool violates_existing(const PodInfo& pod, const NodeInfo& node, const Cluster& cluster) {
  for (const auto& [name, other] : cluster.nodes()) {
    if (other.object == nullptr) continue;
    const NodeInfo& looked_at = name == node.name ? node : other;
    for (const auto& [uid, existing] : looked_at.pods) {
      for (json::Value term : existing->spec()["affinity"]["podAntiAffinity"][kRequired].items()) {
        std::string_view topology = term["topologyKey"].as_string();
        auto domain = looked_at.label(topology);
        if (domain && node.label(topology) == domain &&
            term_selects(term, *existing, pod, cluster)) {
          return true;
        }
      }
    }
  }
  return false;
}

}  // namespace

std::optional<Rejection> rejects_by_pod_affinity(const PodInfo& pod, const NodeInfo& node,
                                                 const Cluster& cluster) {
  if (violates_existing(pod, node, cluster)) {
    return Rejection{{"node(s) didn't satisfy existing pods anti-affinity rules"}, false};
  }
  json::Value affinity = pod.spec()["affinity"];
  for (json::Value term : affinity["podAntiAffinity"][kRequired].items()) {
    bool anywhere = false;
    if (selected_in_domain(term, pod, node, cluster, &anywhere)) {
      return Rejection{{"node(s) didn't match pod anti-affinity rules"}, false};
    }
  }
  for (json::Value term : affinity["podAffinity"][kRequired].items()) {
    bool anywhere = false;
    if (selected_in_domain(term, pod, node, cluster, &anywhere)) continue;
    // The first pod of a group that wants to be together may go anywhere the topology is known.
    bool first_of_group = !anywhere && term_selects(term, pod, pod, cluster) &&
                          node.label(term["topologyKey"].as_string()).has_value();
    if (!first_of_group) return Rejection{{"node(s) didn't match pod affinity rules"}, true};
  }
  return std::nullopt;
}

}  // namespace wherry::scheduler
