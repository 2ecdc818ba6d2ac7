#pragma once
// Requests and limits of a pod spec turned into the kernel's numbers, and into the values that the
// downward API shows. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/quantity.h"
#include "json/json.h"
#include "os/cgroup.h"

namespace wherry::agent {

// What this machine has for pods; the downward API falls back on `allocatable` where a limit is
// missing.
struct NodeResources {
  api::Quantity cpu;
  api::Quantity memory;
  api::Quantity ephemeral_storage;
};

struct CgroupLimits {
  uint64_t cpu_shares = 2;    // cgroup v1 unit; 1024 is one core.
  int64_t cpu_quota_us = -1;  // -1: no limit.
  uint64_t cpu_period_us = 100'000;
  int64_t memory_limit_bytes = -1;
};

os::CgroupLimits to_os(const CgroupLimits& limits);

// The resources of a container as text: "{}" when it has none.
std::string resources_text(json::Value container);

std::string qos_class_of(json::Value pod_spec);
CgroupLimits container_limits(json::Value container);
// Of the pod's own cgroup: sums, and a limit only where every container has one.
CgroupLimits pod_limits(json::Value pod_spec);
int oom_score_adj(json::Value pod_spec, json::Value container, int64_t memory_capacity_bytes);

// The value of a resourceFieldRef ("limits.cpu", divisor) of `container`. kBadRequest for a name
// that is no container resource.
Result<std::string> resource_field(json::Value container, std::string_view resource,
                                   json::Value divisor, const NodeResources& allocatable);

uint64_t shares_of_milli_cpu(int64_t milli);
int64_t quota_of_milli_cpu(int64_t milli);  // For a period of 100 ms; -1 for none.

}  // namespace wherry::agent
