#include "api/disruption.h"

namespace wherry::api {
namespace {

constexpr std::string_view kAllowed = "DisruptionAllowed";

}  // namespace

void set_disruption_allowed(json::Node status, int64_t generation, Time now,
                            std::string_view failure) {
  bool allowed = failure.empty() && status["disruptionsAllowed"].as_int() > 0;
  std::string_view reason = !failure.empty() ? "SyncFailed"
                            : allowed        ? "SufficientPods"
                                             : "InsufficientPods";
  json::Node conditions = status.ensure_array("conditions");
  json::Node found;
  for (json::Node condition : conditions.items()) {
    if (condition["type"].as_string() == kAllowed) found = condition;
  }
  std::string_view value = allowed ? "True" : "False";
  if (!found) {
    found = conditions.push_object();
    found.set("type", kAllowed);
  }
  if (found["status"].as_string() != value) found.set("lastTransitionTime", format_time(now));
  found.set("status", value);
  found.set("observedGeneration", generation);
  found.set("reason", reason);
  found.set("message", failure);
}

bool needs_no_budget(json::Value pod) {
  std::string_view phase = pod["status"]["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed" || phase == "Pending" ||
         static_cast<bool>(pod["metadata"]["deletionTimestamp"]);
}

bool pod_is_ready(json::Value pod) {
  for (json::Value condition : pod["status"]["conditions"].items()) {
    if (condition["type"].as_string() == "Ready") return condition["status"].as_string() == "True";
  }
  return false;
}

}  // namespace wherry::api
