// wherry stop: ends the service; with --workloads also the pods, which otherwise go on.

#include "stop.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/strings.h"
#include "commands.h"
#include "container/sandbox.h"
#include "kubectl_flags.h"
#include "network/pod_network.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/poll.h"
#include "os/process.h"

namespace wherry::command {
namespace {

using kubectl::FlagRow;
using kubectl::Flags;

constexpr char kDefaultDataDir[] = "/var/lib/wherry";
constexpr char kDefaultCgroup[] = "/kubepods";
constexpr std::chrono::seconds kStopLimit{60};

const std::vector<FlagRow> kFlags = {
    {.name = "workloads", .bare = "true", .help = "End the pods too, and undo their network"},
    {.name = "data-dir", .help = "Only the server of this folder (/var/lib/wherry)"},
    {.name = "dry-run", .bare = "true", .help = "Only say what would be done"},
    {.name = "help", .shorthand = 'h', .bare = "true", .help = "Show this"},
};

Result<void> run_program(std::vector<std::string> words) {
  std::string name = words[0];
  os::SpawnOptions options;
  options.args = std::move(words);
  os::RunResult result = TRY(os::run(options, kStopLimit));
  if (result.status.ok()) return {};
  return Error::internal("{} failed: {}", name, trim(result.output));
}

// SIGTERM, then waiting until it has ended. The pid is only trusted when the process is a Wherry.
Result<void> end_process(pid_t pid) {
  Result<os::Fd> pidfd = os::open_pidfd(pid);
  if (!pidfd.ok()) return ignore_not_found(std::move(pidfd));
  std::string binary = TRY(os::read_link(fmt::format("/proc/{}/exe", pid)));
  if (binary.find("wherry") == std::string::npos) {
    return Error::conflict("process {} is {}, not a wherry: it is left alone", pid, binary);
  }
  TRY(os::signal_pidfd(pidfd->get(), SIGTERM));
  if (TRY(os::wait_for(pidfd->get(), POLLIN, kStopLimit))) return {};
  return Error::timeout("process {} does not end; look at its log, or kill -9 {}", pid, pid);
}

pid_t read_pid(const std::string& path) {
  std::string text = os::read_file(path).value_or(std::string());
  return static_cast<pid_t>(parse_int(trim(text)).value_or(0));
}

// The server holds a lock on its pid file as long as it lives, so a stale number is never taken for
// it.
pid_t holder_of(const std::string& data_dir) {
  std::string path = data_dir + "/wherry.pid";
  Result<os::Fd> file = os::open_file(path, O_RDONLY | O_CLOEXEC);
  if (!file.ok()) return 0;
  if (flock(file->get(), LOCK_SH | LOCK_NB) == 0) return 0;
  return read_pid(path);
}

Result<std::unique_ptr<container::Driver>> open_driver_for(const std::string& data_dir,
                                                           const Clock& clock) {
  container::DriverConfig config;
  config.runtime_root = data_dir + "/agent/runc";
  for (std::string_view name : {"runc", "crun"}) {
    Result<container::Runtime> runtime = container::find_runtime(name);
    if (runtime.ok()) config.runtimes.push_back(std::move(runtime).value());
  }
  // Pods can be ended without a runtime program; one that is not there is never called.
  if (config.runtimes.empty())
    config.runtimes.push_back({.name = "runc", .path = "/usr/sbin/runc"});
  return container::open_driver(std::move(config), clock);
}

// "/kubepods" of "/kubepods/besteffort/pod123", for every pod that is there.
std::set<std::string> cgroup_roots(const std::string& data_dir, container::Driver& driver) {
  std::set<std::string> roots = {kDefaultCgroup};
  std::string pods = data_dir + "/agent/pods";
  for (const std::string& uid : os::list_directory(pods).value_or(std::vector<std::string>())) {
    Result<std::unique_ptr<container::Sandbox>> sandbox =
        driver.adopt(pods + "/" + uid + "/sandbox");
    if (!sandbox.ok()) continue;
    std::string_view group = (*sandbox)->config().cgroup;
    size_t slash = group.find('/', 1);
    if (slash != std::string_view::npos) roots.insert(std::string(group.substr(0, slash)));
  }
  return roots;
}

Result<void> end_pods(const std::string& data_dir) {
  SystemClock clock;
  std::unique_ptr<container::Driver> driver = TRY(open_driver_for(data_dir, clock));
  std::set<std::string> roots = cgroup_roots(data_dir, *driver);
  TRY(agent::Agent::remove_all_pods(data_dir, *driver, nullptr));
  for (const std::string& root : roots) {
    // Another node agent on this machine may use the same group.
    if (driver->cgroups().processes(root).empty()) TRY(driver->cgroups().remove(root));
  }
  return {};
}

Result<void> unmount_below(const std::string& folder) {
  std::vector<std::string> points;
  for (const os::MountEntry& mount : TRY(os::read_mounts())) {
    if (mount.mount_point.starts_with(folder + "/")) points.push_back(mount.mount_point);
  }
  // The innermost first.
  std::sort(points.begin(), points.end(), std::greater<>());
  for (const std::string& point : points) TRY(os::unmount(point));
  return {};
}

}  // namespace

std::vector<InstalledItem> read_installed() {
  std::vector<InstalledItem> items;
  std::string text = os::read_file(kInstalledFile).value_or(std::string());
  for (std::string_view line : split(text, '\n')) {
    if (auto parts = split_once(trim(line), " ")) {
      items.push_back({std::string(parts->first), std::string(parts->second)});
    }
  }
  return items;
}

std::vector<std::string> data_dirs_of(std::string_view given) {
  std::vector<std::string> found;
  const char* named = std::getenv("WHERRY_DATA_DIR");
  if (!given.empty()) {
    found.emplace_back(given);
  } else if (named != nullptr && *named != 0) {
    found.emplace_back(named);
  } else {
    for (const InstalledItem& item : read_installed()) {
      if (item.kind == "data" && !item.name.empty()) found.push_back(item.name);
    }
  }
  if (found.empty()) found.emplace_back(kDefaultDataDir);
  for (std::string& path : found) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    char here[4096] = "";
    if (path[0] != '/' && getcwd(here, sizeof here) != nullptr)
      path = std::string(here) + "/" + path;
  }
  return found;
}

