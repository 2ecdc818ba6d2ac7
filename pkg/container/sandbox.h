#pragma once
// Sandbox: one pod on this node. A small process per pod, the shim, is the sandbox: it owns the
// pod's namespaces, is the parent of its containers, writes their logs and exit codes and outlives
// the server.
//
// On disk, under SandboxConfig::directory (folder 0700, made by create(), removed by remove()):
//   sandbox.json         config, shim's pid and start time
//   shim.sock            the shim's socket (see cmd/shim/protocol.h)
//   c/ID/                a container: config.json (bundle), rootfs, upper, work, container.json
//   c/ID/exit            "CODE SIGNAL NANOSECONDS", written by the shim when the container has
//   ended
//
// A Sandbox may be used by several threads; operations on one container must not overlap, except
// stop, kill, exec, attach and status, which may come at any time. Nothing here waits without a
// limit.

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "container/image.h"
#include "container/runtime.h"
#include "os/cgroup.h"
#include "os/fd.h"

namespace wherry::container {

struct SandboxConfig {
  std::string uid;  // The pod's.
  std::string directory;
  std::string hostname;
  bool host_network = false;
  bool host_pid = false;
  bool host_ipc = false;
  bool share_process_namespace = false;
  bool shared_mounts = false;  // Some container mounts with Bidirectional propagation.
  std::string cgroup;          // "/kubepods/besteffort/pod<uid>"
  os::CgroupLimits limits;     // Of the whole pod.
  uint64_t shm_bytes = 64 << 20;
  std::map<std::string, std::string> sysctls;
};

// A process in a container with its streams. Hung up when destroyed: an exec'd process is killed,
// an attached container goes on. One thread.
class Session {
 public:
  virtual ~Session() = default;
  // -1 when not asked for. Non-blocking. With a tty standard error comes through stdout_fd.
  virtual int stdin_fd() const = 0;
  virtual int stdout_fd() const = 0;
  virtual int stderr_fd() const = 0;
  virtual void close_stdin() = 0;
  virtual void resize(uint16_t width, uint16_t height) = 0;
  // Readable once the process (for attach: the container) has ended; then exit_code() answers at
  // once.
  virtual int exit_fd() const = 0;
  virtual Result<int> exit_code() = 0;
};

struct SessionOptions {
  std::vector<std::string> command;  // Empty for attach.
  bool stdin_on = false;
  bool stdout_on = true;
  bool stderr_on = true;
  bool tty = false;
};

// Something has happened to a container (it has ended) or to the sandbox.
struct SandboxEvent {
  enum class Kind { kExited, kSandboxDied } kind = Kind::kExited;
  ContainerStatus container;  // For kExited.
};

// The seams: open_driver() is the real one; tests of the agent bring a fake.
class Sandbox {
 public:
  virtual ~Sandbox() = default;  // Lets go; the pod lives on.

  virtual const SandboxConfig& config() const = 0;
  virtual bool alive() const = 0;
  virtual pid_t pid() const = 0;  // The shim's; on the host.
  virtual Time created_at() const = 0;
  // The pod's network namespace, for the network part and for port-forward.
  virtual Result<os::Fd> network_namespace() const = 0;
  virtual std::string network_namespace_path() const = 0;  // "/proc/PID/ns/net"

  // A tmpfs inside the pod's private mounts (memory-backed emptyDir): gone with the pod. The folder
  // must exist on the host; containers that mount it see the tmpfs, the host does not.
  virtual Result<void> mount_tmpfs(const std::string& folder, uint64_t size_bytes,
                                   unsigned mode) = 0;

  // Makes the bundle and the container; its process waits to be started. The error's message is
  // what CreateContainerError or RunContainerError shows: it names the cause.
  virtual Result<void> create_container(const ContainerConfig& config) = 0;
  virtual Result<void> start_container(const std::string& id) = 0;
  // Sends `signal` (0: the image's stop signal, else SIGTERM), waits up to `grace`, then kills.
  // Gives the final status.
  virtual Result<ContainerStatus> stop_container(const std::string& id, int signal, Duration grace,
                                                 const std::stop_token& stop) = 0;
  virtual Result<void> kill_container(const std::string& id, int signal) = 0;
  // Kills what is left and removes the container with its writable layer. Its log stays.
  virtual Result<void> remove_container(const std::string& id) = 0;
  virtual Result<uint64_t> writable_bytes(
      const std::string& id) const = 0;  // Of the writable layer.

  virtual std::vector<ContainerStatus> containers() const = 0;
  virtual Result<ContainerStatus> status(const std::string& id) const = 0;
  virtual Result<os::CgroupUsage> usage(const std::string& id) const = 0;
  virtual Result<os::CgroupUsage> pod_usage() const = 0;
  virtual Result<void> update_limits(const std::string& id, const os::CgroupLimits& limits) = 0;
  virtual Result<void> update_pod_limits(const os::CgroupLimits& limits) = 0;

  virtual Result<std::unique_ptr<Session>> exec(const std::string& id,
                                                const SessionOptions& options) = 0;
  virtual Result<std::unique_ptr<Session>> attach(const std::string& id,
                                                  const SessionOptions& options) = 0;
  // For probes and hooks: runs to the end, output cut at 16 KiB; kTimeout kills it.
  struct ExecResult {
    int exit_code = 0;
    std::string output;
  };
  virtual Result<ExecResult> exec_wait(const std::string& id,
                                       const std::vector<std::string>& command, Duration limit,
                                       const std::stop_token& stop) = 0;
  // After the log file was moved away: opens `log_path` anew.
  virtual Result<void> reopen_log(const std::string& id) = 0;

  // Exits. event_fd() is readable when read_events() has something; it does not block. One thread.
  virtual int event_fd() const = 0;
  virtual std::vector<SandboxEvent> read_events() = 0;

  // Kills all containers and the shim and removes the cgroups and the folder. Useless afterwards.
  virtual Result<void> remove() = 0;
};

class Driver {
 public:
  virtual ~Driver() = default;
  virtual Result<std::unique_ptr<Sandbox>> create(const SandboxConfig& config) = 0;
  // Takes over a sandbox that a former server made. When its shim is gone, a Sandbox with alive()
  // false comes back, whose containers' last states can be read and which can be removed.
  // kNotFound: no sandbox.
  virtual Result<std::unique_ptr<Sandbox>> adopt(const std::string& directory) = 0;
  virtual const os::Cgroups& cgroups() const = 0;
};

// What all sandboxes of a node share.
struct DriverConfig {
  std::string runtime_root;       // data-dir/agent/runc
  std::vector<Runtime> runtimes;  // The first is the default.
};

// The real driver. kUnavailable with the fix when cgroups or the runtime are missing.
Result<std::unique_ptr<Driver>> open_driver(DriverConfig config, const Clock& clock);

}  // namespace wherry::container
