#include "agent/plan.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::agent {
namespace {

// core/v1 ContainerRestartRule: exit codes that restart a container against its policy.
bool rule_matches(json::Value rule, int exit_code) {
  json::Value codes = rule["exitCodes"];
  bool listed = false;
  for (json::Value value : codes["values"].items()) listed |= value.as_int() == exit_code;
  return rule["action"].as_string() == "Restart" &&
         (codes["operator"].as_string() == "In" ? listed : !listed);
}

class Planner {
 public:
  Planner(const Pod& pod, const PodRecord& record, Time now)
      : pod_(pod), record_(record), now_(now) {}

  Plan make() {
    std::vector<ContainerView> views = pod_.containers();
    for (const ContainerView& view : views) {
      if (view.kind == ContainerKind::kEphemeral) start_if_new(view);
    }
    plan_.initialized = record_.initialized;
    if (record_.initialized) {
      for (const ContainerView& view : views) {
        if (view.kind == ContainerKind::kSidecar) keep_running(view);
      }
    } else if (!initialize(views)) {
      return std::move(plan_);
    }
    plan_.initialized = true;
    bool all_through = true;
    for (const ContainerView& view : views) {
      if (view.kind == ContainerKind::kApp) all_through &= !keep_running(view);
    }
    plan_.finished = all_through;
    return std::move(plan_);
  }

 private:
  // False while the app containers must still wait.
  bool initialize(const std::vector<ContainerView>& views) {
    for (const ContainerView& view : views) {
      const ContainerRecord* container = record_.find(view.name());
      if (container == nullptr) continue;
      if (view.kind == ContainerKind::kInit) {
        if (container->exited() && container->ended && container->ended->exit_code == 0) continue;
        if (!keep_running(view) && container->exited()) plan_.finished = true;
        return false;
      }
      if (view.kind == ContainerKind::kSidecar) {
        keep_running(view);
        // The next one waits until this one has started, which its startup probe decides.
        if (!container->running() || !container->started) return false;
      }
    }
    return true;
  }

  void start_if_new(const ContainerView& view) {
    const ContainerRecord* container = record_.find(view.name());
    if (container != nullptr && container->state == RunState::kNone) {
      plan_.start.emplace_back(view.name());
    }
  }

  // Starts it when its time has come; false when it is through for good.
  bool keep_running(const ContainerView& view) {
    const ContainerRecord* container = record_.find(view.name());
    if (container == nullptr) return false;
    if (container->running()) return true;
    if (container->state == RunState::kNone) {
      plan_.start.emplace_back(view.name());
      return true;
    }
    Termination ended = container->ended.value_or(Termination{});
    if (container->kill_to_restart && pod_.restart_policy() != "Never" && ended.exit_code == 0) {
      ended.exit_code = 1;  // Stopped by us for failing a probe: not a success.
    }
    if (!restarts(pod_, view, ended)) return false;
    Time until = ended.finished_at +
                 std::chrono::duration_cast<std::chrono::microseconds>(container->crash_delay);
    if (container->crash_delay > Duration::zero() && now_ < until) {
      plan_.back_off.push_back({container->name, container->crash_delay, until});
    } else {
      plan_.start.emplace_back(view.name());
    }
    return true;
  }

  const Pod& pod_;
  const PodRecord& record_;
  const Time now_;
  Plan plan_;
};

}  // namespace

bool restarts(const Pod& pod, const ContainerView& view, const Termination& ended) {
  if (view.kind == ContainerKind::kSidecar) return true;
  if (view.kind == ContainerKind::kEphemeral) return false;
  for (json::Value rule : view.spec["restartPolicyRules"].items()) {
    if (rule_matches(rule, ended.exit_code)) return true;
  }
  std::string_view policy = view.spec["restartPolicy"].as_string(pod.restart_policy());
  if (view.kind == ContainerKind::kInit) return ended.exit_code != 0 && policy != "Never";
  if (policy == "Always") return true;
  return policy == "OnFailure" && ended.exit_code != 0;
}

Duration next_crash_delay(const ContainerRecord& container, Time now) {
  if (container.crash_delay == Duration::zero()) return kCrashDelayFirst;
  Time finished = container.ended ? container.ended->finished_at : now;
  if (finished - container.crash_delay_set > 2 * kCrashDelayMax) return kCrashDelayFirst;
  return std::min(container.crash_delay * 2, kCrashDelayMax);
}

std::string duration_text(Duration duration) {
  int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600)
    return std::to_string(seconds / 60) + "m" + std::to_string(seconds % 60) + "s";
  return std::to_string(seconds / 3600) + "h" + std::to_string(seconds / 60 % 60) + "m" +
         std::to_string(seconds % 60) + "s";
}

Plan plan(const Pod& pod, const PodRecord& record, Time now) {
  return Planner(pod, record, now).make();
}

}  // namespace wherry::agent
