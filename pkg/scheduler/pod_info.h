#pragma once
// PodInfo: what the scheduler needs to know of a pod, worked out once. Immutable; shared by const
// pointer.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/placement.h"
#include "json/json.h"

namespace wherry::scheduler {

using api::PortUse;
using api::Resources;

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

// Succeeded or Failed: its resources are free.
bool is_finished(json::Value pod);

}  // namespace wherry::scheduler
