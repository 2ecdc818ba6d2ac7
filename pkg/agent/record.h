#pragma once
// PodRecord: everything the agent remembers about one pod between passes, and the small part of it
// that goes to disk so that a restarted server continues where the old one stopped. Plain data with
// one owner.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "base/clock.h"
#include "base/result.h"
#include "container/image.h"
#include "container/runtime.h"

namespace wherry::agent {

struct Termination {
  int exit_code = 0;
  int signal = 0;
  std::string reason;  // "Completed", "Error", "OOMKilled", "StartError", "ContainerStatusUnknown".
  std::string message;
  Time started_at{};
  Time finished_at{};
  std::string container_id;  // "runc://..." or empty.
};

enum class RunState { kNone, kCreated, kRunning, kExited };
enum class HookState { kNone, kRunning, kDone };
// A container being stopped: its preStop hook runs, then it has its stop signal, then SIGKILL.
enum class KillStage { kNone, kPreStop, kSignalled, kKilled };

// How far the pull of one image for the pod is.
struct ImagePull {
  bool running = false;
  bool done = false;   // The image is there and was announced.
  std::string error;   // Of the last try.
  std::string reason;  // Why it is not there, as it was told last: "ImagePullBackOff".
  Duration delay{};
  std::optional<MonotonicTime> not_before;
};

struct ContainerRecord {
  std::string name;
  ContainerKind kind = ContainerKind::kApp;

  // The present instance; `id` is empty when there is none.
  std::string id;
  int attempt = 0;  // restartCount.
  RunState state = RunState::kNone;
  std::string image;  // Normal name, for the status.
  std::string image_id;
  std::string stop_signal;
  Time started_at{};
  std::optional<Termination> ended;  // Of the present instance, when it has exited.
  std::optional<Termination> last;   // Of the one before.
  std::optional<container::ImageUser> user;
  HookState post_start = HookState::kNone;
  bool started = false;  // Startup probe passed, or there is none.
  bool ready = false;
  std::string spec_image;  // As the spec said when it was started.
  // ResourceRequirements as JSON: what this node has given it (empty before that), and what the
  // present instance runs under.
  std::string allocated;
  std::string applied;
  bool replace =
      false;  // Its definition has changed: after its end it starts anew, whatever the policy.

  // Why it waits, when it does.
  std::string waiting_reason;
  std::string waiting_message;
  std::optional<MonotonicTime> retry_at;  // After errors that only time or a change can cure.

  // Crash back-off: no restart before ended + delay.
  Duration crash_delay{};
  Time crash_delay_set{};

  ImagePull pull;  // Of the image for the next start.

  KillStage kill = KillStage::kNone;
  MonotonicTime kill_deadline{};
  bool kill_to_restart =
      false;  // A failed probe or hook; counts as a failure whatever the exit code.

  bool running() const { return state == RunState::kRunning || state == RunState::kCreated; }
  bool exited() const { return state == RunState::kExited; }
};

struct PodRecord {
  std::vector<ContainerRecord> containers;  // In the order of Pod::containers().
  std::vector<std::string> pod_ips;
  std::optional<Time> start_time;  // Accepted by this node.
  bool sandbox_ready = false;      // Namespaces and network are up.
  bool initialized = false;  // All init containers are through, at least once in this sandbox.
  bool admitted = false;
  // Set when the pod as a whole has failed: "OutOfcpu", "DeadlineExceeded", "Evicted", ...
  std::string failed_reason;
  std::string failed_message;
  bool finished = false;  // Nothing runs and nothing will: phase Succeeded or Failed.
  int64_t observed_generation = 0;
  // Why the resources of the newest spec are not given: "Deferred" or "Infeasible".
  std::string resize_pending_reason;
  std::string resize_pending_message;
  std::map<std::string, ImagePull, std::less<>> volume_pulls;  // Of image volumes, by name.

  ContainerRecord* find(std::string_view name);
  const ContainerRecord* find(std::string_view name) const;
};

// Brings the list of containers in line with the pod's spec (ephemeral ones can be added later).
void align_containers(const Pod& pod, PodRecord* record);

// "<uid>_<name>_<attempt>": unique on the node and readable back.
std::string container_id(std::string_view uid, std::string_view name, int attempt);
struct ContainerIdParts {
  std::string name;
  int attempt = 0;
};
std::optional<ContainerIdParts> parse_container_id(std::string_view id);

// The form on disk. Times are RFC 3339 with microseconds.
std::string encode_record(const PodRecord& record);
Result<PodRecord> decode_record(std::string_view text);

// What the API's status still says of a pod that this node has no record of (its disk was lost).
PodRecord record_from_status(const Pod& pod);

}  // namespace wherry::agent
