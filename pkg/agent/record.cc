#include "agent/record.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::agent {
namespace {

void put_termination(json::Node parent, std::string_view key,
                     const std::optional<Termination>& termination) {
  if (!termination) return;
  json::Node node = parent.set_object(key);
  node.set("exitCode", termination->exit_code);
  node.set("signal", termination->signal);
  node.set("reason", termination->reason);
  node.set("message", termination->message);
  node.set("startedAt", format_micro_time(termination->started_at));
  node.set("finishedAt", format_micro_time(termination->finished_at));
  node.set("containerID", termination->container_id);
}

Time time_of(json::Value value) { return parse_time(value.as_string()).value_or(Time{}); }

std::optional<Termination> get_termination(json::Value value) {
  if (!value) return std::nullopt;
  Termination out;
  out.exit_code = static_cast<int>(value["exitCode"].as_int());
  out.signal = static_cast<int>(value["signal"].as_int());
  out.reason = value["reason"].as_string();
  out.message = value["message"].as_string();
  out.started_at = time_of(value["startedAt"]);
  out.finished_at = time_of(value["finishedAt"]);
  out.container_id = value["containerID"].as_string();
  return out;
}

}  // namespace

ContainerRecord* PodRecord::find(std::string_view name) {
  for (ContainerRecord& record : containers) {
    if (record.name == name) return &record;
  }
  return nullptr;
}

const ContainerRecord* PodRecord::find(std::string_view name) const {
  return const_cast<PodRecord*>(this)->find(name);
}

void align_containers(const Pod& pod, PodRecord* record) {
  std::vector<ContainerRecord> aligned;
  for (const ContainerView& view : pod.containers()) {
    if (ContainerRecord* known = record->find(view.name())) {
      aligned.push_back(std::move(*known));
    } else {
      aligned.emplace_back();
      aligned.back().name = view.name();
    }
    aligned.back().kind = view.kind;
  }
  record->containers = std::move(aligned);
}

std::string container_id(std::string_view uid, std::string_view name, int attempt) {
  return std::string(uid) + "_" + std::string(name) + "_" + std::to_string(attempt);
}

std::optional<ContainerIdParts> parse_container_id(std::string_view id) {
  std::vector<std::string_view> parts = split(id, '_');
  if (parts.size() != 3) return std::nullopt;
  std::optional<int64_t> attempt = parse_int(parts[2]);
  if (!attempt) return std::nullopt;
  return ContainerIdParts{std::string(parts[1]), static_cast<int>(*attempt)};
}

std::string encode_record(const PodRecord& record) {
  json::Draft draft;
  json::Node root = draft.root();
  json::Node list = root.set_array("containers");
  for (const ContainerRecord& container : record.containers) {
    json::Node node = list.push_object();
    node.set("name", container.name);
    node.set("id", container.id);
    node.set("attempt", container.attempt);
    node.set("state", static_cast<int>(container.state));
    node.set("image", container.image);
    node.set("specImage", container.spec_image);
    node.set("allocated", container.allocated);
    node.set("applied", container.applied);
    node.set("imageID", container.image_id);
    node.set("stopSignal", container.stop_signal);
    node.set("startedAt", format_micro_time(container.started_at));
    node.set("started", container.started);
    node.set("ready", container.ready);
    node.set("postStartDone", container.post_start == HookState::kDone);
    node.set("crashDelaySeconds",
             std::chrono::duration_cast<std::chrono::seconds>(container.crash_delay).count());
    node.set("crashDelaySet", format_micro_time(container.crash_delay_set));
    if (container.user) {
      json::Node user = node.set_object("user");
      user.set("uid", static_cast<int64_t>(container.user->uid));
      user.set("gid", static_cast<int64_t>(container.user->gid));
      json::Node groups = user.set_array("groups");
      for (uint32_t group : container.user->groups) groups.push(static_cast<int64_t>(group));
    }
    put_termination(node, "ended", container.ended);
    put_termination(node, "last", container.last);
  }
  json::Node ips = root.set_array("podIPs");
  for (const std::string& ip : record.pod_ips) ips.push(ip);
  if (record.start_time) root.set("startTime", format_micro_time(*record.start_time));
  root.set("initialized", record.initialized);
  root.set("admitted", record.admitted);
  root.set("failedReason", record.failed_reason);
  root.set("failedMessage", record.failed_message);
  root.set("finished", record.finished);
  return draft.dump();
}

