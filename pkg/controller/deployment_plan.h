#pragma once
// The arithmetic of a Deployment: how many replicas each of its ReplicaSets should have. Pure; the
// rules are those of the Kubernetes documentation on rolling updates and proportional scaling.

#include <cstdint>
#include <string>
#include <vector>

#include "json/json.h"

namespace wherry::controller {

// One ReplicaSet in numbers.
struct SetSize {
  std::string name;
  std::string created;
  int64_t replicas = 0;   // spec.replicas
  int64_t available = 0;  // status.availableReplicas
  int64_t max_replicas_then =
      0;  // Annotation max-replicas: the deployment's size with surge, back then.
};

struct Rolling {
  int64_t replicas = 1;  // Of the Deployment.
  bool recreate = false;
  int64_t max_surge = 0;
  int64_t max_unavailable = 0;
};

// A number or a percentage of `total`, rounded up or down.
int64_t scaled_value(json::Value number_or_percent, int64_t total, bool round_up);
// Resolves strategy and replicas of a Deployment's spec. When both limits come out as 0, one pod
// may be unavailable, or nothing could ever move.
Rolling rolling_of(json::Value deployment_spec);

// Size of a new ReplicaSet beside the existing total of `current`.
int64_t new_set_size(const Rolling& rolling, int64_t new_replicas, int64_t current);

// One step down for the old sets: their new sizes, in the same order. First pods that are not
// available anyway go, then as many as the limits allow. Oldest first.
std::vector<int64_t> old_set_sizes(const Rolling& rolling, const std::vector<SetSize>& old,
                                   const SetSize& fresh);

// Sizes after a change of spec.replicas in the middle of a roll-out: every set takes its share. The
// largest sets first take the rounding rest. `sets` include the newest.
std::vector<int64_t> proportional_sizes(const Rolling& rolling, const std::vector<SetSize>& sets);

}  // namespace wherry::controller
