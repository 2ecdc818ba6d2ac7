#include "agent/admission.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::agent {
namespace {

using api::Quantity;
using Requests = std::map<std::string, Quantity>;

void add(Requests* sums, json::Value requests) {
  for (auto [name, value] : requests.members()) (*sums)[std::string(name)] += Quantity::from(value);
}

void raise(Requests* sums, const Requests& at_least) {
  for (const auto& [name, value] : at_least) {
    Quantity& sum = (*sums)[name];
    if (sum < value) sum = value;
  }
}

bool expression_holds(json::Value expression, json::Value labels, bool field) {
  std::string_view key = expression["key"].as_string();
  json::Value label = field && key == "metadata.name" ? labels["kubernetes.io/hostname"] : labels[key];
  std::string_view op = expression["operator"].as_string();
  bool listed = false;
  for (json::Value value : expression["values"].items()) {
    listed |= label && value.as_string() == label.as_string();
  }
  if (op == "In") return listed;
  if (op == "NotIn") return !listed;
  if (op == "Exists") return static_cast<bool>(label);
  if (op == "DoesNotExist") return !label;
  if (!label) return false;
  std::optional<int64_t> have = parse_int(label.as_string());
  std::optional<int64_t> bound = parse_int(expression["values"].at(0).as_string());
  if (!have.has_value() || !bound.has_value()) return false;
  int64_t left = have.value_or(0);
  int64_t right = bound.value_or(0);
  return op == "Gt" ? left > right : op == "Lt" && left < right;
}

bool term_holds(json::Value term, json::Value labels, json::Value fields) {
  if (term["matchExpressions"].empty() && term["matchFields"].empty()) return false;
  for (json::Value expression : term["matchExpressions"].items()) {
    if (!expression_holds(expression, labels, false)) return false;
  }
  for (json::Value expression : term["matchFields"].items()) {
    // Only metadata.name may be named here.
    bool listed = false;
    for (json::Value value : expression["values"].items()) {
      listed |= value.as_string() == fields["name"].as_string();
    }
    if (listed != (expression["operator"].as_string() == "In")) return false;
  }
  return true;
}

bool node_matches(json::Value spec, json::Value node) {
  json::Value labels = node["metadata"]["labels"];
  for (auto [key, value] : spec["nodeSelector"].members()) {
    if (labels[key].as_string() != value.as_string() || !labels[key]) return false;
  }
  json::Value required =
      spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
  if (!required) return true;
  for (json::Value term : required["nodeSelectorTerms"].items()) {
    if (term_holds(term, labels, node["metadata"])) return true;
  }
  return false;
}

bool ports_collide(const std::string& a, const std::string& b) {
  if (a == b) return true;
  std::vector<std::string_view> left = split(a, '/');
  std::vector<std::string_view> right = split(b, '/');
  bool wild = left[1] == "0.0.0.0" || right[1] == "0.0.0.0";
  return wild && left[0] == right[0] && left[2] == right[2];
}

int64_t shown(std::string_view resource, const Quantity& quantity) {
  return resource == "cpu" ? quantity.milli_value() : quantity.value();
}

}  // namespace

PodDemand demand_of(const Pod& pod) {
  PodDemand demand;
  Requests sidecars;
  for (json::Value container : pod.spec()["containers"].items()) {
    add(&demand.requests, container["resources"]["requests"]);
  }
  Requests peak;
  for (json::Value init : pod.spec()["initContainers"].items()) {
    if (init["restartPolicy"].as_string() == "Always") {
      add(&sidecars, init["resources"]["requests"]);
      continue;
    }
    Requests alone = sidecars;  // A plain init container runs beside the sidecars before it.
    add(&alone, init["resources"]["requests"]);
    raise(&peak, alone);
  }
  for (const auto& [name, value] : sidecars) demand.requests[name] += value;
  raise(&demand.requests, peak);
  for (auto [name, value] : pod.spec()["resources"]["requests"].members()) {
    demand.requests[std::string(name)] = Quantity::from(value);
  }
  add(&demand.requests, pod.spec()["overhead"]);
  for (const ContainerView& view : pod.containers()) {
    for (json::Value port : view.spec["ports"].items()) {
      if (port["hostPort"].as_int() == 0) continue;
      std::string_view ip = port["hostIP"].as_string();
      demand.host_ports.insert(std::string(port["protocol"].as_string("TCP")) + "/" +
                               std::string(ip.empty() ? "0.0.0.0" : ip) + "/" +
                               std::to_string(port["hostPort"].as_int()));
    }
  }
  return demand;
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
  if (!node_matches(pod.spec(), node)) {
    return Refusal{"NodeAffinity",
                   "Predicate NodeAffinity failed: node(s) didn't match Pod's node "
                   "affinity/selector"};
  }
  for (const PodDemand& other : others) {
    for (const std::string& port : demand.host_ports) {
      bool taken = std::any_of(other.host_ports.begin(), other.host_ports.end(),
                               [&](const std::string& held) { return ports_collide(held, port); });
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

void AdmissionTable::release(const std::string& uid) {
  MutexLock lock(mutex_);
  admitted_.erase(uid);
}

}  // namespace wherry::agent