Result<PodRecord> decode_record(std::string_view text) {
  json::Document document = TRY(json::Document::parse(text));
  json::Value root = document.root();
  PodRecord record;
  for (json::Value node : root["containers"].items()) {
    ContainerRecord container;
    container.name = node["name"].as_string();
    container.id = node["id"].as_string();
    container.attempt = static_cast<int>(node["attempt"].as_int());
    container.state = static_cast<RunState>(std::clamp<int64_t>(node["state"].as_int(), 0, 3));
    container.image = node["image"].as_string();
    container.spec_image = node["specImage"].as_string();
    container.allocated = node["allocated"].as_string();
    container.applied = node["applied"].as_string();
    container.image_id = node["imageID"].as_string();
    container.stop_signal = node["stopSignal"].as_string();
    container.started_at = time_of(node["startedAt"]);
    container.started = node["started"].as_bool();
    container.ready = node["ready"].as_bool();
    if (node["postStartDone"].as_bool()) container.post_start = HookState::kDone;
    container.crash_delay = std::chrono::seconds(node["crashDelaySeconds"].as_int());
    container.crash_delay_set = time_of(node["crashDelaySet"]);
    if (json::Value user = node["user"]) {
      container.user.emplace();
      container.user->uid = static_cast<uint32_t>(user["uid"].as_int());
      container.user->gid = static_cast<uint32_t>(user["gid"].as_int());
      for (json::Value group : user["groups"].items()) {
        container.user->groups.push_back(static_cast<uint32_t>(group.as_int()));
      }
    }
    container.ended = get_termination(node["ended"]);
    container.last = get_termination(node["last"]);
    record.containers.push_back(std::move(container));
  }
  for (json::Value ip : root["podIPs"].items()) record.pod_ips.emplace_back(ip.as_string());
  record.start_time = parse_time(root["startTime"].as_string());
  record.initialized = root["initialized"].as_bool();
  record.admitted = root["admitted"].as_bool();
  record.failed_reason = root["failedReason"].as_string();
  record.failed_message = root["failedMessage"].as_string();
  record.finished = root["finished"].as_bool();
  return record;
}

PodRecord record_from_status(const Pod& pod) {
  PodRecord record;
  align_containers(pod, &record);
  json::Value status = pod.status();
  record.start_time = parse_time(status["startTime"].as_string());
  for (std::string_view list :
       {"initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"}) {
    for (json::Value item : status[list].items()) {
      ContainerRecord* container = record.find(item["name"].as_string());
      if (container == nullptr) continue;
      container->attempt = static_cast<int>(item["restartCount"].as_int());
      container->last = get_termination(item["lastState"]["terminated"]);
      container->image = item["image"].as_string();
      container->image_id = item["imageID"].as_string();
      if (json::Value terminated = item["state"]["terminated"]) {
        container->state = RunState::kExited;
        container->ended = get_termination(terminated);
      } else if (json::Value running = item["state"]["running"]) {
        // It ran, and nothing is left of it.
        container->state = RunState::kExited;
        container->started_at = time_of(running["startedAt"]);
        Termination lost;
        lost.exit_code = 137;
        lost.reason = "ContainerStatusUnknown";
        lost.message = "The container could not be located when the pod was terminated";
        lost.started_at = container->started_at;
        lost.container_id = item["containerID"].as_string();
        container->ended = lost;
      }
    }
  }
  if (pod.terminal()) {
    record.finished = true;
    record.admitted = true;
    record.failed_reason = status["reason"].as_string();
    record.failed_message = status["message"].as_string();
  }
  return record;
}

}  // namespace wherry::agent
