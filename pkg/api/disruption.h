#pragma once
// The status of a PodDisruptionBudget, as its controller works it out and as an eviction spends it.
// Rules from the Kubernetes documentation, disruptions. Pure.

#include <string_view>

#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

// Condition DisruptionAllowed: whether status.disruptionsAllowed is above zero; or with `failure`
// that it could not be worked out.
void set_disruption_allowed(json::Node status, int64_t generation, Time now,
                            std::string_view failure = {});
// A pod whose going nobody has to allow: it never ran, has ended or is on its way out.
bool needs_no_budget(json::Value pod);
bool pod_is_ready(json::Value pod);

}  // namespace wherry::api
