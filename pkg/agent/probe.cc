#include "agent/probe.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::agent {

namespace {
constexpr Duration kEagerFirst = std::chrono::milliseconds(40);
}  // namespace

std::string_view probe_title(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup: return "Startup";
    case ProbeKind::kLiveness: return "Liveness";
    case ProbeKind::kReadiness: return "Readiness";
  }
  return "";
}

std::string_view probe_field(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup: return "startupProbe";
    case ProbeKind::kLiveness: return "livenessProbe";
    case ProbeKind::kReadiness: return "readinessProbe";
  }
  return "";
}

ProbeState::ProbeState(ProbeKind kind, json::Value probe, MonotonicTime container_started)
    : kind_(kind) {
  using std::chrono::seconds;
  period_ = seconds(std::max<int64_t>(probe["periodSeconds"].as_int(10), 1));
  timeout_ = seconds(std::max<int64_t>(probe["timeoutSeconds"].as_int(1), 1));
  success_threshold_ = static_cast<int>(std::max<int64_t>(probe["successThreshold"].as_int(1), 1));
  failure_threshold_ = static_cast<int>(std::max<int64_t>(probe["failureThreshold"].as_int(3), 1));
  if (json::Value grace = probe["terminationGracePeriodSeconds"]) grace_seconds_ = grace.as_int();
  due_ = container_started + seconds(probe["initialDelaySeconds"].as_int());
  if (kind == ProbeKind::kReadiness) eager_step_ = kEagerFirst;
  passing_ = kind == ProbeKind::kLiveness;  // Alive until shown otherwise; the others must earn it.
}

void ProbeState::begin(MonotonicTime now) {
  in_flight_ = true;
  if (eager()) {
    due_ = now + eager_step_;
    eager_step_ *= 2;
    return;
  }
  due_ += period_;
  if (due_ < now) due_ = now + period_;  // We were late; no catching up.
}

bool ProbeState::finish(const ProbeResult& result) {
  in_flight_ = false;
  if (result.outcome == ProbeResult::Outcome::kError) return false;
  bool ok = result.outcome != ProbeResult::Outcome::kFailure;
  run_ = run_ > 0 && ok == last_ok_ ? run_ + 1 : 1;
  last_ok_ = ok;
  if (ok) eager_step_ = Duration::max();
  if (ok ? run_ < success_threshold_ : run_ < failure_threshold_) return false;
  bool changed = passing_ != ok;
  passing_ = ok;
  if (ok && kind_ == ProbeKind::kStartup) held_ = true;  // Done for this container's life.
  return changed || (!ok && kind_ != ProbeKind::kReadiness);
}

uint16_t resolve_port(json::Value port, json::Value container) {
  if (port.is_number()) return static_cast<uint16_t>(port.as_int());
  for (json::Value item : container["ports"].items()) {
    if (item["name"].as_string() == port.as_string()) {
      return static_cast<uint16_t>(item["containerPort"].as_int());
    }
  }
  return static_cast<uint16_t>(parse_int(port.as_string()).value_or(0));
}

}  // namespace wherry::agent
