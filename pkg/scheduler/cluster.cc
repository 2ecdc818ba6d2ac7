#include "scheduler/cluster.h"

namespace wherry::scheduler {

std::optional<std::string_view> NodeInfo::label(std::string_view key) const {
  json::Value value = labels()[key];
  if (!value) return std::nullopt;
  return value.as_string();
}

void NodeInfo::add(const PodPtr& pod) {
  if (!pods.emplace(pod->uid, pod).second) return;
  for (const auto& [resource, amount] : pod->requests) requested[resource] += amount;
}

void NodeInfo::remove(const std::string& uid) {
  auto found = pods.find(uid);
  if (found == pods.end()) return;
  for (const auto& [resource, amount] : found->second->requests) requested[resource] -= amount;
  pods.erase(found);
}

void Cluster::put_node(const api::ObjectPtr& node) {
  NodeInfo& info = nodes_[std::string(node->name())];
  info.object = node;
  info.document = node->document();
  info.name = node->name();
  info.allocatable.clear();
  for (auto [name, amount] : info.document.root()["status"]["allocatable"].members()) {
    info.allocatable[std::string(name)] = api::Quantity::from(amount);
  }
}

void Cluster::remove_node(std::string_view name) {
  auto found = nodes_.find(std::string(name));
  if (found == nodes_.end()) return;
  if (found->second.pods.empty()) {
    nodes_.erase(found);
  } else {
    found->second.object = nullptr;
  }
}

void Cluster::put_pod(const PodPtr& pod) {
  remove_pod(pod->uid);
  nodes_[pod->node].add(pod);
  pod_nodes_[pod->uid] = pod->node;
}

void Cluster::remove_pod(const std::string& uid) {
  auto found = pod_nodes_.find(uid);
  if (found == pod_nodes_.end()) return;
  auto node = nodes_.find(found->second);
  if (node != nodes_.end()) {
    node->second.remove(uid);
    if (node->second.object == nullptr && node->second.pods.empty()) nodes_.erase(node);
  }
  pod_nodes_.erase(found);
}

}  // namespace wherry::scheduler
