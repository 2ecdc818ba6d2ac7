#pragma once
// The status of a pod as clients see it, from its spec and its record: phase, conditions, container
// statuses. The rules are those of the Kubernetes API reference (Pod Lifecycle). Pure.

#include <string>
#include <string_view>
#include <vector>

#include "agent/pod.h"
#include "agent/record.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::agent {

struct StatusInputs {
  std::vector<std::string> host_ips;
  Time now{};
  // Nothing runs any more and nothing will be started.
  bool terminal = false;
};

// "Pending", "Running", "Succeeded" or "Failed".
std::string_view pod_phase(const Pod& pod, const PodRecord& record, bool terminal);

// The whole status that this agent answers for. Conditions of others in pod.status() are not in it;
// transition times are taken over from there where the condition has not changed.
json::Draft pod_status(const Pod& pod, const PodRecord& record, const StatusInputs& inputs);

// The strategic merge patch that brings `current` (what the API holds) to `wanted`; absent root
// when they agree already.
json::Draft status_patch(json::Value current, json::Value wanted, std::string_view uid);

}  // namespace wherry::agent
