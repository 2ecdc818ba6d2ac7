#pragma once
// Admission: whether this node takes a pod that was assigned to it. A pod that does not fit is
// Failed for good, with the reasons that upstream's node agent gives. Pure, but for the table of
// who was admitted.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "api/placement.h"
#include "base/mutex.h"
#include "json/json.h"

namespace wherry::agent {

struct Refusal {
  std::string reason;
  std::string message;
};

// What a pod takes from the node.
struct PodDemand {
  api::Resources requests;
  std::vector<api::PortUse> host_ports;
};
PodDemand demand_of(const Pod& pod);

// `others`: demands of the pods admitted already; `node`: the Node object, may be absent early.
std::optional<Refusal> refusal_of(const Pod& pod, const std::vector<PodDemand>& others,
                                  json::Value node);

// The pods that hold resources of this node. Any thread.
class AdmissionTable {
 public:
  // Admits and remembers, in one step. Without `check` the pod is taken as it is (it was admitted
  // before).
  std::optional<Refusal> admit(const Pod& pod, json::Value node, bool check) EXCLUDES(mutex_);
  // Asks for what the pod's spec now says instead of what it has. One that is refused is remembered
  // until there is more room.
  std::optional<Refusal> resize(const Pod& pod, json::Value node) EXCLUDES(mutex_);
  void release(const std::string& uid) EXCLUDES(mutex_);
  // Those that were refused since, and may ask again.
  std::set<std::string> take_waiting() EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  std::map<std::string, PodDemand> admitted_ GUARDED_BY(mutex_);
  std::set<std::string> waiting_ GUARDED_BY(mutex_);
};

}  // namespace wherry::agent
