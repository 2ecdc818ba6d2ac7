#pragma once
// Scores: which of the nodes that fit is best? One row each in scores(), 0 to 100 times its weight.
// Pure.

#include <span>
#include <string_view>

#include "scheduler/cluster.h"

namespace wherry::scheduler {

struct ScoreRow {
  std::string_view name;
  int weight;
  double (*score)(const PodInfo& pod, const NodeInfo& node, const Cluster& cluster);
};

std::span<const ScoreRow> scores();
double total_score(const PodInfo& pod, const NodeInfo& node, const Cluster& cluster);

}  // namespace wherry::scheduler
