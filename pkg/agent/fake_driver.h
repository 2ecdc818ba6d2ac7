#pragma once
// FakeDriver: pods without processes, for tests. Containers run until the test says that they exit,
// or until a signal that they obey. One thread.

#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "container/sandbox.h"

namespace wherry::agent {

class FakeSandbox;

// Outlives its sandboxes, as the machine would.
struct FakePod {
  container::SandboxConfig config;
  bool alive = true;
  std::map<std::string, container::ContainerStatus> containers;
  std::map<std::string, container::ContainerConfig> configs;
  std::vector<container::SandboxEvent> events;
  std::vector<std::string> tmpfs;
};

class FakeDriver final : public container::Driver {
 public:
  explicit FakeDriver(const Clock& clock)
      : clock_(clock),
        cgroups_(*os::Cgroups::parse("30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")) {}

  Result<std::unique_ptr<container::Sandbox>> create(
      const container::SandboxConfig& config) override;
  Result<std::unique_ptr<container::Sandbox>> adopt(const std::string& directory) override;
  const os::Cgroups& cgroups() const override { return cgroups_; }

  FakePod* find(const std::string& uid) {
    auto found = pods.find(uid);
    return found == pods.end() ? nullptr : found->second.get();
  }
  // The container ends by itself.
  void exit(const std::string& id, int code, bool oom = false) {
    for (auto& [uid, pod] : pods) {
      auto found = pod->containers.find(id);
      if (found != pod->containers.end()) end(*pod, found->second, code, oom);
    }
  }
  void end(FakePod& pod, container::ContainerStatus& status, int code, bool oom) {
    if (status.state == container::ContainerState::kExited) return;
    status.state = container::ContainerState::kExited;
    status.exit_code = code;
    status.oom_killed = oom;
    status.finished_at = clock_.now();
    pod.events.push_back({container::SandboxEvent::Kind::kExited, status});
    if (on_event) on_event(pod.config.uid);
  }
  const Clock& clock() const { return clock_; }

  std::map<std::string, std::shared_ptr<FakePod>> pods;  // By uid.
  std::vector<std::string> calls;                        // "start ID", "kill ID 15", ...
  std::function<void(const std::string& uid)> on_event;
  bool obey_term = true;    // Containers end on SIGTERM.
  std::string fail_create;  // Message of the next create_container.
  std::string fail_start;
  container::Sandbox::ExecResult exec_result;

 private:
  const Clock& clock_;
  os::Cgroups cgroups_;
};

class FakeSandbox final : public container::Sandbox {
 public:
  FakeSandbox(FakeDriver& driver, std::shared_ptr<FakePod> pod)
      : driver_(driver), pod_(std::move(pod)) {}

  const container::SandboxConfig& config() const override { return pod_->config; }
  bool alive() const override { return pod_->alive; }
  pid_t pid() const override { return 4242; }
  Time created_at() const override { return {}; }
  Result<os::Fd> network_namespace() const override { return os::Fd(); }
  std::string network_namespace_path() const override { return "/proc/4242/ns/net"; }
  Result<void> mount_tmpfs(const std::string& folder, uint64_t, unsigned) override {
    pod_->tmpfs.push_back(folder);
    return {};
  }
  Result<void> create_container(const container::ContainerConfig& config) override {
    if (!driver_.fail_create.empty()) {
      return Error::internal("{}", std::exchange(driver_.fail_create, {}));
    }
    container::ContainerStatus status;
    status.id = config.id;
    pod_->containers[config.id] = status;
    pod_->configs[config.id] = config;
    driver_.calls.push_back("create " + config.id);
    return {};
  }
  Result<void> start_container(const std::string& id) override {
    if (!driver_.fail_start.empty()) {
      return Error::internal("{}", std::exchange(driver_.fail_start, {}));
    }
    pod_->containers[id].state = container::ContainerState::kRunning;
    pod_->containers[id].started_at = driver_.clock().now();
    driver_.calls.push_back("start " + id);
    return {};
  }
  Result<container::ContainerStatus> stop_container(const std::string& id, int, Duration,
                                                    const std::stop_token&) override {
    return pod_->containers[id];
  }
  Result<void> kill_container(const std::string& id, int signal) override {
    driver_.calls.push_back("kill " + id + " " + std::to_string(signal));
    if (signal == SIGKILL || driver_.obey_term) {
      driver_.end(*pod_, pod_->containers[id], 128 + signal, false);
    }
    return {};
  }
  Result<void> remove_container(const std::string& id) override {
    pod_->containers.erase(id);
    return {};
  }
  Result<uint64_t> writable_bytes(const std::string&) const override { return uint64_t{0}; }
  std::vector<container::ContainerStatus> containers() const override {
    std::vector<container::ContainerStatus> all;
    for (const auto& [id, status] : pod_->containers) all.push_back(status);
    return all;
  }
  Result<container::ContainerStatus> status(const std::string& id) const override {
    auto found = pod_->containers.find(id);
    if (found == pod_->containers.end()) return Error::not_found("no container {}", id);
    return found->second;
  }
  Result<os::CgroupUsage> usage(const std::string&) const override { return os::CgroupUsage{}; }
  Result<os::CgroupUsage> pod_usage() const override { return os::CgroupUsage{}; }
  Result<void> update_limits(const std::string& id, const os::CgroupLimits&) override {
    driver_.calls.push_back("limits " + id);
    return {};
  }
  Result<void> update_pod_limits(const os::CgroupLimits&) override {
    driver_.calls.push_back("limits");
    return {};
  }
  Result<std::unique_ptr<container::Session>> exec(const std::string&,
                                                   const container::SessionOptions&) override {
    return Error::unsupported("fake");
  }
  Result<std::unique_ptr<container::Session>> attach(const std::string&,
                                                     const container::SessionOptions&) override {
    return Error::unsupported("fake");
  }
  Result<ExecResult> exec_wait(const std::string&, const std::vector<std::string>&, Duration,
                               const std::stop_token&) override {
    return driver_.exec_result;
  }
  Result<void> reopen_log(const std::string& id) override {
    driver_.calls.push_back("reopen " + id);
    return {};
  }
  int event_fd() const override { return -1; }
  std::vector<container::SandboxEvent> read_events() override {
    return std::exchange(pod_->events, {});
  }
  Result<void> remove() override {
    driver_.calls.push_back("remove " + pod_->config.uid);
    std::string uid = pod_->config.uid;
    driver_.pods.erase(uid);
    return {};
  }

 private:
  FakeDriver& driver_;
  std::shared_ptr<FakePod> pod_;
};

inline Result<std::unique_ptr<container::Sandbox>> FakeDriver::create(
    const container::SandboxConfig& config) {
  auto pod = std::make_shared<FakePod>();
  pod->config = config;
  pods[config.uid] = pod;
  calls.push_back("sandbox " + config.uid);
  return std::unique_ptr<container::Sandbox>(std::make_unique<FakeSandbox>(*this, pod));
}

inline Result<std::unique_ptr<container::Sandbox>> FakeDriver::adopt(const std::string& directory) {
  for (auto& [uid, pod] : pods) {
    if (pod->config.directory == directory) {
      return std::unique_ptr<container::Sandbox>(std::make_unique<FakeSandbox>(*this, pod));
    }
  }
  return Error::not_found("no sandbox in {}", directory);
}

}  // namespace wherry::agent
