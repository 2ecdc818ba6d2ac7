// PodWorker, the way down: hooks, signals, sandbox and network away, and in the end the pod itself.

#include <algorithm>
#include <csignal>
#include <map>

#include "agent/pod_worker.h"
#include "base/log.h"
#include "base/strings.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

// Upstream gives a container at least so long after its preStop hook has used up the grace period.
constexpr Duration kGraceMin = std::chrono::seconds(2);
constexpr Duration kKillAgain = std::chrono::seconds(5);

// "SIGUSR1", "usr1", "10" or empty.
int signal_number(std::string_view text) {
  static const std::map<std::string, int> kNames = {
      {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},     {"KILL", SIGKILL},
      {"TERM", SIGTERM}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},     {"ABRT", SIGABRT},
      {"ALRM", SIGALRM}, {"CONT", SIGCONT}, {"STOP", SIGSTOP},     {"TSTP", SIGTSTP},
      {"PIPE", SIGPIPE}, {"TTIN", SIGTTIN}, {"WINCH", SIGWINCH},   {"PWR", SIGPWR},
      {"URG", SIGURG},   {"IO", SIGIO},     {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF},
      {"TRAP", SIGTRAP}, {"BUS", SIGBUS},   {"CHLD", SIGCHLD},     {"TTOU", SIGTTOU},
  };
  if (std::optional<int64_t> number = parse_int(text)) return static_cast<int>(*number);
  std::string name = to_upper(text);
  if (name.starts_with("SIG")) name = name.substr(3);
  if (name.starts_with("RTMIN")) {
    std::optional<int64_t> offset = parse_int(name.size() > 6 ? name.substr(6) : "0");
    return SIGRTMIN + static_cast<int>(offset.value_or(0));
  }
  auto found = kNames.find(name);
  return found == kNames.end() ? SIGTERM : found->second;
}

}  // namespace

bool PodWorker::should_stop() const {
  return gone_ || pod_.deleting() || !record_.failed_reason.empty() || record_.finished;
}

Duration PodWorker::grace() const {
  json::Value left = pod_.metadata()["deletionGracePeriodSeconds"];
  if (pod_.deleting() && left) return std::chrono::seconds(std::max<int64_t>(left.as_int(), 1));
  if (gone_) return std::chrono::seconds(1);  // Deleted by force: nobody waits for it.
  return std::chrono::seconds(pod_.spec()["terminationGracePeriodSeconds"].as_int(30));
}

void PodWorker::begin_stop() {
  stopping_ = true;
  stop_deadline_ = context_.clock.monotonic() + grace();
  probes_.clear();
}

void PodWorker::step_stop() {
  // The grace period may be cut short while we wait.
  stop_deadline_ = std::min(stop_deadline_, context_.clock.monotonic() + grace());
  if (!stop_containers()) return;
  clean_up();
  record_.finished = true;
  if (gone_) remove_all();
}

// True once nothing runs. Sidecars are asked when the others are through, the last one first.
bool PodWorker::stop_containers() {
  Duration left = std::max<Duration>(stop_deadline_ - context_.clock.monotonic(), {});
  bool others_run = false;
  for (ContainerRecord& container : record_.containers) {
    if (container.kind != ContainerKind::kSidecar && container.running()) others_run = true;
  }
  bool any = false;
  bool later_sidecar_runs = false;
  for (auto it = record_.containers.rbegin(); it != record_.containers.rend(); ++it) {
    ContainerRecord& container = *it;
    if (!container.running()) continue;
    any = true;
    bool sidecar = container.kind == ContainerKind::kSidecar;
    bool must_wait = sidecar && (others_run || later_sidecar_runs) && left > Duration::zero();
    later_sidecar_runs |= sidecar;
    if (must_wait) {
      at(stop_deadline_);
      continue;
    }
    if (container.kill == KillStage::kNone) {
      ContainerView view = pod_.container(container.name);
      begin_kill(view, container, "Stopping container " + container.name, left);
    } else {
      container.kill_deadline =
          std::min(container.kill_deadline, std::max(stop_deadline_, context_.clock.monotonic()));
    }
    step_kill(container);
  }
  return !any;
}

