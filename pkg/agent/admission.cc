#include "agent/admission.h"

#include <algorithm>
#include <utility>

namespace wherry::agent {
namespace {

using api::Quantity;

int64_t shown(std::string_view resource, const Quantity& quantity) {
  return resource == "cpu" ? quantity.milli_value() : quantity.value();
}

}  // namespace

PodDemand demand_of(const Pod& pod) {
  return {api::effective_requests(pod.spec()), api::host_ports(pod.spec())};
}

std::optional<Refusal> refusal_of(const Pod& pod, const std::vector<PodDemand>& others,
                                  json::Value node) {
  if (!node) return std::nullopt;
  PodDemand demand = demand_of(pod);
  json::Value allocatable = node["status"]["allocatable"];
  int64_t pods_max = Quantity::from(allocatable["pods"]).value();
  if (pods_max > 0 && static_cast<int64_t>(others.size()) + 1 > pods_max) {
    return Refusal{"OutOfpods",
                   fmt::format("Node didn't have enough resource: pods, requested: 1, used: {}, "
                               "capacity: {}",
                               others.size(), pods_max)};
  }
  for (const auto& [name, wanted] : demand.requests) {
    json::Value capacity = allocatable[name];
    if (wanted.is_zero()) continue;
    // Extended resources are the scheduler's business until their devices are known here.
    if (!capacity && name.find('/') != std::string::npos) continue;
    Quantity used;
    for (const PodDemand& other : others) {
      if (auto found = other.requests.find(name); found != other.requests.end()) {
        used += found->second;
      }
    }
    Quantity limit = Quantity::from(capacity);
    if (used + wanted <= limit) continue;
    return Refusal{"OutOf" + name,
                   fmt::format("Node didn't have enough resource: {}, requested: {}, used: {}, "
                               "capacity: {}",
                               name, shown(name, wanted), shown(name, used), shown(name, limit))};
  }
  if (!api::matches_node(pod.spec(), node)) {
    return Refusal{"NodeAffinity",
                   "Predicate NodeAffinity failed: node(s) didn't match Pod's node "
                   "affinity/selector"};
  }
  for (const PodDemand& other : others) {
    for (const api::PortUse& port : demand.host_ports) {
      bool taken = std::any_of(other.host_ports.begin(), other.host_ports.end(),
                               [&](const api::PortUse& held) { return held.conflicts_with(port); });
      if (taken) {
        return Refusal{"NodePorts",
                       "Predicate NodePorts failed: node(s) didn't have free ports for the "
                       "requested pod ports"};
      }
    }
  }
  return std::nullopt;
}

std::optional<Refusal> AdmissionTable::admit(const Pod& pod, json::Value node, bool check) {
  MutexLock lock(mutex_);
  std::string uid = pod.uid();
  if (check) {
    std::vector<PodDemand> others;
    for (const auto& [other, demand] : admitted_) {
      if (other != uid) others.push_back(demand);
    }
    if (std::optional<Refusal> refusal = refusal_of(pod, others, node)) return refusal;
  }
  admitted_[uid] = demand_of(pod);
  return std::nullopt;
}

std::optional<Refusal> AdmissionTable::resize(const Pod& pod, json::Value node) {
  MutexLock lock(mutex_);
  std::string uid = pod.uid();
  PodDemand demand = demand_of(pod);
  for (const auto& [name, wanted] : demand.requests) {
    json::Value allocatable = node["status"]["allocatable"][name];
    Quantity capacity = Quantity::from(allocatable);
    if (!allocatable || wanted <= capacity) continue;
    return Refusal{"Infeasible",
                   fmt::format("Node didn't have enough capacity: {}, requested: {}, capacity: {}",
                               name, shown(name, wanted), shown(name, capacity))};
  }
  std::vector<PodDemand> others;
  for (const auto& [other, held] : admitted_) {
    if (other != uid) others.push_back(held);
  }
  std::optional<Refusal> refusal = refusal_of(pod, others, node);
  // It runs here already: only amounts can stand in its way.
  if (refusal && refusal->reason.starts_with("OutOf")) {
    waiting_.insert(uid);
    return Refusal{"Deferred", refusal->message};
  }
  waiting_.erase(uid);
  admitted_[uid] = std::move(demand);
  return std::nullopt;
}

void AdmissionTable::release(const std::string& uid) {
  MutexLock lock(mutex_);
  admitted_.erase(uid);
  waiting_.erase(uid);
}

std::set<std::string> AdmissionTable::take_waiting() {
  MutexLock lock(mutex_);
  return std::exchange(waiting_, {});
}

}  // namespace wherry::agent
