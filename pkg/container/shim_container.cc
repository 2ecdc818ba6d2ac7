// A sandbox's containers: created, started, stopped, removed. Entering them is in shim_exec.cc.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "container/bundle.h"
#include "container/session.h"
#include "container/shim_sandbox.h"
#include "json/json.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/poll.h"
#include "os/process.h"
#include "os/unix_socket.h"

namespace wherry::container {
namespace {

constexpr std::chrono::seconds kCreateLimit{120};
constexpr std::chrono::seconds kStartLimit{60};
constexpr std::chrono::seconds kKillLimit{30};
constexpr size_t kIdBytesMax = 128;

Result<void> check_id(const std::string& id) {
  bool fine = !id.empty() && id.size() <= kIdBytesMax && id[0] != '-' &&
              std::all_of(id.begin(), id.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
              });
  if (!fine) return Error::invalid("container id {} is not usable", quote(id));
  return {};
}

std::string parent_folder(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The last error in a runtime's JSON log.
std::string last_error(const std::string& path) {
  Result<std::string> text = os::read_file(path);
  if (!text.ok()) return "";
  std::string message;
  for (std::string_view line : split(*text, '\n')) {
    if (line.empty()) continue;
    Result<json::Document> entry = json::Document::parse(line);
    if (!entry.ok()) continue;
    std::string_view level = entry->root()["level"].as_string();
    if (level == "error" || level == "fatal") message = entry->root()["msg"].as_string();
  }
  return message;
}

uint64_t tree_bytes(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return 0;
  uint64_t bytes = static_cast<uint64_t>(info.st_blocks) * 512;
  if (!S_ISDIR(info.st_mode)) return bytes;
  Result<std::vector<std::string>> names = os::list_directory(path);
  if (!names.ok()) return bytes;
  for (const std::string& name : *names) bytes += tree_bytes(path + "/" + name);
  return bytes;
}

}  // namespace

std::vector<std::string> ShimSandbox::runtime_args(const Runtime& runtime, const std::string& id,
                                                   const std::string& log) const {
  // Relative to the pod's folder, in which the shim works.
  return {runtime.path,   "--root", driver_.runtime_root(), "--log", "c/" + id + "/" + log,
          "--log-format", "json"};
}

Error ShimSandbox::runtime_error(const std::string& id, const std::string& log,
                                 std::string_view what) const {
  std::string message = last_error(folder(id) + "/" + log);
  if (message.empty()) message = "the runtime gave no reason";
  return Error::internal("OCI runtime {} failed: {}", what, message);
}

// ---- Create

Result<void> ShimSandbox::prepare_bundle(const ContainerConfig& config, const Runtime& runtime) {
  std::string path = folder(config.id);
  for (const char* name : {"", "/rootfs", "/upper", "/work"})
    TRY(os::make_directories(path + name, 0755));
  // The upper folder is the container's "/", whatever our umask is.
  TRY(os::change_mode(path + "/upper", 0755));
  BundleContext context;
  context.container_directory = path;
  if (!config_.host_ipc) context.shm_directory = config_.directory + "/shm";
  context.sandbox_pid = pid_;
  context.shared_pid_init = shared_pid_init_;
  context.cgroup = cgroup(config.id);
  context.cgroup_mode = driver_.cgroups().mode();
  context.overlay_as_mount = runtime.overlay_as_mount;
  context.open_files_max = driver_.open_files_max();
  context.oom_score_adj_min = driver_.oom_score_adj_min();
  std::string bundle = TRY(build_bundle(config, config_, context));
  TRY(os::write_file_plain(path + "/config.json", bundle));
  if (!config.log_path.empty()) TRY(os::make_directories(parent_folder(config.log_path), 0755));
  if (runtime.overlay_as_mount) return {};

  std::vector<std::string> lowers(config.image.layers.rbegin(), config.image.layers.rend());
  std::string options = TRY(os::overlay_options(lowers, path + "/upper", path + "/work"));
  ShimAnswer answer = TRY(ask_shim(socket_path(), {"mount", "overlay", path + "/rootfs", options}));
  if (answer.is("ok")) return {};
  return Error::from_errno(static_cast<int>(answer.number(1)), "mounting the root file system");
}

Result<void> ShimSandbox::save_record(const std::string& id, const Record& record) const {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("runtime", record.runtime);
  root.set("stopSignal", record.stop_signal);
  root.set("tty", record.tty);
  root.set("stdinOnce", record.stdin_once);
  root.set("hostRootfs", record.host_rootfs);
  return os::write_file_plain(folder(id) + "/container.json", draft.dump());
}

Result<void> ShimSandbox::create_container(const ContainerConfig& config) {
  TRY(check_id(config.id));
  const Runtime* runtime = TRY(driver_.runtime(config.runtime));
  Record record;
  record.runtime = runtime->name;
  record.tty = config.tty;
  record.stdin_once = config.stdin_once;
  record.host_rootfs = !runtime->overlay_as_mount;
  record.status.id = config.id;
  if (!config.image.config.stop_signal.empty()) {
    // An image with nonsense there is stopped as any other.
    record.stop_signal = parse_signal(config.image.config.stop_signal).value_or(SIGTERM);
  }
  {
    MutexLock lock(mutex_);
    if (dead_) return Error::unavailable("the pod's sandbox has ended");
    if (records_.count(config.id) != 0) {
      return Error(Code::kAlreadyExists, fmt::format("container {} exists", config.id));
    }
    records_[config.id] = record;
  }
  auto create = [&]() -> Result<int> {
    TRY(prepare_bundle(config, *runtime));
    TRY(save_record(config.id, record));
    std::string flags = std::string(config.tty ? "t" : "") + (config.stdin_open ? "i" : "");
    std::string relative = "c/" + config.id;
    std::vector<std::string> words = {"create", config.id, flags.empty() ? "-" : flags,
                                      config.log_path.empty() ? "/dev/null" : config.log_path,
                                      relative + "/pid"};
    for (std::string& arg : runtime_args(*runtime, config.id, "runtime.log"))
      words.push_back(std::move(arg));
    for (std::string arg : {std::string("create"), std::string("--bundle"), relative,
                            std::string("--pid-file"), relative + "/pid"}) {
      words.push_back(std::move(arg));
    }
    if (config.tty) {
      // The runtime works in the bundle, so the name stays short however deep the data folder lies.
      words.emplace_back("--console-socket");
      words.emplace_back("tty.sock");
    }
    words.push_back(config.id);
    ShimAnswer answer = TRY(ask_shim(socket_path(), words, kCreateLimit));
    if (!answer.is("ok")) return runtime_error(config.id, "runtime.log", "create");
    return static_cast<int>(answer.number(1));
  };
  Result<int> pid = create();
  if (!pid.ok()) {
    (void)delete_in_runtime(config.id, runtime->name).ok();
    if (record.host_rootfs)
      (void)ask_shim(socket_path(), {"unmount", folder(config.id) + "/rootfs"}).ok();
    (void)os::remove_tree(folder(config.id)).ok();
    MutexLock lock(mutex_);
    records_.erase(config.id);
    return std::move(pid).error();
  }
  MutexLock lock(mutex_);
  records_[config.id].status.pid = *pid;
  return {};
}

Result<void> ShimSandbox::start_container(const std::string& id) {
  Record found = TRY(record(id));
  const Runtime* runtime = TRY(driver_.runtime(found.runtime));
  std::vector<std::string> words = {"start", id};
  for (std::string& arg : runtime_args(*runtime, id, "runtime.log"))
    words.push_back(std::move(arg));
  words.emplace_back("start");
  words.push_back(id);
  ShimAnswer answer = TRY(ask_shim(socket_path(), words, kStartLimit));
  if (!answer.is("ok")) return runtime_error(id, "runtime.log", "start");
  MutexLock lock(mutex_);
  ContainerStatus& status = records_[id].status;
  status.started_at = Time(std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::nanoseconds(answer.number(1))));
  // It may have ended already, and its end may have been read.
  if (status.state == ContainerState::kCreated) status.state = ContainerState::kRunning;
  return {};
}

