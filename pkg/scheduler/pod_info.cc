#include "scheduler/pod_info.h"

#include <algorithm>

namespace wherry::scheduler {
namespace {

void add(Resources& to, const Resources& more) {
  for (const auto& [name, amount] : more) to[name] += amount;
}

void raise(Resources& to, const Resources& at_least) {
  for (const auto& [name, amount] : at_least) {
    auto [found, fresh] = to.try_emplace(name, amount);
    if (!fresh) found->second = std::max(found->second, amount);
  }
}

Resources list_of(json::Value map) {
  Resources out;
  for (auto [name, amount] : map.members()) out[std::string(name)] = api::Quantity::from(amount);
  return out;
}

std::vector<PortUse> ports_of(json::Value spec) {
  std::vector<PortUse> out;
  auto collect = [&out](json::Value container) {
    for (json::Value port : container["ports"].items()) {
      int64_t number = port["hostPort"].as_int();
      if (number == 0) continue;
      std::string ip(port["hostIP"].as_string());
      if (ip.empty()) ip = "0.0.0.0";
      out.push_back({ip, std::string(port["protocol"].as_string("TCP")), number});
    }
  };
  for (json::Value container : spec["containers"].items()) collect(container);
  for (json::Value container : spec["initContainers"].items()) {
    if (container["restartPolicy"].as_string() == "Always") collect(container);
  }
  return out;
}

}  // namespace

bool PortUse::conflicts_with(const PortUse& other) const {
  if (port != other.port || protocol != other.protocol) return false;
  return host_ip == other.host_ip || host_ip == "0.0.0.0" || other.host_ip == "0.0.0.0";
}

Resources effective_requests(json::Value pod_spec) {
  Resources running;
  for (json::Value container : pod_spec["containers"].items()) {
    add(running, list_of(container["resources"]["requests"]));
  }
  Resources sidecars;
  Resources peak;
  for (json::Value container : pod_spec["initContainers"].items()) {
    Resources wanted = list_of(container["resources"]["requests"]);
    if (container["restartPolicy"].as_string() == "Always") {
      add(sidecars, wanted);
      raise(peak, sidecars);
    } else {
      add(wanted, sidecars);
      raise(peak, wanted);
    }
  }
  add(running, sidecars);
  raise(running, peak);
  // Pod-level requests stand in place of the sum.
  for (auto& [name, amount] : list_of(pod_spec["resources"]["requests"])) running[name] = amount;
  add(running, list_of(pod_spec["overhead"]));
  return running;
}

bool is_finished(json::Value pod) {
  std::string_view phase = pod["status"]["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed";
}

PodPtr make_pod_info(const api::ObjectPtr& object) {
  auto pod = std::make_shared<PodInfo>();
  pod->object = object;
  pod->document = object->document();
  pod->ns = object->ns();
  pod->name = object->name();
  pod->uid = object->uid();
  json::Value spec = pod->spec();
  pod->node = spec["nodeName"].as_string();
  pod->priority = spec["priority"].as_int();
  pod->may_preempt = spec["preemptionPolicy"].as_string() != "Never";
  pod->requests = effective_requests(spec);
  pod->ports = ports_of(spec);
  return pod;
}

}  // namespace wherry::scheduler
