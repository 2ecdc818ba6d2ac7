#pragma once
// The real sandbox: a Sandbox on top of a shim process, and the driver that makes them. See
// sandbox.h for the contract and the files, cmd/shim/protocol.h for what is said to the shim.

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "container/sandbox.h"
#include "container/shim_client.h"

namespace wherry::container {

class ShimDriver final : public Driver {
 public:
  ShimDriver(DriverConfig config, const Clock& clock, os::Cgroups cgroups, os::Fd shim);
  Result<std::unique_ptr<Sandbox>> create(const SandboxConfig& config) override;
  Result<std::unique_ptr<Sandbox>> adopt(const std::string& directory) override;
  const os::Cgroups& cgroups() const override { return cgroups_; }

  // kInvalid when there is no such row.
  Result<const Runtime*> runtime(const std::string& name) const;
  const std::string& runtime_root() const { return config_.runtime_root; }
  const Clock& clock() const { return clock_; }
  int shim_program() const { return shim_.get(); }
  int oom_score_adj_min() const { return oom_score_adj_min_; }
  uint64_t open_files_max() const { return open_files_max_; }

 private:
  const DriverConfig config_;
  const Clock& clock_;
  const os::Cgroups cgroups_;
  const os::Fd shim_;  // Sealed memfd with the program.
  const int oom_score_adj_min_;
  const uint64_t open_files_max_;
};

class ShimSandbox final : public Sandbox {
 public:
  ShimSandbox(const ShimDriver& driver, SandboxConfig config);

  // The two ways to begin; before one of them has succeeded nothing else may be called.
  Result<void> begin();
  Result<void> resume();

  const SandboxConfig& config() const override { return config_; }
  bool alive() const override;
  pid_t pid() const override { return pid_; }
  Time created_at() const override { return created_at_; }
  Result<os::Fd> network_namespace() const override;
  std::string network_namespace_path() const override;
  Result<void> mount_tmpfs(const std::string& folder, uint64_t size_bytes, unsigned mode) override;
  Result<void> create_container(const ContainerConfig& config) override;
  Result<void> start_container(const std::string& id) override;
  Result<ContainerStatus> stop_container(const std::string& id, int signal, Duration grace,
                                         const std::stop_token& stop) override;
  Result<void> kill_container(const std::string& id, int signal) override;
  Result<void> remove_container(const std::string& id) override;
  Result<uint64_t> writable_bytes(const std::string& id) const override;
  std::vector<ContainerStatus> containers() const override;
  Result<ContainerStatus> status(const std::string& id) const override;
  Result<os::CgroupUsage> usage(const std::string& id) const override;
  Result<os::CgroupUsage> pod_usage() const override;
  Result<void> update_limits(const std::string& id, const os::CgroupLimits& limits) override;
  Result<void> update_pod_limits(const os::CgroupLimits& limits) override;
  Result<std::unique_ptr<Session>> exec(const std::string& id,
                                        const SessionOptions& options) override;
  Result<std::unique_ptr<Session>> attach(const std::string& id,
                                          const SessionOptions& options) override;
  Result<ExecResult> exec_wait(const std::string& id, const std::vector<std::string>& command,
                               Duration limit, const std::stop_token& stop) override;
  Result<void> reopen_log(const std::string& id) override;
  int event_fd() const override { return events_.get(); }
  std::vector<SandboxEvent> read_events() override;
  Result<void> remove() override;

 private:
  // What is kept of a container's configuration, in c/ID/container.json too.
  struct Record {
    std::string runtime;
    int stop_signal = 15;
    bool tty = false;
    bool stdin_once = false;
    bool host_rootfs = false;  // Mounted by the shim instead of the runtime.
    ContainerStatus status;
  };

  std::string socket_path() const { return config_.directory + "/shim.sock"; }
  std::string folder(const std::string& id) const { return config_.directory + "/c/" + id; }
  std::string cgroup(const std::string& id) const { return config_.cgroup + "/" + id; }

  Result<void> start_shim(os::Fd listener);
  Result<void> make_cgroups();
  void discard_unfinished();
  Result<void> save() const;
  Result<void> load();
  Result<void> load_containers();
  Result<void> subscribe();
  Result<void> synchronise();  // Takes over what the shim says of its containers.
  void read_from_disk(const std::string& id, Record& record) const;
  void note_death();
  void finish_status(ContainerStatus& status) const;
  Result<Record> record(const std::string& id) const;

  Result<void> prepare_bundle(const ContainerConfig& config, const Runtime& runtime);
  Result<void> save_record(const std::string& id, const Record& record) const;
  // "runc --root ... --log c/ID/NAME --log-format json".
  std::vector<std::string> runtime_args(const Runtime& runtime, const std::string& id,
                                        const std::string& log) const;
  Error runtime_error(const std::string& id, const std::string& log, std::string_view what) const;
  Result<void> delete_in_runtime(const std::string& id, const std::string& runtime);
  Result<ContainerStatus> wait_exit(ShimCall& call, const std::string& id, Duration limit,
                                    const std::stop_token& stop);
  void kill_rest(const std::string& id) const;
  Result<void> end_shim();

  const ShimDriver& driver_;
  SandboxConfig config_;  // Constant once begun.
  pid_t pid_ = 0;
  pid_t shared_pid_init_ = 0;
  uint64_t start_time_ = 0;
  Time created_at_{};
  os::Fd pidfd_;
  os::Fd events_;
  std::atomic<unsigned> exec_counter_{0};

  mutable Mutex mutex_;
  std::map<std::string, Record> records_ GUARDED_BY(mutex_);
  bool dead_ GUARDED_BY(mutex_) = false;
};

}  // namespace wherry::container