// ---- Stop and remove

Result<void> ShimSandbox::kill_container(const std::string& id, int signal) {
  TRY(record(id));
  ShimAnswer answer = TRY(ask_shim(socket_path(), {"kill", id, std::to_string(signal)}));
  if (answer.is("ok") || answer.number(1) == ESRCH) return {};
  return Error::from_errno(static_cast<int>(answer.number(1)), "signalling container " + id);
}

// Processes that outlive the first one: those of a shared or the host's pid namespace.
void ShimSandbox::kill_rest(const std::string& id) const {
  Result<void> killed = driver_.cgroups().kill_all(cgroup(id));
  if (!killed.ok()) log::debug("container {}: {}", id, killed.error().message());
}

// kTimeout when it has not ended within the limit or `stop` fired.
Result<ContainerStatus> ShimSandbox::wait_exit(ShimCall& call, const std::string& id,
                                               Duration limit, const std::stop_token& stop) {
  os::EventFd stopped = TRY(os::EventFd::open());
  std::stop_callback wake(stop, [&stopped] { stopped.signal(); });
  auto deadline = std::chrono::steady_clock::now() + limit;
  while (true) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd fds[2] = {{call.fd(), POLLIN, 0}, {stopped.fd(), POLLIN, 0}};
    int wait_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1 << 30));
    int ready = ::poll(fds, 2, wait_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (fds[0].revents != 0) break;
    return Error::timeout("container {} still runs", id);
  }
  ShimAnswer answer = TRY(call.receive(std::chrono::milliseconds(0)));
  TRY(synchronise());
  return status(id);
}

