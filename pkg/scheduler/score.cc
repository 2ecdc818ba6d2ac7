#include "scheduler/score.h"

#include <algorithm>
#include <cmath>

#include "api/placement.h"

namespace wherry::scheduler {
namespace {

constexpr double kMax = 100;
// A pod that asks for nothing still counts, so that such pods spread (upstream's defaults for
// scoring).
constexpr int64_t kDefaultMilliCpu = 100;
constexpr int64_t kDefaultMemory = 200LL << 20;

double amount(const Resources& resources, std::string_view name) {
  auto found = resources.find(name);
  if (found == resources.end()) return 0;
  return name == "cpu" ? static_cast<double>(found->second.milli_value())
                       : found->second.as_double();
}

double scored_request(const PodInfo& pod, std::string_view name) {
  double wanted = amount(pod.requests, name);
  if (wanted > 0) return wanted;
  return name == "cpu" ? static_cast<double>(kDefaultMilliCpu)
                       : static_cast<double>(kDefaultMemory);
}

// Share of the node that would be in use with the pod on it, 0 to 1.
double used_share(const PodInfo& pod, const NodeInfo& node, std::string_view name) {
  double total = amount(node.allocatable, name);
  if (total <= 0) return 1;
  double used = scored_request(pod, name);
  for (const auto& [uid, other] : node.pods) used += scored_request(*other, name);
  return std::min(1.0, used / total);
}

double least_allocated(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  return kMax * (1 - (used_share(pod, node, "cpu") + used_share(pod, node, "memory")) / 2);
}

double balanced_allocation(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  double difference = used_share(pod, node, "cpu") - used_share(pod, node, "memory");
  return kMax * (1 - std::abs(difference) / 2);
}

double preferred_node_affinity(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  json::Value terms =
      pod.spec()["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
  double sum = 0;
  double all = 0;
  for (json::Value term : terms.items()) {
    auto weight = static_cast<double>(term["weight"].as_int());
    all += weight;
    if (api::matches_node_selector_term(term["preference"], node.root())) sum += weight;
  }
  return all > 0 ? kMax * sum / all : 0;
}

double preferred_taints(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  json::Value taint =
      api::untolerated_taint(pod.spec()["tolerations"], node.spec()["taints"], "PreferNoSchedule");
  return taint ? 0 : kMax;
}

// Pods of one controller go to different nodes where they can.
double spread_owner(const PodInfo& pod, const NodeInfo& node, const Cluster&) {
  json::Value owner = pod.document.root()["metadata"]["ownerReferences"].at(0)["uid"];
  if (!owner) return kMax;
  int same = 0;
  for (const auto& [uid, other] : node.pods) {
    json::Value theirs = other->document.root()["metadata"]["ownerReferences"].at(0)["uid"];
    if (theirs.as_string() == owner.as_string()) ++same;
  }
  return kMax / (1 + same);
}

constexpr ScoreRow kScores[] = {
    {"NodeResourcesFit", 1, &least_allocated},
    {"NodeResourcesBalancedAllocation", 1, &balanced_allocation},
    {"NodeAffinity", 2, &preferred_node_affinity},
    {"TaintToleration", 3, &preferred_taints},
    {"PodTopologySpread", 2, &spread_owner},
};

}  // namespace

std::span<const ScoreRow> scores() { return kScores; }

double total_score(const PodInfo& pod, const NodeInfo& node, const Cluster& cluster) {
  double sum = 0;
  for (const ScoreRow& row : kScores) sum += row.weight * row.score(pod, node, cluster);
  return sum;
}

}  // namespace wherry::scheduler
