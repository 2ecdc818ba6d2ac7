// A sandbox's life: made, found again after a restart, taken down; and what its shim reports.

#include "container/shim_sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "json/json.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/poll.h"
#include "os/process.h"
#include "os/unix_socket.h"

namespace wherry::container {
namespace {

constexpr std::chrono::seconds kShimStartLimit{10};
constexpr std::chrono::seconds kShimEndLimit{5};
constexpr int kExitUnknown = 255;  // Nobody saw the end.

Time from_ns(int64_t ns) {
  return Time(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::nanoseconds(ns)));
}

int64_t to_us(Time time) { return time.time_since_epoch().count(); }

void put_limits(const json::Node& node, const os::CgroupLimits& limits) {
  if (limits.memory_bytes) node.set("memoryBytes", *limits.memory_bytes);
  if (limits.cpu_shares) node.set("cpuShares", static_cast<int64_t>(*limits.cpu_shares));
  if (limits.cpu_quota_us) node.set("cpuQuotaUs", *limits.cpu_quota_us);
  node.set("cpuPeriodUs", static_cast<int64_t>(limits.cpu_period_us));
  if (limits.pids) node.set("pids", *limits.pids);
}

os::CgroupLimits get_limits(json::Value value) {
  os::CgroupLimits out;
  if (value["memoryBytes"]) out.memory_bytes = value["memoryBytes"].as_int();
  if (value["cpuShares"]) out.cpu_shares = static_cast<uint64_t>(value["cpuShares"].as_int());
  if (value["cpuQuotaUs"]) out.cpu_quota_us = value["cpuQuotaUs"].as_int();
  out.cpu_period_us = static_cast<uint64_t>(value["cpuPeriodUs"].as_int(100000));
  if (value["pids"]) out.pids = value["pids"].as_int();
  return out;
}

ContainerState state_of(std::string_view text) {
  if (text == "running") return ContainerState::kRunning;
  if (text == "exited") return ContainerState::kExited;
  return ContainerState::kCreated;
}

}  // namespace

ShimSandbox::ShimSandbox(const ShimDriver& driver, SandboxConfig config)
    : driver_(driver), config_(std::move(config)) {}

bool ShimSandbox::alive() const {
  MutexLock lock(mutex_);
  return !dead_;
}

std::string ShimSandbox::network_namespace_path() const {
  return "/proc/" + std::to_string(pid_) + "/ns/net";
}

Result<os::Fd> ShimSandbox::network_namespace() const {
  if (!alive()) return Error::unavailable("the pod's sandbox has ended");
  return os::open_namespace(pid_, "net");
}

// ---- Beginning

Result<void> ShimSandbox::make_cgroups() {
  const os::Cgroups& cgroups = driver_.cgroups();
  TRY(cgroups.create(config_.cgroup));
  TRY(cgroups.set_limits(config_.cgroup, config_.limits));
  // Its own child group: on version 2 a group with children holds no processes itself.
  TRY(cgroups.create(config_.cgroup + "/sandbox"));
  return cgroups.add_process(config_.cgroup + "/sandbox", pid_);
}

