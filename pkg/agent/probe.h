#pragma once
// Probes. ProbeState is the pure counting part: when the next try is due, and when a run of results
// changes the verdict. ProbeRunner is the seam where a try touches the world (http, tcp, exec).

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "agent/pod.h"
#include "base/clock.h"
#include "container/sandbox.h"
#include "json/json.h"

namespace wherry::agent {

enum class ProbeKind { kStartup, kLiveness, kReadiness };
std::string_view probe_title(ProbeKind kind);  // "Startup", as events begin.
std::string_view probe_field(ProbeKind kind);  // "startupProbe".

struct ProbeResult {
  enum class Outcome { kSuccess, kFailure, kWarning, kError } outcome = Outcome::kSuccess;
  std::string output;
};

class ProbeState {
 public:
  ProbeState(ProbeKind kind, json::Value probe, MonotonicTime container_started);

  ProbeKind kind() const { return kind_; }
  Duration timeout() const { return timeout_; }
  std::optional<int64_t> grace_seconds() const { return grace_seconds_; }
  MonotonicTime due() const { return due_; }
  bool wants_run(MonotonicTime now) const { return !in_flight_ && !held_ && now >= due_; }
  bool waiting() const { return !in_flight_ && !held_; }
  void begin(MonotonicTime now);
  void start_early(MonotonicTime now) { due_ = std::min(due_, now); }

  // Takes in a result; true when the verdict has changed or, for a failing liveness or startup
  // probe, was reached. kError results change nothing.
  bool finish(const ProbeResult& result);
  bool passing() const { return passing_; }
  // A readiness probe that never succeeded is tried again sooner than its period, so that a pod
  // that just needs a moment is ready in a moment (API reference, Probe: "may be executed at times
  // other than the configured periodSeconds"). Failures of such tries are no news.
  bool eager() const { return eager_step_ < period_; }
  void hold() { held_ = true; }  // The container is about to be restarted.

 private:
  ProbeKind kind_;
  Duration period_{};
  Duration timeout_{};
  int success_threshold_ = 1;
  int failure_threshold_ = 3;
  std::optional<int64_t> grace_seconds_;
  MonotonicTime due_;
  bool in_flight_ = false;
  bool held_ = false;
  bool passing_ = false;
  bool last_ok_ = false;
  int run_ = 0;  // Equal results in a row.
  Duration eager_step_ = Duration::max();
};

// What a probe or hook is about; owns what it needs while it runs elsewhere.
struct HandlerTarget {
  Pod pod;
  json::Value container;  // Within pod's document.
  std::string pod_ip;
  std::shared_ptr<container::Sandbox> sandbox;
  std::string container_id;
};

class ProbeRunner {
 public:
  virtual ~ProbeRunner() = default;
  // `handler` has exec, httpGet, tcpSocket or grpc. Blocks up to `timeout`.
  virtual ProbeResult probe(const HandlerTarget& target, json::Value handler, Duration timeout,
                            const std::stop_token& stop) = 0;
  // A lifecycle hook: the error's message is what the status shows.
  virtual Result<void> hook(const HandlerTarget& target, json::Value handler, Duration timeout,
                            const std::stop_token& stop) = 0;
};

// A container port by number or by name; 0 when there is no such port.
uint16_t resolve_port(json::Value port, json::Value container);

}  // namespace wherry::agent
