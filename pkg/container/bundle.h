#pragma once
// The OCI bundle of a container: what was asked, the image and the sandbox become config.json (OCI
// runtime specification 1.0). Pure, but for reading the image's user database and a seccomp
// profile.

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "container/runtime.h"
#include "container/sandbox.h"

namespace wherry::container {

// Where the container finds what the sandbox and the node give it.
struct BundleContext {
  std::string container_directory;  // Holds rootfs, upper and work.
  std::string shm_directory;        // The pod's /dev/shm; empty: the host's.
  pid_t sandbox_pid = 0;            // Owner of the pod's namespaces.
  pid_t shared_pid_init = 0;        // Owner of the shared pid namespace; 0: one for each container.
  std::string cgroup;               // The container's own, absolute.
  os::CgroupMode cgroup_mode = os::CgroupMode::kV2;
  bool overlay_as_mount = true;       // Else the root is mounted already at rootfs.
  uint64_t open_files_max = 1 << 20;  // What this node may grant.
  int oom_score_adj_min = -1000;
};

// Gives config.json. kInvalid: a user that the image does not have, a bad capability or signal.
Result<std::string> build_bundle(const ContainerConfig& config, const SandboxConfig& sandbox,
                                 const BundleContext& context);

// The `process` of a further program in a container whose config.json is given, for `runc exec
// --process`.
Result<std::string> exec_process(std::string_view config_json,
                                 const std::vector<std::string>& command, bool terminal);

// "SIGTERM", "TERM", "sigterm" or "15", also "SIGRTMIN+3"; kInvalid for anything else.
Result<int> parse_signal(std::string_view text);

// The capabilities of a container with the given additions and removals, as "CAP_CHOWN".
Result<std::set<std::string>> capability_set(const Security& security);

}  // namespace wherry::container
