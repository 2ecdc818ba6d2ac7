#include "controller/pods.h"

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "controller/owners.h"

namespace wherry::controller {
namespace {

std::optional<Time> ready_since(json::Value pod) {
  json::Value ready = find_condition(pod["status"], "Ready");
  if (ready["status"].as_string() != "True") return std::nullopt;
  return parse_time(ready["lastTransitionTime"].as_string());
}

int64_t restarts(json::Value pod) {
  int64_t most = 0;
  for (json::Value status : pod["status"]["containerStatuses"].items()) {
    most = std::max(most, status["restartCount"].as_int());
  }
  return most;
}

// Everything that decides a pod's place in the line, so that each pod is parsed once.
struct Rank {
  ObjectPtr pod;
  bool assigned;
  int phase;  // Pending before Unknown before Running.
  std::optional<Time> ready;
  int64_t cost;
  int crowd;  // Pods of the same owner on its node.
  int64_t restarts;
  std::string created;
};

Rank rank_of(const ObjectPtr& pod, const std::map<std::string, int>& crowds) {
  json::Document document = pod->document();
  json::Value root = document.root();
  std::string_view phase = root["status"]["phase"].as_string();
  std::string node(root["spec"]["nodeName"].as_string());
  json::Value cost = root["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
  auto crowd = crowds.find(node);
  return {pod,
          !node.empty(),
          phase == "Pending"   ? 0
          : phase == "Unknown" ? 1
                               : 2,
          ready_since(root),
          parse_int(cost.as_string()).value_or(0),
          crowd == crowds.end() ? 0 : crowd->second,
          restarts(root),
          std::string(root["metadata"]["creationTimestamp"].as_string())};
}

bool goes_first(const Rank& a, const Rank& b) {
  if (a.assigned != b.assigned) return !a.assigned;
  if (a.phase != b.phase) return a.phase < b.phase;
  if (a.ready.has_value() != b.ready.has_value()) return !a.ready;
  if (a.cost != b.cost) return a.cost < b.cost;
  if (a.crowd != b.crowd) return a.crowd > b.crowd;
  if (a.ready && b.ready && *a.ready != *b.ready) return *a.ready > *b.ready;
  if (a.restarts != b.restarts) return a.restarts > b.restarts;
  return a.created > b.created;
}

}  // namespace

bool pod_active(const api::Object& pod) {
  if (pod.deleting()) return false;
  json::Document document = pod.document();
  std::string_view phase = document.root()["status"]["phase"].as_string();
  return phase != "Succeeded" && phase != "Failed";
}

bool pod_ready(json::Value pod) {
  return find_condition(pod["status"], "Ready")["status"].as_string() == "True";
}

bool pod_available(json::Value pod, int64_t min_ready_seconds, Time now, Duration* wait) {
  std::optional<Time> since = ready_since(pod);
  if (!pod_ready(pod)) return false;
  if (min_ready_seconds == 0) return true;
  if (!since) return false;
  Duration left = *since + std::chrono::seconds(min_ready_seconds) - now;
  if (left <= Duration::zero()) return true;
  if (wait != nullptr) *wait = std::min(*wait, left);
  return false;
}

json::Draft pod_from_template(const api::Object& owner, json::Value pod_template) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", "Pod");
  root.set("apiVersion", "v1");
  json::Node metadata = root.set_object("metadata");
  metadata.set("generateName", std::string(owner.name()) + "-");
  metadata.set("namespace", owner.ns());
  json::Value wanted = pod_template["metadata"];
  for (std::string_view key : {"labels", "annotations", "finalizers"})
    metadata.set(key, wanted[key]);
  set_controller(metadata, owner);
  root.set("spec", pod_template["spec"]);
  return draft;
}

Result<ObjectPtr> create_pod(const Context& context, const api::Object& owner,
                             json::Value pod_template) {
  return create_pod(context, owner, pod_from_template(owner, pod_template));
}

Result<ObjectPtr> create_pod(const Context& context, const api::Object& owner,
                             const json::Draft& pod) {
  json::Document document = pod.freeze();
  Result<ObjectPtr> made =
      context.client.create(api::resource("pods"), owner.ns(), document.root());
  if (made.ok()) {
    context.events.normal(owner, "SuccessfulCreate",
                          fmt::format("Created pod: {}", (*made)->name()));
  } else {
    if (!namespace_terminating(made.error())) {
      context.events.warning(owner, "FailedCreate", "Error creating: " + made.error().message());
    }
  }
  return made;
}

Result<void> delete_pod(const Context& context, const api::Object& owner, const api::Object& pod) {
  Result<void> gone = context.client.remove(api::resource("pods"), pod.ns(), pod.name(),
                                            {.uid = std::string(pod.uid())});
  if (gone.ok()) {
    context.events.normal(owner, "SuccessfulDelete", fmt::format("Deleted pod: {}", pod.name()));
    return {};
  }
  if (gone.error().is(Code::kNotFound) || gone.error().is(Code::kConflict)) return {};
  context.events.warning(owner, "FailedDelete", "Error deleting: " + gone.error().message());
  return gone;
}

void rank_for_deletion(std::vector<ObjectPtr>& pods) {
  std::map<std::string, int> crowds;
  for (const ObjectPtr& pod : pods) {
    json::Document document = pod->document();
    ++crowds[std::string(document.root()["spec"]["nodeName"].as_string())];
  }
  std::vector<Rank> ranks;
  for (const ObjectPtr& pod : pods) ranks.push_back(rank_of(pod, crowds));
  std::stable_sort(ranks.begin(), ranks.end(), &goes_first);
  for (size_t i = 0; i < ranks.size(); ++i) pods[i] = std::move(ranks[i].pod);
}

json::Value find_condition(json::Value status, std::string_view type) {
  for (json::Value condition : status["conditions"].items()) {
    if (condition["type"].as_string() == type) return condition;
  }
  return {};
}

bool set_condition(json::Node status, std::string_view type, std::string_view value,
                   std::string_view reason, std::string_view message, Time now,
                   bool with_update_time) {
  json::Node conditions = status.ensure_array("conditions");
  json::Node found;
  for (json::Node condition : conditions.items()) {
    if (condition["type"].as_string() == type) found = condition;
  }
  bool fresh = !found;
  if (fresh) {
    found = conditions.push_object();
    found.set("type", type);
  }
  bool moved = fresh || found["status"].as_string() != value;
  bool changed =
      moved || found["reason"].as_string() != reason || found["message"].as_string() != message;
  if (!changed) return false;
  found.set("status", value);
  if (with_update_time) found.set("lastUpdateTime", format_time(now));
  if (moved) found.set("lastTransitionTime", format_time(now));
  if (!reason.empty()) found.set("reason", reason);
  if (!message.empty()) found.set("message", message);
  return true;
}

bool remove_condition(json::Node status, std::string_view type) {
  std::vector<json::Node> conditions = status["conditions"].items();
  for (size_t i = 0; i < conditions.size(); ++i) {
    if (conditions[i]["type"].as_string() != type) continue;
    status["conditions"].remove_at(i);
    if (status["conditions"].empty()) status.remove("conditions");
    return true;
  }
  return false;
}

}  // namespace wherry::controller