Result<void> ShimSandbox::start_shim(os::Fd listener) {
  os::Fd directory = TRY(os::open_file(config_.directory, O_RDONLY | O_DIRECTORY));
  os::Pipe report = TRY(os::make_pipe());
  std::string flags;
  if (!config_.host_network) flags += "nu";
  if (!config_.host_ipc) flags += 'i';
  if (!config_.shared_mounts) flags += 'm';
  if (config_.share_process_namespace && !config_.host_pid) flags += 'p';
  os::SpawnOptions options;
  options.args = {"wherry-shim", flags.empty() ? "-" : flags, config_.hostname,
                  std::to_string(config_.shm_bytes)};
  for (const auto& [name, value] : config_.sysctls) options.args.push_back(name + "=" + value);
  options.path = "/proc/self/fd/" + std::to_string(driver_.shim_program());
  options.env =
      std::vector<std::string>{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  options.fds = {{listener.get(), 3}, {directory.get(), 4}, {report.write.get(), 5}};
  options.new_session = true;
  os::Process process = TRY(os::spawn(options));
  report.write.reset();
  pid_ = process.pid();
  pidfd_ = TRY(os::open_pidfd(pid_));
  TRY(make_cgroups());

  if (!TRY(os::wait_for(report.read.get(), POLLIN, kShimStartLimit))) {
    return Error::timeout("the pod's shim did not start in {} s", kShimStartLimit.count());
  }
  std::string text = TRY(os::read_all(report.read.get(), 4096));
  if (!text.starts_with("ok ")) {
    return Error::internal("the pod's namespaces could not be made: {}",
                           text.empty() ? "no report" : text);
  }
  shared_pid_init_ = static_cast<pid_t>(parse_int(std::string_view(text).substr(3)).value_or(0));
  start_time_ = TRY(os::process_start_time(pid_));
  return {};
}

Result<void> ShimSandbox::begin() {
  CHECK(!config_.directory.empty() && config_.cgroup.starts_with('/'));
  discard_unfinished();
  TRY(os::make_directories(config_.directory, 0700));
  TRY(os::make_directories(config_.directory + "/c", 0700));
  TRY(os::make_directories(config_.directory + "/shm", 0700));
  Result<os::Fd> listener = os::listen_unix(socket_path(), os::SocketKind::kSeqpacket, 64);
  Result<void> outcome = listener.ok() ? start_shim(std::move(listener).value())
                                       : Result<void>(std::move(listener).error());
  created_at_ = driver_.clock().now();
  if (outcome.ok()) outcome = subscribe();
  if (outcome.ok()) outcome = save();
  if (!outcome.ok()) {
    if (pid_ > 0) (void)end_shim().ok();
    (void)driver_.cgroups().remove(config_.cgroup).ok();
    (void)os::remove_tree(config_.directory).ok();
    return std::move(outcome).error().with_prefix("creating the pod sandbox");
  }
  return {};
}

Result<void> ShimSandbox::save() const {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("uid", config_.uid);
  root.set("hostname", config_.hostname);
  root.set("hostNetwork", config_.host_network);
  root.set("hostPID", config_.host_pid);
  root.set("hostIPC", config_.host_ipc);
  root.set("shareProcessNamespace", config_.share_process_namespace);
  root.set("sharedMounts", config_.shared_mounts);
  root.set("cgroup", config_.cgroup);
  put_limits(root.set_object("limits"), config_.limits);
  root.set("shmBytes", static_cast<int64_t>(config_.shm_bytes));
  json::Node sysctls = root.set_object("sysctls");
  for (const auto& [name, value] : config_.sysctls) sysctls.set(name, value);
  root.set("pid", static_cast<int64_t>(pid_));
  root.set("startTime", static_cast<int64_t>(start_time_));
  root.set("sharedPidInit", static_cast<int64_t>(shared_pid_init_));
  root.set("createdAtUs", to_us(created_at_));
  // A pod does not survive a power cut, so neither need this: rename without fsync.
  std::string path = config_.directory + "/sandbox.json";
  TRY(os::write_file_plain(path + ".new", draft.dump()));
  return os::rename_path(path + ".new", path);
}

Result<void> ShimSandbox::load() {
  std::string text = TRY(os::read_file(config_.directory + "/sandbox.json"));
  json::Document document = TRY(json::Document::parse(text));
  json::Value root = document.root();
  config_.uid = root["uid"].as_string();
  config_.hostname = root["hostname"].as_string();
  config_.host_network = root["hostNetwork"].as_bool();
  config_.host_pid = root["hostPID"].as_bool();
  config_.host_ipc = root["hostIPC"].as_bool();
  config_.share_process_namespace = root["shareProcessNamespace"].as_bool();
  config_.shared_mounts = root["sharedMounts"].as_bool();
  config_.cgroup = root["cgroup"].as_string();
  config_.limits = get_limits(root["limits"]);
  config_.shm_bytes = static_cast<uint64_t>(root["shmBytes"].as_int());
  for (auto [name, value] : root["sysctls"].members()) {
    config_.sysctls[std::string(name)] = value.as_string();
  }
  pid_ = static_cast<pid_t>(root["pid"].as_int());
  start_time_ = static_cast<uint64_t>(root["startTime"].as_int());
  shared_pid_init_ = static_cast<pid_t>(root["sharedPidInit"].as_int());
  created_at_ = Time(std::chrono::microseconds(root["createdAtUs"].as_int()));
  if (!config_.cgroup.starts_with('/'))
    return Error::internal("{}: damaged sandbox.json", config_.directory);
  return {};
}

// A server that died while it made this sandbox left a shim that no sandbox.json tells of.
void ShimSandbox::discard_unfinished() {
  if (!os::exists(socket_path()) || os::exists(config_.directory + "/sandbox.json")) return;
  (void)ask_shim(socket_path(), {"quit"}).ok();
  (void)os::remove_tree(config_.directory).ok();
}

Result<void> ShimSandbox::resume() {
  Result<void> loaded = load();
  if (!loaded.ok()) {
    discard_unfinished();
    return loaded;
  }
  TRY(load_containers());
  Result<uint64_t> start_time = os::process_start_time(pid_);
  bool same = start_time.ok() && *start_time == start_time_;
  if (same) {
    Result<os::Fd> pidfd = os::open_pidfd(pid_);
    if (pidfd.ok()) pidfd_ = std::move(pidfd).value();
    same = pidfd_ && subscribe().ok() && synchronise().ok();
  }
  if (!same) note_death();
  return {};
}

Result<void> ShimSandbox::subscribe() {
  ShimCall call = TRY(ShimCall::open(socket_path(), {"watch"}));
  ShimAnswer answer = TRY(call.receive(kShimStartLimit));
  if (!answer.is("ok")) return Error::internal("the pod's shim refused to report");
  events_ = call.release();
  return {};
}

// ---- Containers' states

Result<void> ShimSandbox::load_containers() {
  Result<std::vector<std::string>> names = os::list_directory(config_.directory + "/c");
  if (!names.ok()) return {};
  for (const std::string& id : *names) {
    Result<std::string> text = os::read_file(folder(id) + "/container.json");
    Result<json::Document> document =
        text.ok() ? json::Document::parse(*text) : Result<json::Document>(std::move(text).error());
    if (!document.ok()) continue;  // Its creation was cut short; remove() takes the folder away.
    json::Value root = document->root();
    Record record;
    record.runtime = root["runtime"].as_string();
    record.stop_signal = static_cast<int>(root["stopSignal"].as_int(SIGTERM));
    record.tty = root["tty"].as_bool();
    record.stdin_once = root["stdinOnce"].as_bool();
    record.host_rootfs = root["hostRootfs"].as_bool();
    record.status.id = id;
    read_from_disk(id, record);
    MutexLock lock(mutex_);
    records_[id] = std::move(record);
  }
  return {};
}

void ShimSandbox::read_from_disk(const std::string& id, Record& record) const {
  ContainerStatus& status = record.status;
  Result<std::string> started = os::read_file(folder(id) + "/started");
  if (started.ok()) {
    std::vector<std::string_view> words = split(trim(*started), ' ');
    if (words.size() == 2) {
      status.pid = static_cast<int>(parse_int(words[0]).value_or(0));
      status.started_at = from_ns(parse_int(words[1]).value_or(0));
      status.state = ContainerState::kRunning;
    }
  }
  Result<std::string> exit = os::read_file(folder(id) + "/exit");
  if (!exit.ok()) return;
  std::vector<std::string_view> words = split(trim(*exit), ' ');
  if (words.size() != 3) return;
  status.state = ContainerState::kExited;
  status.exit_code = static_cast<int>(parse_int(words[0]).value_or(kExitUnknown));
  status.signal = static_cast<int>(parse_int(words[1]).value_or(0));
  status.finished_at = from_ns(parse_int(words[2]).value_or(0));
  finish_status(status);
}

// What only the cgroup knows: whether the kernel killed for want of memory.
void ShimSandbox::finish_status(ContainerStatus& status) const {
  status.oom_killed = driver_.cgroups().oom_kills(cgroup(status.id)) > 0;
}

Result<void> ShimSandbox::synchronise() {
  constexpr size_t kWordsEach = 7;
  ShimAnswer answer = TRY(ask_shim(socket_path(), {"list"}));
  if (!answer.is("ok")) return Error::internal("the pod's shim gave no list");
  MutexLock lock(mutex_);
  for (size_t at = 1; at + kWordsEach <= answer.words.size(); at += kWordsEach) {
    auto found = records_.find(answer.words[at]);
    if (found == records_.end()) continue;
    ContainerStatus& status = found->second.status;
    status.pid = static_cast<int>(answer.number(at + 1));
    status.state = state_of(answer.words[at + 2]);
    if (answer.number(at + 3) != 0) status.started_at = from_ns(answer.number(at + 3));
    if (status.state != ContainerState::kExited) continue;
    status.exit_code = static_cast<int>(answer.number(at + 4));
    status.signal = static_cast<int>(answer.number(at + 5));
    status.finished_at = from_ns(answer.number(at + 6));
    finish_status(status);
  }
  return {};
}

// The shim has gone, and with it the parent of all containers: they count as ended.
void ShimSandbox::note_death() {
  if (pid_ > 0) waitpid(pid_, nullptr, WNOHANG);  // Ours if we started it.
  MutexLock lock(mutex_);
  if (dead_) return;
  dead_ = true;
  for (auto& [id, record] : records_) {
    read_from_disk(id, record);
    if (record.status.state == ContainerState::kExited) continue;
    record.status.state = ContainerState::kExited;
    record.status.exit_code = kExitUnknown;
    record.status.finished_at = driver_.clock().now();
  }
}

std::vector<SandboxEvent> ShimSandbox::read_events() {
  std::vector<SandboxEvent> out;
  while (events_) {
    Result<ShimAnswer> answer = receive_answer(events_.get(), std::chrono::milliseconds(0));
    if (!answer.ok() && answer.error().is(Code::kTimeout)) break;
    if (!answer.ok()) {
      note_death();
      events_.reset();
      SandboxEvent event;
      event.kind = SandboxEvent::Kind::kSandboxDied;
      out.push_back(std::move(event));
      break;
    }
    if (!answer->is("exit") || answer->words.size() < 5) continue;
    MutexLock lock(mutex_);
    auto found = records_.find(answer->words[1]);
    if (found == records_.end()) continue;
    ContainerStatus& status = found->second.status;
    status.state = ContainerState::kExited;
    status.exit_code = static_cast<int>(answer->number(2));
    status.signal = static_cast<int>(answer->number(3));
    status.finished_at = from_ns(answer->number(4));
    finish_status(status);
    SandboxEvent event;
    event.container = status;
    out.push_back(std::move(event));
  }
  return out;
}

std::vector<ContainerStatus> ShimSandbox::containers() const {
  std::vector<ContainerStatus> out;
  MutexLock lock(mutex_);
  for (const auto& [id, record] : records_) out.push_back(record.status);
  return out;
}

Result<ShimSandbox::Record> ShimSandbox::record(const std::string& id) const {
  MutexLock lock(mutex_);
  auto found = records_.find(id);
  if (found == records_.end()) return Error::not_found("there is no container {} in the pod", id);
  return found->second;
}

Result<ContainerStatus> ShimSandbox::status(const std::string& id) const {
  Record found = TRY(record(id));
  return found.status;
}

Result<os::CgroupUsage> ShimSandbox::usage(const std::string& id) const {
  return driver_.cgroups().usage(cgroup(id));
}

Result<os::CgroupUsage> ShimSandbox::pod_usage() const {
  return driver_.cgroups().usage(config_.cgroup);
}

Result<void> ShimSandbox::update_limits(const std::string& id, const os::CgroupLimits& limits) {
  TRY(record(id));
  return driver_.cgroups().set_limits(cgroup(id), limits);
}

Result<void> ShimSandbox::update_pod_limits(const os::CgroupLimits& limits) {
  return driver_.cgroups().set_limits(config_.cgroup, limits);
}

Result<void> ShimSandbox::mount_tmpfs(const std::string& target, uint64_t size_bytes,
                                      unsigned mode) {
  std::string options = fmt::format("mode={:o}", mode);
  if (size_bytes != 0) options += fmt::format(",size={}", size_bytes);
  ShimAnswer answer = TRY(ask_shim(socket_path(), {"mount", "tmpfs", target, options}));
  if (answer.is("ok")) return {};
  return Error::from_errno(static_cast<int>(answer.number(1)), "mounting " + target);
}

// ---- End

Result<void> ShimSandbox::end_shim() {
  if (pidfd_) {
    // "quit" would leave it to a shim that may hang; after a kill its namespaces go just the same.
    Result<void> killed = ignore_not_found(os::signal_pidfd(pidfd_.get(), SIGKILL));
    if (!killed.ok()) return killed;
    if (!TRY(os::wait_for(pidfd_.get(), POLLIN, kShimEndLimit))) {
      return Error::timeout("the pod's shim {} does not end", pid_);
    }
  }
  note_death();
  return {};
}

Result<void> ShimSandbox::remove() {
  for (const ContainerStatus& status : containers()) {
    if (alive()) (void)kill_container(status.id, SIGKILL).ok();
    kill_rest(status.id);
  }
  for (const ContainerStatus& status : containers()) TRY(remove_container(status.id));
  TRY(end_shim());
  if (config_.shared_mounts) {
    // Then the shim had no mounts of its own, and what it mounted is the host's.
    ::umount2((config_.directory + "/shm").c_str(), MNT_DETACH);
  }
  const os::Cgroups& cgroups = driver_.cgroups();
  TRY(cgroups.kill_all(config_.cgroup));
  // A group stays busy until its last process has been reaped, which for orphans is not our doing.
  Result<void> removed = cgroups.remove(config_.cgroup);
  for (int round = 0; !removed.ok() && round < 100; ++round) {
    ::poll(nullptr, 0, 10);
    removed = cgroups.remove(config_.cgroup);
  }
  if (!removed.ok()) log::warn("pod {}: {}", config_.uid, removed.error().message());
  events_.reset();
  return os::remove_tree(config_.directory);
}

}  // namespace wherry::container
