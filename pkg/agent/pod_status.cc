#include "agent/pod_status.h"

#include <functional>

#include "agent/record.h"
#include "agent/resources.h"
#include "base/strings.h"

namespace wherry::agent {
namespace {

bool waits(const ContainerRecord& container) {
  return container.state == RunState::kNone || container.state == RunState::kCreated ||
         !container.waiting_reason.empty() || container.post_start == HookState::kRunning;
}

// Numbers of containers by what they do, as the phase counts them.
struct Tally {
  int waiting = 0, running = 0, stopped = 0, succeeded = 0;
  int pending_init = 0, failed_init = 0;
};

void count_init(const ContainerRecord& init, Tally* tally) {
  if (init.kind == ContainerKind::kSidecar) {
    if (!init.running()) {
      if (init.state == RunState::kNone) ++tally->pending_init;
      return;
    }
    if (!init.started) ++tally->pending_init;
    return;
  }
  bool failed = init.ended && init.ended->exit_code != 0;
  if (init.exited() && !failed) return;
  if (failed || (init.last && init.last->exit_code != 0 && !init.running())) {
    ++tally->failed_init;
  } else {
    ++tally->pending_init;
  }
}

void count_app(const ContainerRecord& app, Tally* tally) {
  if (app.exited() && app.waiting_reason.empty()) {
    ++tally->stopped;
    if (app.ended && app.ended->exit_code == 0) ++tally->succeeded;
  } else if (waits(app)) {
    if (app.last || app.ended) {
      ++tally->stopped;
    } else {
      ++tally->waiting;
    }
  } else {
    ++tally->running;
  }
}

void put_terminated(json::Node state, const Termination& ended) {
  json::Node node = state.set_object("terminated");
  node.set("exitCode", ended.exit_code);
  if (ended.signal != 0) node.set("signal", ended.signal);
  node.set("reason", ended.reason);
  if (!ended.message.empty()) node.set("message", ended.message);
  if (ended.started_at != Time{}) node.set("startedAt", format_time(ended.started_at));
  if (ended.finished_at != Time{}) node.set("finishedAt", format_time(ended.finished_at));
  if (!ended.container_id.empty()) node.set("containerID", ended.container_id);
}

void put_state(const ContainerRecord& container, bool initialized, bool has_init,
               json::Node status) {
  json::Node state = status.set_object("state");
  json::Node last = status.set_object("lastState");
  std::optional<Termination> previous = container.last;
  if (container.exited() && container.waiting_reason.empty() && container.ended) {
    put_terminated(state, *container.ended);
  } else if (waits(container)) {
    json::Node waiting = state.set_object("waiting");
    bool init = container.kind == ContainerKind::kInit || container.kind == ContainerKind::kSidecar;
    std::string_view reason =
        has_init && (init || !initialized) ? "PodInitializing" : "ContainerCreating";
    if (!container.waiting_reason.empty()) reason = container.waiting_reason;
    waiting.set("reason", reason);
    if (!container.waiting_message.empty()) waiting.set("message", container.waiting_message);
    if (container.ended) previous = container.ended;
  } else {
    state.set_object("running").set("startedAt", format_time(container.started_at));
  }
  if (previous) put_terminated(last, *previous);
}

void put_mounts(json::Value spec, json::Node status) {
  json::Value mounts = spec["volumeMounts"];
  if (mounts.empty()) return;
  json::Node list = status.set_array("volumeMounts");
  for (json::Value mount : mounts.items()) {
    json::Node node = list.push_object();
    node.set("name", mount["name"]);
    node.set("mountPath", mount["mountPath"]);
    if (mount["readOnly"].as_bool()) {
      node.set("readOnly", true);
      node.set("recursiveReadOnly", "Disabled");
    }
  }
}

void put_user(const ContainerRecord& container, json::Node status) {
  if (!container.user) return;
  json::Node linux_user = status.set_object("user").set_object("linux");
  linux_user.set("uid", static_cast<int64_t>(container.user->uid));
  linux_user.set("gid", static_cast<int64_t>(container.user->gid));
  json::Node groups = linux_user.set_array("supplementalGroups");
  groups.push(static_cast<int64_t>(container.user->gid));
  for (uint32_t group : container.user->groups) {
    if (group != container.user->gid) groups.push(static_cast<int64_t>(group));
  }
}

bool is_ready(const ContainerRecord& container) {
  if (container.kind == ContainerKind::kInit) {
    return container.exited() && container.ended && container.ended->exit_code == 0;
  }
  if (container.kind == ContainerKind::kEphemeral) return false;
  return !waits(container) && container.running() && container.ready;
}

void put_container(const ContainerView& view, const ContainerRecord& container, bool initialized,
                   bool has_init, json::Node list) {
  json::Node status = list.push_object();
  status.set("name", container.name);
  put_state(container, initialized, has_init, status);
  status.set("ready", is_ready(container));
  status.set("restartCount", container.attempt);
  status.set("image", container.image.empty() ? std::string(view.image()) : container.image);
  status.set("imageID", container.image_id);
  if (!container.id.empty()) {
    status.set("containerID", "runc://" + container.id);
  } else if (container.ended && !container.ended->container_id.empty()) {
    status.set("containerID", container.ended->container_id);
  }
  if (view.kind == ContainerKind::kEphemeral) return;
  status.set("started", !waits(container) && container.running() && container.started);
  if (json::Value requests = view.spec["resources"]["requests"]) {
    status.set("allocatedResources", requests);
  }
  // Until a resize is done, those that the container still runs under.
  Result<json::Document> applied = json::Document::parse(container.applied);
  if (container.running() && applied.ok()) {
    status.set("resources", applied->root());
  } else if (view.spec["resources"]) {
    status.set("resources", view.spec["resources"]);
  } else {
    status.set_object("resources");
  }
  if (container.id.empty()) return;
  put_mounts(view.spec, status);
  put_user(container, status);
}

struct Condition {
  std::string_view type;
  bool holds = false;
  std::string reason;
  std::string message;
};

void put_condition(const Pod& pod, const Condition& condition, Time now, json::Node list) {
  json::Node node = list.push_object();
  std::string_view status = condition.holds ? "True" : "False";
  std::string changed = format_time(now);
  for (json::Value old : pod.status()["conditions"].items()) {
    if (old["type"].as_string() != condition.type || old["status"].as_string() != status) continue;
    if (old["lastTransitionTime"].is_string()) changed = old["lastTransitionTime"].as_string();
  }
  node.set("type", condition.type);
  node.set("observedGeneration", pod.generation());
  node.set("status", status);
  node.set("lastTransitionTime", changed);
  if (!condition.reason.empty()) node.set("reason", condition.reason);
  if (!condition.message.empty()) node.set("message", condition.message);
}

Condition initialized_condition(const Pod& pod, const PodRecord& record, std::string_view phase) {
  Condition condition{"Initialized", true, "", ""};
  std::vector<std::string> incomplete;
  for (const ContainerRecord& container : record.containers) {
    if (container.kind == ContainerKind::kInit && !is_ready(container)) {
      incomplete.push_back(container.name);
    }
    if (container.kind == ContainerKind::kSidecar && !container.started) {
      incomplete.push_back(container.name);
    }
  }
  (void)pod;
  if (phase == "Succeeded") {
    condition.reason = "PodCompleted";
  } else if (!incomplete.empty() && !(record.initialized && phase == "Running")) {
    condition.holds = false;
    condition.reason = "ContainersNotInitialized";
    condition.message = "containers with incomplete status: [" + join(incomplete, " ") + "]";
  }
  return condition;
}

Condition containers_ready_condition(const PodRecord& record, std::string_view phase) {
  Condition condition{"ContainersReady", true, "", ""};
  std::vector<std::string> unready;
  for (const ContainerRecord& container : record.containers) {
    bool counts =
        container.kind == ContainerKind::kApp || container.kind == ContainerKind::kSidecar;
    if (counts && !is_ready(container)) unready.push_back(container.name);
  }
  if (phase == "Succeeded" || phase == "Failed") {
    condition.holds = false;
    condition.reason = phase == "Succeeded" ? "PodCompleted" : "PodFailed";
    return condition;
  }
  if (!unready.empty()) {
    condition.holds = false;
    condition.reason = "ContainersNotReady";
    condition.message = "containers with unready status: [" + join(unready, " ") + "]";
  }
  return condition;
}

Condition ready_condition(const Pod& pod, const Condition& containers) {
  Condition condition = containers;
  condition.type = "Ready";
  if (!containers.holds) return condition;
  std::vector<std::string> messages;
  for (json::Value gate : pod.spec()["readinessGates"].items()) {
    std::string_view type = gate["conditionType"].as_string();
    json::Value found;
    for (json::Value old : pod.status()["conditions"].items()) {
      if (old["type"].as_string() == type) found = old;
    }
    if (!found) {
      messages.push_back("corresponding condition of pod readiness gate " + quote(type) +
                         " does not exist.");
    } else if (found["status"].as_string() != "True") {
      messages.push_back("the status of pod readiness gate " + quote(type) +
                         " is not \"True\", but " + std::string(found["status"].as_string()));
    }
  }
  if (messages.empty()) return condition;
  condition.holds = false;
  condition.reason = "ReadinessGatesNotReady";
  condition.message = join(messages, ", ");
  return condition;
}

bool is_resizing(const Pod& pod, const PodRecord& record) {
  for (const ContainerRecord& container : record.containers) {
    if (container.kind == ContainerKind::kEphemeral || !container.running()) continue;
    if (container.applied.empty()) continue;
    if (container.applied != resources_text(pod.container(container.name).spec)) return true;
  }
  return false;
}

// Only there while they hold.
constexpr std::string_view kResizeConditions[] = {"PodResizePending", "PodResizeInProgress"};

void put_resize_conditions(const Pod& pod, const PodRecord& record, Time now, json::Node list) {
  if (!record.resize_pending_reason.empty()) {
    put_condition(
        pod,
        {kResizeConditions[0], true, record.resize_pending_reason, record.resize_pending_message},
        now, list);
  }
  if (is_resizing(pod, record)) put_condition(pod, {kResizeConditions[1], true, "", ""}, now, list);
}

void put_ips(const std::vector<std::string>& ips, std::string_view one, std::string_view many,
             json::Node status) {
  if (ips.empty()) return;
  status.set(one, ips[0]);
  json::Node list = status.set_array(many);
  for (const std::string& ip : ips) list.push_object().set("ip", ip);
}

void put_containers(const Pod& pod, const PodRecord& record, json::Node status) {
  bool has_init = !pod.spec()["initContainers"].empty();
  for (const ContainerView& view : pod.containers()) {
    const ContainerRecord* container = record.find(view.name());
    if (container == nullptr) continue;
    std::string_view list = "containerStatuses";
    if (view.kind == ContainerKind::kInit || view.kind == ContainerKind::kSidecar) {
      list = "initContainerStatuses";
    } else if (view.kind == ContainerKind::kEphemeral) {
      list = "ephemeralContainerStatuses";
    }
    put_container(view, *container, record.initialized, has_init, status.ensure_array(list));
  }
}

}  // namespace

std::string_view pod_phase(const Pod& pod, const PodRecord& record, bool terminal) {
  if (!record.failed_reason.empty()) return "Failed";
  Tally tally;
  for (const ContainerRecord& container : record.containers) {
    if (container.kind == ContainerKind::kInit || container.kind == ContainerKind::kSidecar) {
      count_init(container, &tally);
    } else if (container.kind == ContainerKind::kApp) {
      count_app(container, &tally);
    }
  }
  int apps = tally.waiting + tally.running + tally.stopped;
  if (terminal) return apps > 0 && tally.succeeded == apps ? "Succeeded" : "Failed";
  std::string_view policy = pod.restart_policy();
  if (tally.failed_init > 0 && policy == "Never") return "Failed";
  if (!record.initialized && tally.failed_init + tally.pending_init > 0) return "Pending";
  if (tally.waiting > 0) return "Pending";
  if (tally.running > 0) return "Running";
  if (tally.stopped > 0) return "Running";  // All wait for their restart, or for the verdict.
  return "Pending";
}

json::Draft pod_status(const Pod& pod, const PodRecord& record, const StatusInputs& inputs) {
  json::Draft draft;
  json::Node status = draft.root();
  std::string_view phase = pod_phase(pod, record, inputs.terminal);
  status.set("observedGeneration", record.observed_generation);
  status.set("phase", phase);

  Condition containers = containers_ready_condition(record, phase);
  json::Node conditions = status.set_array("conditions");
  put_condition(pod, {"PodReadyToStartContainers", record.sandbox_ready, "", ""}, inputs.now,
                conditions);
  put_condition(pod, initialized_condition(pod, record, phase), inputs.now, conditions);
  put_condition(pod, ready_condition(pod, containers), inputs.now, conditions);
  put_condition(pod, containers, inputs.now, conditions);
  put_condition(pod, {"PodScheduled", true, "", ""}, inputs.now, conditions);

  put_resize_conditions(pod, record, inputs.now, conditions);

  if (!record.failed_message.empty()) status.set("message", record.failed_message);
  if (!record.failed_reason.empty()) status.set("reason", record.failed_reason);
  if (!inputs.host_ips.empty()) put_ips(inputs.host_ips, "hostIP", "hostIPs", status);
  put_ips(record.pod_ips, "podIP", "podIPs", status);
  if (record.start_time) status.set("startTime", format_time(*record.start_time));
  // A pod that was refused never had containers.
  if (record.admitted) put_containers(pod, record, status);
  status.set("qosClass", pod.qos_class());
  return draft;
}

json::Draft status_patch(json::Value current, json::Value wanted, std::string_view uid) {
  json::Draft draft;
  json::Node status = draft.root().set_object("status");
  for (auto [key, value] : wanted.members()) {
    if (key == "conditions") continue;
    if (!json::equal(current[key], value)) status.set(key, value);
  }
  json::Node conditions = status.set_array("conditions");
  for (json::Value condition : wanted["conditions"].items()) {
    json::Value old;
    for (json::Value item : current["conditions"].items()) {
      if (json::equal(item["type"], condition["type"])) old = item;
    }
    bool same = true;
    for (std::string_view key :
         {"status", "reason", "message", "observedGeneration", "lastTransitionTime"}) {
      same = same && json::equal(old[key], condition[key]);
    }
    if (same) continue;
    json::Node node = conditions.push_object();
    for (auto [key, value] : condition.members()) node.set(key, value);
    for (std::string_view gone : {"reason", "message"}) {
      if (old[gone] && !condition[gone]) node.set_null(gone);
    }
  }
  for (std::string_view type : kResizeConditions) {
    auto has = [type](json::Value list) {
      for (json::Value item : list.items()) {
        if (item["type"].as_string() == type) return true;
      }
      return false;
    };
    if (!has(current["conditions"]) || has(wanted["conditions"])) continue;
    json::Node node = conditions.push_object();
    node.set("$patch", "delete");
    node.set("type", type);
  }
  if (conditions.empty()) status.remove("conditions");
  for (std::string_view gone : {"reason", "message"}) {
    if (current[gone] && !wanted[gone]) status.set_null(gone);
  }
  if (status.empty()) return json::Draft::array();
  draft.root().set_object("metadata").set("uid", uid);
  return draft;
}

}  // namespace wherry::agent