void Steps::say(const std::string& what) const {
  std::printf("%s%s\n", dry_run_ ? "would " : "", what.c_str());
  std::fflush(stdout);
}

void Steps::note(const Result<void>& done) {
  if (done.ok()) return;
  ++failures_;
  std::fprintf(stderr, "wherry: %s\n", done.error().message().c_str());
}

void stop_services(Steps& steps) {
  for (const InstalledItem& item : read_installed()) {
    if (item.kind == "unit" && os::is_directory("/run/systemd/system")) {
      steps.run("stop the service " + item.name, [&] {
        return run_program({"systemctl", "stop", item.name});
      });
    } else if (item.kind == "openrc" && os::exists("/run/openrc")) {
      steps.run("stop the service " + item.name, [&] {
        return run_program({"rc-service", "-q", item.name, "stop"});
      });
    } else if (item.kind == "pidfile" && os::exists(item.name)) {
      pid_t pid = read_pid(item.name);
      bool runs = pid > 0 && os::open_pidfd(pid).ok();
      if (runs) steps.run(fmt::format("stop process {}", pid), [&] { return end_process(pid); });
      steps.run("remove " + item.name, [&] { return os::remove_file(item.name); });
    }
  }
}

void stop_holder(Steps& steps, const std::string& data_dir) {
  pid_t pid = holder_of(data_dir);
  if (pid <= 0) return;
  steps.run(fmt::format("stop process {}, which uses {}", pid, data_dir),
            [&] { return end_process(pid); });
}

void stop_workloads(Steps& steps, const std::string& data_dir) {
  std::string agent = data_dir + "/agent";
  if (!os::is_directory(agent)) return;
  if (!steps.dry_run() && holder_of(data_dir) > 0) {
    return steps.note(Error::conflict("a server still uses {}: its pods are left alone", data_dir));
  }
  size_t pods = os::list_directory(agent + "/pods").value_or(std::vector<std::string>()).size();
  steps.run(fmt::format("end {} pod{} of {}", pods, pods == 1 ? "" : "s", data_dir),
            [&] { return end_pods(data_dir); });
  if (os::is_directory(agent + "/network")) {
    steps.run("undo the pods' network: links, routes, nftables, sysctls",
              [&] { return network::tear_down_pod_network(agent + "/network"); });
  }
  steps.note(steps.dry_run() ? Result<void>() : unmount_below(agent));
}

int run_stop(int argc, const char* const* argv) {
  std::span<const char* const> words(argv + 1, static_cast<size_t>(argc - 1));
  Result<Flags> flags = Flags::parse(kFlags, words);
  if (!flags.ok() || !flags->arguments().empty()) {
    std::fprintf(stderr, "wherry stop: %s (see wherry stop --help)\n",
                 flags.ok() ? "it takes no arguments" : flags.error().message().c_str());
    return 2;
  }
  if (flags->on("help")) {
    std::printf(
        "Stops the service. Pods go on, unless --workloads is given.\n\nUsage: wherry stop "
        "[flags]\n\nFlags:\n%s",
        kubectl::describe_flags(kFlags).c_str());
    return 0;
  }
  Steps steps(flags->on("dry-run"));
  std::vector<std::string> data_dirs = data_dirs_of(flags->text("data-dir"));
  bool idle = std::all_of(data_dirs.begin(), data_dirs.end(),
                          [](const std::string& dir) { return holder_of(dir) <= 0; });
  if (!flags->given("data-dir")) stop_services(steps);
  for (const std::string& data_dir : data_dirs) {
    stop_holder(steps, data_dir);
    if (flags->on("workloads")) stop_workloads(steps, data_dir);
  }
  if (idle && !flags->on("workloads")) {
    std::printf("nothing runs on %s\n", join(data_dirs, ", ").c_str());
  }
  return steps.exit_code();
}

}  // namespace wherry::command
