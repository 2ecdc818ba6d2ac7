#include "scheduler/preempt.h"

#include <algorithm>

namespace wherry::scheduler {
namespace {

// More important first: higher priority, then the one that runs longer.
bool more_important(const PodPtr& a, const PodPtr& b) {
  if (a->priority != b->priority) return a->priority > b->priority;
  return a->document.root()["status"]["startTime"].as_string() <
         b->document.root()["status"]["startTime"].as_string();
}

std::optional<Victims> victims_on(const PodInfo& pod, const NodeInfo& node,
                                  const Cluster& cluster) {
  NodeInfo trial = node;
  std::vector<PodPtr> lower;
  for (const auto& [uid, placed] : node.pods) {
    if (placed->priority < pod.priority) lower.push_back(placed);
  }
  if (lower.empty()) return std::nullopt;
  for (const PodPtr& candidate : lower) trial.remove(candidate->uid);
  if (!evaluate(pod, trial, cluster).fits) return std::nullopt;
  std::sort(lower.begin(), lower.end(), &more_important);
  Victims out{node.name, {}};
  for (const PodPtr& candidate : lower) {
    trial.add(candidate);
    if (evaluate(pod, trial, cluster).fits) continue;  // Spared.
    trial.remove(candidate->uid);
    out.pods.push_back(candidate);
  }
  return out;
}

bool hurts_less(const Victims& a, const Victims& b) {
  if (a.pods.front()->priority != b.pods.front()->priority) {
    return a.pods.front()->priority < b.pods.front()->priority;
  }
  return a.pods.size() < b.pods.size();
}

}  // namespace

std::optional<Victims> pick_victims(const PodInfo& pod, const Cluster& cluster,
                                    const std::map<std::string, Rejection>& rejections) {
  std::optional<Victims> best;
  if (!pod.may_preempt) return best;
  for (const auto& [name, rejection] : rejections) {
    if (rejection.unresolvable) continue;
    auto node = cluster.nodes().find(name);
    if (node == cluster.nodes().end()) continue;
    std::optional<Victims> here = victims_on(pod, node->second, cluster);
    if (here && !here->pods.empty() && (!best || hurts_less(*here, *best))) best = std::move(here);
  }
  return best;
}

std::string preemption_message(const PodInfo& pod, size_t nodes,
                               const std::map<std::string, Rejection>& rejections) {
  if (!pod.may_preempt) return "preemption: not eligible due to preemptionPolicy=Never.";
  size_t unhelpful = 0;
  for (const auto& [name, rejection] : rejections) unhelpful += rejection.unresolvable ? 1 : 0;
  size_t victimless = rejections.size() - unhelpful;
  std::string out = fmt::format("preemption: 0/{} nodes are available: ", nodes);
  if (victimless > 0)
    out += fmt::format("{} No preemption victims found for incoming pod", victimless);
  if (victimless > 0 && unhelpful > 0) out += ", ";
  if (unhelpful > 0) out += fmt::format("{} Preemption is not helpful for scheduling", unhelpful);
  return out + ".";
}

}  // namespace wherry::scheduler
