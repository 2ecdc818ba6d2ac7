#pragma once
// PodInfo: what the scheduler needs to know of a pod, worked out once. Immutable; shared by const pointer.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/quantity.h"
#include "json/json.h"

namespace wherry::scheduler {

// "cpu" -> 1500m, "memory" -> 64Mi, "example.com/gpu" -> 1.
using Resources = std::map<std::string, api::Quantity, std::less<>>;

struct PortUse {
  std::string host_ip;  // "0.0.0.0" for every address.
  std::string protocol;
  int64_t port = 0;
  bool conflicts_with(const PortUse& other) const;
};

struct PodInfo {
  api::ObjectPtr object;
  json::Document document;
  std::string ns, name, uid, node;
  int64_t priority = 0;
  bool may_preempt = true;
  Resources requests;
  std::vector<PortUse> ports;

  json::Value spec() const { return document.root()["spec"]; }
  json::Value labels() const { return document.root()["metadata"]["labels"]; }
};
using PodPtr = std::shared_ptr<const PodInfo>;

PodPtr make_pod_info(const api::ObjectPtr& object);

// What the pod's containers ask for together: the sum of those that run side by side, or the largest init
// container where that is more, plus overhead (core/v1 Pod resource model, sidecars included).
Resources effective_requests(json::Value pod_spec);

// Succeeded or Failed: its resources are free.
bool is_finished(json::Value pod);

}  // namespace wherry::scheduler