void PodWorker::begin_kill(const ContainerView& view, ContainerRecord& container,
                           const std::string& message, Duration limit) {
  if (container.kill != KillStage::kNone) return;
  client::Reference about = reference_to(pod_, view.kind, container.name);
  context_.events.normal(about, "Killing", message);
  container.kill_deadline = context_.clock.monotonic() + limit;
  at(container.kill_deadline);
  json::Value handler = view.spec["lifecycle"]["preStop"];
  if (!handler || limit <= Duration::zero()) return send_stop_signal(container);

  container.kill = KillStage::kPreStop;
  std::string name = container.name;
  std::string id = container.id;
  HandlerTarget target_of = target(view, container);
  context_.tasks.run(
      [self = shared_from_this(), target_of, name, id, about, limit](const std::stop_token& stop) {
        Result<void> done = self->context_.probes.hook(
            target_of, target_of.container["lifecycle"]["preStop"], limit, stop);
        if (!done.ok()) {
          log::debug("{}", done.error().message());
          self->context_.events.warning(about, "FailedPreStopHook", "PreStopHook failed");
        }
        self->post([worker = self.get(), name, id] {
          ContainerRecord* record = worker->record_.find(name);
          if (record == nullptr || record->id != id || !record->running()) return;
          if (record->kill == KillStage::kPreStop) worker->send_stop_signal(*record);
        });
      });
}

void PodWorker::send_stop_signal(ContainerRecord& container) {
  MonotonicTime now = context_.clock.monotonic();
  if (container.kill == KillStage::kPreStop) {
    container.kill_deadline = std::max(container.kill_deadline, now + kGraceMin);
    stop_deadline_ = std::max(stop_deadline_, container.kill_deadline);
  }
  container.kill = KillStage::kSignalled;
  json::Value wanted = pod_.container(container.name).spec["lifecycle"]["stopSignal"];
  std::string_view text = wanted ? wanted.as_string() : std::string_view(container.stop_signal);
  Result<void> sent = sandbox_->kill_container(container.id, signal_number(text));
  if (!sent.ok()) log::debug("{}: {}", container.id, sent.error().message());
  at(container.kill_deadline);
}

// Moves a container that is being stopped on when its time is over.
void PodWorker::step_kill(ContainerRecord& container) {
  MonotonicTime now = context_.clock.monotonic();
  if (container.kill == KillStage::kNone || !container.running()) return;
  if (now < container.kill_deadline) return at(container.kill_deadline);
  if (container.kill == KillStage::kPreStop) return send_stop_signal(container);
  container.kill = KillStage::kKilled;
  container.kill_deadline = now + kKillAgain;
  Result<void> sent = sandbox_->kill_container(container.id, SIGKILL);
  if (!sent.ok()) log::warn("{}: {}", container.id, sent.error().message());
  at(container.kill_deadline);
}

void PodWorker::clean_up() {
  if (cleaned_up_) return;
  cleaned_up_ = true;
  if (sandbox_ != nullptr) {
    context_.watcher.unwatch(uid_);
    Result<void> removed = sandbox_->remove();
    if (!removed.ok()) log::warn("pod {}: {}", pod_.label(), removed.error().message());
    sandbox_.reset();
  }
  record_.sandbox_ready = false;
  Result<void> detached = context_.network.detach(uid_);
  if (!detached.ok()) log::warn("pod {}: {}", pod_.label(), detached.error().message());
  Result<void> removed = volumes_.remove();
  if (!removed.ok()) log::warn("pod {}: {}", pod_.label(), removed.error().message());
  context_.admissions.release(uid_);
  wake_waiting();
}

void PodWorker::remove_all() {
  Result<void> removed = os::remove_tree(pod_dir_);
  if (!removed.ok()) log::warn("pod {}: {}", pod_.label(), removed.error().message());
  context_.statuses.forget(uid_);
  done_ = true;
}

}  // namespace wherry::agent
