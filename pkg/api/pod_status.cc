#include "api/pod_status.h"

#include <algorithm>

#include "api/table.h"

namespace wherry::api {
namespace {

struct Summary {
  std::string reason;
  int64_t ready = 0;
  int64_t total = 0;
  int64_t restarts = 0;
  std::string last_restart;  // Timestamp of the newest earlier end; RFC 3339 in UTC sorts as text.
};

bool condition_is_true(json::Value pod, std::string_view type) {
  for (json::Value condition : pod["status"]["conditions"].items()) {
    if (condition["type"].as_string() == type) return condition["status"].as_string() == "True";
  }
  return false;
}

// An init container that stays: it counts like the others.
bool is_sidecar(json::Value pod, std::string_view name) {
  for (json::Value container : pod["spec"]["initContainers"].items()) {
    if (container["name"].as_string() == name)
      return container["restartPolicy"].as_string() == "Always";
  }
  return false;
}

std::string end_text(json::Value terminated) {
  if (std::string_view reason = terminated["reason"].as_string(); !reason.empty()) {
    return std::string(reason);
  }
  if (int64_t signal = terminated["signal"].as_int(); signal != 0) {
    return "Signal:" + std::to_string(signal);
  }
  return "ExitCode:" + std::to_string(terminated["exitCode"].as_int());
}

void count_restarts(json::Value status, int64_t& restarts, std::string& last) {
  restarts += status["restartCount"].as_int();
  std::string_view finished = status["lastState"]["terminated"]["finishedAt"].as_string();
  if (finished > last) last = finished;
}

// Goes through the init containers up to the one that is at work. True while the pod initialises.
bool walk_init(json::Value pod, Summary& out, int64_t& sidecar_restarts,
               std::string& sidecar_last) {
  size_t at = 0;
  for (json::Value status : pod["status"]["initContainerStatuses"].items()) {
    bool sidecar = is_sidecar(pod, status["name"].as_string());
    count_restarts(status, out.restarts, out.last_restart);
    if (sidecar) count_restarts(status, sidecar_restarts, sidecar_last);
    json::Value terminated = status["state"]["terminated"];
    json::Value waiting = status["state"]["waiting"];
    size_t index = at++;
    if (terminated && terminated["exitCode"].as_int() == 0) continue;
    if (sidecar && status["started"].as_bool()) {
      if (status["ready"].as_bool()) ++out.ready;
      continue;
    }
    std::string_view why = waiting["reason"].as_string();
    if (terminated) {
      out.reason = "Init:" + end_text(terminated);
    } else if (waiting && !why.empty() && why != "PodInitializing") {
      out.reason = "Init:" + std::string(why);
    } else {
      out.reason = "Init:" + std::to_string(index) + "/" +
                   std::to_string(pod["spec"]["initContainers"].size());
    }
    return true;
  }
  return false;
}

void walk_containers(json::Value pod, Summary& out) {
  bool running = false;
  bool failed = false;  // The reason so far is that of a container that failed.
  json::Value statuses = pod["status"]["containerStatuses"];
  for (size_t i = statuses.size(); i-- > 0;) {
    json::Value status = statuses.at(i);
    count_restarts(status, out.restarts, out.last_restart);
    json::Value state = status["state"];
    if (std::string_view why = state["waiting"]["reason"].as_string(); !why.empty()) {
      out.reason = why;
      failed = false;
    } else if (json::Value terminated = state["terminated"]) {
      std::string text = end_text(terminated);
      bool good = terminated["exitCode"].as_int() == 0;
      // That one container is done does not hide that another failed.
      if (failed && good && text == "Completed") continue;
      out.reason = std::move(text);
      failed = !good;
    } else if (status["ready"].as_bool() && state["running"]) {
      running = true;
      ++out.ready;
    }
  }
  // One container has ended well while another runs on.
  if (out.reason == "Completed" && running) {
    out.reason = condition_is_true(pod, "Ready") ? "Running" : "NotReady";
  }
}

Summary summarise(json::Value pod) {
  Summary out;
  json::Value status = pod["status"];
  std::string_view phase = status["phase"].as_string();
  std::string_view why = status["reason"].as_string();
  out.reason = why.empty() ? phase : why;
  for (json::Value condition : status["conditions"].items()) {
    if (condition["type"].as_string() == "PodScheduled" &&
        condition["reason"].as_string() == "SchedulingGated") {
      out.reason = "SchedulingGated";
    }
  }
  out.total = static_cast<int64_t>(pod["spec"]["containers"].size());
  for (json::Value container : pod["spec"]["initContainers"].items()) {
    if (container["restartPolicy"].as_string() == "Always") ++out.total;
  }
  int64_t sidecar_restarts = 0;
  std::string sidecar_last;
  bool initialising = walk_init(pod, out, sidecar_restarts, sidecar_last);
  if (!initialising || condition_is_true(pod, "Initialized")) {
    out.restarts = sidecar_restarts;
    out.last_restart = sidecar_last;
    walk_containers(pod, out);
  }
  if (pod["metadata"]["deletionTimestamp"]) {
    bool ended = phase == "Succeeded" || phase == "Failed";
    if (why == "NodeLost") {
      out.reason = "Unknown";
    } else if (!ended) {
      out.reason = "Terminating";
    }
  }
  return out;
}

}  // namespace

std::string pod_ready_text(json::Value pod) {
  Summary summary = summarise(pod);
  return std::to_string(summary.ready) + "/" + std::to_string(summary.total);
}

std::string pod_status_text(json::Value pod) { return summarise(pod).reason; }

std::string pod_restarts_text(json::Value pod, Time now) {
  Summary summary = summarise(pod);
  std::string text = std::to_string(summary.restarts);
  if (summary.restarts != 0 && !summary.last_restart.empty()) {
    text += " (" + human_age(summary.last_restart, now) + " ago)";
  }
  return text;
}

}  // namespace wherry::api
