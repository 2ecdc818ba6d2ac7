#pragma once
// What is asked of a container: the configuration that becomes an OCI bundle, and the rows of
// runtimes that can run it. Pure data.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/image.h"
#include "os/cgroup.h"

namespace wherry::container {

// One OCI runtime program.
struct Runtime {
  std::string name;              // "runc"
  std::string path;              // "/usr/sbin/runc"
  bool overlay_as_mount = true;  // Takes an overlay as first mount entry at "/".
};
// Looks for the program on PATH; kNotFound with the fix ("install runc") when it is not there.
Result<Runtime> find_runtime(std::string_view name);

enum class Propagation { kPrivate, kHostToContainer, kBidirectional };

struct Mount {
  std::string source;  // On the host; unused with `layers`.
  std::string target;  // In the container.
  bool read_only = false;
  Propagation propagation = Propagation::kPrivate;
  // An image, or a part of it: folders laid over one another, the uppermost first; or one file.
  // Nothing in it can be written or executed.
  std::vector<std::string> layers = {};
};

enum class SeccompKind { kRuntimeDefault, kUnconfined, kLocalhost };

// core/v1 SecurityContext and PodSecurityContext, merged.
struct Security {
  bool privileged = false;
  bool read_only_root = false;
  bool no_new_privileges = false;             // allowPrivilegeEscalation: false.
  std::vector<std::string> add_capabilities;  // "NET_ADMIN", "CAP_..." or "ALL".
  std::vector<std::string> drop_capabilities;
  SeccompKind seccomp = SeccompKind::kRuntimeDefault;
  std::string seccomp_file;    // For kLocalhost: the profile's path on the host.
  bool unmasked_proc = false;  // procMount: Unmasked.
};

struct ContainerConfig {
  std::string id;    // Unique on the node: letters, digits, '-', '_'.
  std::string name;  // The container's name in the pod.
  Image image;
  std::vector<std::string>
      command;  // Replaces the entrypoint (and then the image's command) when not empty.
  std::vector<std::string> args;  // Replaces the image's command when not empty.
  std::vector<std::string> env;   // "A=b", over the image's own; later ones win.
  std::string working_dir;        // Over the image's.

  std::string user;                           // "1000" or a name; empty: the image's.
  std::optional<uint32_t> group;              // runAsGroup.
  std::vector<uint32_t> supplemental_groups;  // With fsGroup.

  std::vector<Mount> mounts;
  bool tty = false;
  bool stdin_open = false;
  bool stdin_once = false;
  std::string log_path;  // CRI log format; folders are made.

  os::CgroupLimits limits;
  int oom_score_adj = 0;  // Clamped to what the node may set.
  Security security;
  std::string runtime;  // Row name; empty: the default.
  std::map<std::string, std::string> annotations;
};

enum class ContainerState { kCreated, kRunning, kExited };

struct ContainerStatus {
  std::string id;
  ContainerState state = ContainerState::kCreated;
  int pid = 0;
  Time started_at{};
  Time finished_at{};
  int exit_code = 0;  // 128 + signal when a signal ended it.
  int signal = 0;
  bool oom_killed = false;
};

}  // namespace wherry::container
