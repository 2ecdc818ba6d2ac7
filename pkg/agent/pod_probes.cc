// PodWorker, probes: when they are due, and what follows from their verdicts.

#include <algorithm>

#include "agent/pod_worker.h"
#include "base/strings.h"

namespace wherry::agent {

void PodWorker::start_probes(const ContainerView& view, const ContainerRecord& container) {
  ContainerRecord* record = record_.find(container.name);
  std::vector<ProbeState>& states = probes_[container.name];
  states.clear();
  // The container may have been running for long when a restarted server takes it over.
  MonotonicTime started =
      context_.clock.monotonic() - (context_.clock.now() - container.started_at);
  bool readiness = false;
  bool startup = false;
  for (ProbeKind kind : {ProbeKind::kStartup, ProbeKind::kLiveness, ProbeKind::kReadiness}) {
    json::Value probe = view.spec[probe_field(kind)];
    if (!probe || view.kind == ContainerKind::kInit || view.kind == ContainerKind::kEphemeral) {
      continue;
    }
    if (kind == ProbeKind::kStartup && record->started) continue;  // Passed before we restarted.
    states.emplace_back(kind, probe, started);
    startup |= kind == ProbeKind::kStartup;
    readiness |= kind == ProbeKind::kReadiness;
  }
  record->started = !startup;
  if (!readiness) record->ready = record->started;
}

void PodWorker::run_probes() {
  MonotonicTime now = context_.clock.monotonic();
  for (auto& [name, states] : probes_) {
    ContainerRecord* container = record_.find(name);
    ContainerView view = pod_.container(name);
    if (container == nullptr || !container->running() || !view.spec) continue;
    for (ProbeState& state : states) {
      if (state.kind() != ProbeKind::kStartup && !container->started) continue;
      if (state.wants_run(now)) run_probe(view, *container, state);
      if (state.waiting()) at(state.due());
    }
  }
}

void PodWorker::run_probe(const ContainerView& view, ContainerRecord& container,
                          ProbeState& state) {
  state.begin(context_.clock.monotonic());
  ProbeKind kind = state.kind();
  Duration timeout = state.timeout();
  std::string name = container.name;
  std::string id = container.id;
  HandlerTarget about = target(view, container);
  context_.tasks.run(
      [self = shared_from_this(), about, kind, timeout, name, id](const std::stop_token& stop) {
        ProbeResult result =
            self->context_.probes.probe(about, about.container[probe_field(kind)], timeout, stop);
        if (stop.stop_requested())
          return;  // The server goes; what it saw while going says nothing.
        self->post([worker = self.get(), name, id, kind, result] {
          worker->end_probe(name, id, kind, result);
        });
      });
}

void PodWorker::end_probe(const std::string& name, const std::string& id, ProbeKind kind,
                          const ProbeResult& result) {
  ContainerRecord* container = record_.find(name);
  ContainerView view = pod_.container(name);
  auto states = probes_.find(name);
  if (container == nullptr || container->id != id || !container->running() || !view.spec ||
      states == probes_.end() || stopping_) {
    return;
  }
  auto probed = std::find_if(states->second.begin(), states->second.end(),
                             [kind](const ProbeState& state) { return state.kind() == kind; });
  bool quiet = probed != states->second.end() && probed->eager();
  client::Reference about = reference_to(pod_, view.kind, name);
  std::string title(probe_title(kind));
  switch (result.outcome) {
    case ProbeResult::Outcome::kSuccess: break;
    case ProbeResult::Outcome::kWarning:
      context_.events.warning(about, "ProbeWarning", title + " probe warning: " + result.output);
      break;
    case ProbeResult::Outcome::kFailure:
      if (quiet) break;
      context_.events.warning(about, "Unhealthy", title + " probe failed: " + result.output);
      break;
    case ProbeResult::Outcome::kError:
      context_.events.warning(
          about, "Unhealthy",
          title + " probe errored and resulted in unknown state: " + result.output);
      break;
  }
  for (ProbeState& state : states->second) {
    if (state.kind() != kind || !state.finish(result)) continue;
    bool passing = state.passing();
    if (kind == ProbeKind::kReadiness) {
      container->ready = passing;
    } else if (passing && kind == ProbeKind::kStartup) {
      container->started = true;
      bool readiness = false;
      for (ProbeState& other : states->second) {
        readiness |= other.kind() == ProbeKind::kReadiness;
        other.start_early(context_.clock.monotonic());
      }
      if (!readiness) container->ready = true;
    } else if (!passing && container->kill == KillStage::kNone) {
      Duration limit =
          state.grace_seconds() ? std::chrono::seconds(*state.grace_seconds()) : grace();
      for (ProbeState& other : states->second) other.hold();
      container->kill_to_restart = true;
      std::string_view title_of =
          view.kind == ContainerKind::kSidecar ? "Init container " : "Container ";
      std::string message = std::string(title_of) + name + " failed " + to_lower(title) + " probe";
      if (pod_.restart_policy() != "Never" || view.kind == ContainerKind::kSidecar) {
        message += ", will be restarted";
      }
      begin_kill(view, *container, message, limit);
    }
  }
}

}  // namespace wherry::agent