Result<ContainerStatus> ShimSandbox::stop_container(const std::string& id, int signal,
                                                    Duration grace, const std::stop_token& stop) {
  Record found = TRY(record(id));
  if (found.status.state == ContainerState::kExited) return found.status;
  ShimCall call = TRY(ShimCall::open(socket_path(), {"attach", id, "-"}));
  ShimAnswer answer = TRY(call.receive(std::chrono::seconds(10)));
  if (!answer.is("ok")) {
    TRY(synchronise());
    return status(id);
  }
  if (grace > Duration::zero()) {
    TRY(kill_container(id, signal != 0 ? signal : found.stop_signal));
    Result<ContainerStatus> ended = wait_exit(call, id, grace, stop);
    if (ended.ok()) kill_rest(id);
    if (ended.ok() || !ended.error().is(Code::kTimeout)) return ended;
  }
  TRY(kill_container(id, SIGKILL));
  Result<ContainerStatus> ended = wait_exit(call, id, kKillLimit, std::stop_token());
  if (ended.ok()) kill_rest(id);
  return ended;
}

Result<void> ShimSandbox::delete_in_runtime(const std::string& id,
                                            const std::string& runtime_name) {
  const Runtime* runtime = TRY(driver_.runtime(runtime_name));
  std::vector<std::string> args = runtime_args(*runtime, id, "delete.log");
  for (const char* arg : {"delete", "--force"}) args.emplace_back(arg);
  args.push_back(id);
  if (alive()) {
    std::vector<std::string> words = {"run"};
    words.insert(words.end(), args.begin(), args.end());
    ShimAnswer answer = TRY(ask_shim(socket_path(), words, kKillLimit));
    if (!answer.is("ok")) return runtime_error(id, "delete.log", "delete");
    TRY(ask_shim(socket_path(), {"forget", id}));
    return {};
  }
  args[4] = config_.directory + "/" + args[4];  // The log: there is no shim to be relative to.
  os::RunResult result = TRY(os::run({.args = args}, kKillLimit));
  if (!result.status.ok()) return runtime_error(id, "delete.log", "delete");
  return {};
}

Result<void> ShimSandbox::remove_container(const std::string& id) {
  Record found = TRY(record(id));
  if (alive() && found.status.state != ContainerState::kExited) {
    TRY(stop_container(id, SIGKILL, Duration::zero(), std::stop_token()));
  }
  kill_rest(id);
  TRY(delete_in_runtime(id, found.runtime));
  if (found.host_rootfs && alive()) {
    TRY(ask_shim(socket_path(), {"unmount", folder(id) + "/rootfs"}));
  }
  (void)driver_.cgroups().remove(cgroup(id)).ok();
  TRY(os::remove_tree(folder(id)));
  MutexLock lock(mutex_);
  records_.erase(id);
  return {};
}

Result<uint64_t> ShimSandbox::writable_bytes(const std::string& id) const {
  TRY(record(id));
  return tree_bytes(folder(id) + "/upper");
}

Result<void> ShimSandbox::reopen_log(const std::string& id) {
  ShimAnswer answer = TRY(ask_shim(socket_path(), {"reopen", id}));
  if (answer.is("ok")) return {};
  return Error::from_errno(static_cast<int>(answer.number(1)), "reopening the log of " + id);
}

}  // namespace wherry::container
