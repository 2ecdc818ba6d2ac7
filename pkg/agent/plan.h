#pragma once
// plan(): which containers of a pod to start now, which to wait for, and whether the pod is
// through. It is the one place that knows the order of init containers, sidecars and app
// containers, restart policies and crash back-off. Pure.

#include <optional>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "agent/record.h"
#include "base/clock.h"

namespace wherry::agent {

inline constexpr Duration kCrashDelayFirst = std::chrono::seconds(10);
inline constexpr Duration kCrashDelayMax = std::chrono::minutes(5);

struct Plan {
  std::vector<std::string> start;
  struct BackOff {
    std::string name;
    Duration delay{};  // As the message says it.
    Time until{};
  };
  std::vector<BackOff> back_off;  // Have ended and must wait before they start again.
  bool initialized = false;
  bool finished = false;  // Every app container is through, or an init container failed for good.
};

Plan plan(const Pod& pod, const PodRecord& record, Time now);

// Whether a container that ended so is started again.
bool restarts(const Pod& pod, const ContainerView& view, const Termination& ended);
// The delay that holds after the restart made at `now`; doubles, and starts anew after ten quiet
// minutes.
Duration next_crash_delay(const ContainerRecord& container, Time now);

// Whole seconds and minutes as Go prints durations: "10s", "1m20s", "5m0s".
std::string duration_text(Duration duration);

}  // namespace wherry::agent
