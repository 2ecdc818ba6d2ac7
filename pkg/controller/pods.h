#pragma once
// What workload controllers do with pods: making them from a template, judging and ranking them.

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "controller/runtime.h"

namespace wherry::controller {

inline constexpr size_t kPodBurstMax = 500;  // Pods made or deleted in one pass.

bool pod_active(const api::Object& pod);  // Neither finished nor on its way out.
bool pod_ready(json::Value pod);
// Ready for at least min_ready; otherwise `wait` is lowered to the time that is left, when ready.
bool pod_available(json::Value pod, int64_t min_ready_seconds, Time now, Duration* wait);

// A pod of spec.template of `owner`, controlled by it, with a generated name. The event is recorded
// on the owner: SuccessfulCreate "Created pod: x" or FailedCreate "Error creating: ...".
Result<ObjectPtr> create_pod(const Context& context, const api::Object& owner,
                             json::Value pod_template);
// The pod that create_pod would make, to be changed before it is created.
json::Draft pod_from_template(const api::Object& owner, json::Value pod_template);
Result<ObjectPtr> create_pod(const Context& context, const api::Object& owner,
                             const json::Draft& pod);
// Deletes with SuccessfulDelete "Deleted pod: x" or FailedDelete; a pod that is gone is no error.
Result<void> delete_pod(const Context& context, const api::Object& owner, const api::Object& pod);

// Sorts so that the pods to delete first come first (upstream's ActivePodsWithRanks): unassigned,
// pending, not ready, cheap by deletion cost, crowded nodes, younger ready, more restarts, younger.
void rank_for_deletion(std::vector<ObjectPtr>& pods);

// Sets a condition in status.conditions; lastTransitionTime moves only when status changes. True
// when anything changed.
bool set_condition(json::Node status, std::string_view type, std::string_view value,
                   std::string_view reason, std::string_view message, Time now,
                   bool with_update_time = false);
bool remove_condition(json::Node status, std::string_view type);
json::Value find_condition(json::Value status, std::string_view type);

}  // namespace wherry::controller
