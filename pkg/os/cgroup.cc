#include "os/cgroup.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/strings.h"
#include "os/file.h"
#include "os/mount.h"

namespace wherry::os {
namespace {

// The ones a container runtime writes to; others (perf_event, net_cls) it creates itself.
constexpr std::string_view kV1Controllers[] = {
    "memory",  "cpu",     "cpuacct",    "pids",    "cpuset",   "blkio", "devices",
    "freezer", "hugetlb", "perf_event", "net_cls", "net_prio", "rdma",  "misc"};
constexpr std::string_view kV2Wanted[] = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids"};
constexpr int kKillRounds = 20;

uint64_t read_number(const std::string& path) {
  Result<std::string> text = read_file(path);
  if (!text.ok()) return 0;
  return parse_uint(trim(*text)).value_or(0);
}

// "key value" lines.
uint64_t read_key(const std::string& path, std::string_view key) {
  Result<std::string> text = read_file(path);
  if (!text.ok()) return 0;
  for (std::string_view line : split(*text, '\n')) {
    auto pair = split_once(line, " ");
    if (pair && pair->first == key) return parse_uint(trim(pair->second)).value_or(0);
  }
  return 0;
}

Result<void> make_group(const std::string& path) { return make_directories(path, 0755); }

// A new cpuset group of version 1 is empty and refuses processes until it has cpus and memory
// nodes.
void fill_cpuset(const std::string& mount, const std::string& path) {
  std::string folder = mount;
  for (std::string_view part : split(path, '/')) {
    if (part.empty()) continue;
    std::string parent = folder;
    folder += "/" + std::string(part);
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      Result<std::string> mine = read_file(folder + file);
      if (!mine.ok() || !trim(*mine).empty()) continue;
      Result<std::string> above = read_file(parent + file);
      if (above.ok()) (void)write_file_plain(folder + file, trim(*above)).ok();
    }
  }
}

void collect(const std::string& folder, std::set<pid_t>& pids) {
  Result<std::string> text = read_file(folder + "/cgroup.procs");
  if (text.ok()) {
    for (std::string_view line : split(*text, '\n')) {
      auto pid = parse_int(trim(line));
      if (pid && *pid > 0) pids.insert(static_cast<pid_t>(*pid));
    }
  }
  Result<std::vector<std::string>> names = list_directory(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (is_directory(folder + "/" + name)) collect(folder + "/" + name, pids);
  }
}

// Folders of a cgroup file system are removed by rmdir alone, deepest first.
Result<void> remove_groups(const std::string& folder) {
  if (!is_directory(folder)) return {};
  Result<std::vector<std::string>> names = list_directory(folder);
  if (names.ok()) {
    for (const std::string& name : *names) {
      if (is_directory(folder + "/" + name)) TRY(remove_groups(folder + "/" + name));
    }
  }
  if (rmdir(folder.c_str()) != 0 && errno != ENOENT) return Error::from_errno(errno, folder);
  return {};
}

// Version 1 counts swap in a second limit that is never below the first: where one was set (the
// runtime sets both to the same), it makes way first and follows after.
Result<void> set_memory_v1(const std::string& folder, int64_t bytes) {
  const std::string both = folder + "/memory.memsw.limit_in_bytes";
  std::optional<int64_t> with_swap;
  if (Result<std::string> text = read_file(both); text.ok()) with_swap = parse_int(trim(*text));
  constexpr int64_t kNoLimit = int64_t{1} << 62;
  bool limited = with_swap && *with_swap < kNoLimit;
  std::string value = bytes > 0 ? std::to_string(bytes) : "-1";
  if (limited && (bytes <= 0 || bytes > *with_swap)) TRY(write_file_plain(both, value));
  TRY(write_file_plain(folder + "/memory.limit_in_bytes", value));
  if (limited && bytes > 0 && bytes < *with_swap) TRY(write_file_plain(both, value));
  return {};
}

}  // namespace

uint64_t shares_to_weight(uint64_t shares) {
  shares = std::clamp<uint64_t>(shares, 2, 262144);
  return 1 + ((shares - 2) * 9999) / 262142;
}

Result<Cgroups> Cgroups::detect() {
  std::string text = TRY(read_file("/proc/self/mountinfo"));
  return parse(text);
}

Result<Cgroups> Cgroups::parse(std::string_view mountinfo) {
  Cgroups out;
  for (const MountEntry& entry : parse_mountinfo(mountinfo)) {
    if (entry.type == "cgroup2") {
      if (out.v2_mount_.empty()) out.v2_mount_ = entry.mount_point;
      continue;
    }
    if (entry.type != "cgroup") continue;
    bool used = false;
    for (std::string_view option : split(entry.super_options, ',')) {
      bool known = std::find(std::begin(kV1Controllers), std::end(kV1Controllers), option) !=
                   std::end(kV1Controllers);
      if (known && out.v1_mounts_.emplace(option, entry.mount_point).second) used = true;
      // Hierarchies without a controller (systemd's own) follow too: that takes pods out of our
      // service's group, so that stopping the service does not end them.
      if (option.starts_with("name=")) used = true;
    }
    if (used) out.v1_roots_.push_back(entry.mount_point);
  }
  bool v1 = out.v1_mounts_.count("memory") != 0 || out.v1_mounts_.count("pids") != 0 ||
            out.v1_mounts_.count("cpu") != 0;
  if (!v1 && out.v2_mount_.empty()) {
    return Error::unavailable(
        "no cgroup file system is mounted; mount one with `mount -t cgroup2 none /sys/fs/cgroup`");
  }
  out.mode_ = !v1 ? CgroupMode::kV2 : out.v2_mount_.empty() ? CgroupMode::kV1 : CgroupMode::kHybrid;
  if (out.mode_ == CgroupMode::kV2) {
    out.v1_mounts_.clear();
    out.v1_roots_.clear();
  }
  return out;
}

bool Cgroups::has(const std::string& controller) const {
  if (mode_ != CgroupMode::kV2) return v1_mounts_.count(controller) != 0;
  Result<std::string> text = read_file(v2_mount_ + "/cgroup.controllers");
  if (!text.ok()) return false;
  std::vector<std::string_view> names = split(trim(*text), ' ');
  return std::find(names.begin(), names.end(), controller) != names.end();
}

const std::string& Cgroups::main_mount() const {
  if (mode_ == CgroupMode::kV2) return v2_mount_;
  for (const char* name : {"memory", "pids", "cpu"}) {
    auto found = v1_mounts_.find(name);
    if (found != v1_mounts_.end()) return found->second;
  }
  return v1_roots_.front();
}

std::string Cgroups::folder(const std::string& controller, const std::string& path) const {
  if (mode_ == CgroupMode::kV2) return v2_mount_ + path;
  auto found = v1_mounts_.find(controller);
  return (found != v1_mounts_.end() ? found->second : main_mount()) + path;
}

std::vector<std::string> Cgroups::folders(const std::string& path) const {
  std::vector<std::string> out;
  for (const std::string& root : v1_roots_) out.push_back(root + path);
  // On hybrid hosts the runtime makes a group in the unified tree too.
  if (!v2_mount_.empty()) out.push_back(v2_mount_ + path);
  return out;
}

Result<void> Cgroups::create(const std::string& path) const {
  CHECK(path.starts_with('/') && path.size() > 1);
  if (mode_ != CgroupMode::kV2) {
    for (const std::string& root : v1_roots_) TRY(make_group(root + path));
    auto cpuset = v1_mounts_.find("cpuset");
    if (cpuset != v1_mounts_.end()) fill_cpuset(cpuset->second, path);
    return {};
  }
  TRY(make_group(v2_mount_ + path));
  std::string folder = v2_mount_;
  for (std::string_view part : split(path, '/')) {
    if (part.empty()) continue;
    // One at a time: a controller that this kernel lacks must not keep the others off.
    for (std::string_view controller : kV2Wanted) {
      (void)write_file_plain(folder + "/cgroup.subtree_control", "+" + std::string(controller))
          .ok();
    }
    folder += "/" + std::string(part);
  }
  return {};
}

Result<void> Cgroups::set_limits(const std::string& path, const CgroupLimits& limits) const {
  bool v2 = mode_ == CgroupMode::kV2;
  if (limits.memory_bytes && has("memory")) {
    std::string value = std::to_string(*limits.memory_bytes);
    if (v2) {
      TRY(write_file_plain(folder("memory", path) + "/memory.max",
                           *limits.memory_bytes > 0 ? value : "max"));
    } else {
      TRY(set_memory_v1(folder("memory", path), *limits.memory_bytes));
    }
  }
  if (limits.cpu_shares && has("cpu")) {
    if (v2) {
      TRY(write_file_plain(folder("cpu", path) + "/cpu.weight",
                           std::to_string(shares_to_weight(*limits.cpu_shares))));
    } else {
      TRY(write_file_plain(folder("cpu", path) + "/cpu.shares",
                           std::to_string(std::max<uint64_t>(*limits.cpu_shares, 2))));
    }
  }
  if (limits.cpu_quota_us && has("cpu")) {
    std::string quota = std::to_string(*limits.cpu_quota_us);
    std::string period = std::to_string(limits.cpu_period_us);
    if (v2) {
      TRY(write_file_plain(folder("cpu", path) + "/cpu.max",
                           (*limits.cpu_quota_us > 0 ? quota : "max") + " " + period));
    } else {
      TRY(write_file_plain(folder("cpu", path) + "/cpu.cfs_period_us", period));
      TRY(write_file_plain(folder("cpu", path) + "/cpu.cfs_quota_us",
                           *limits.cpu_quota_us > 0 ? quota : "-1"));
    }
  }
  if (limits.pids && has("pids")) {
    TRY(write_file_plain(folder("pids", path) + "/pids.max",
                         *limits.pids > 0 ? std::to_string(*limits.pids) : "max"));
  }
  return {};
}

Result<void> Cgroups::add_process(const std::string& path, pid_t pid) const {
  std::string text = std::to_string(pid);
  if (mode_ == CgroupMode::kV2) return write_file_plain(v2_mount_ + path + "/cgroup.procs", text);
  for (const std::string& root : v1_roots_)
    TRY(write_file_plain(root + path + "/cgroup.procs", text));
  return {};
}

std::vector<pid_t> Cgroups::processes(const std::string& path) const {
  std::set<pid_t> pids;
  collect(main_mount() + path, pids);
  return {pids.begin(), pids.end()};
}

Result<void> Cgroups::kill_all(const std::string& path) const {
  if (mode_ == CgroupMode::kV2 && exists(v2_mount_ + path + "/cgroup.kill")) {
    return write_file_plain(v2_mount_ + path + "/cgroup.kill", "1");
  }
  // A fork bomb may outrun one round. Zombies leave the group only when they are reaped, so a round
  // in which the set does not change is the last.
  std::vector<pid_t> before;
  for (int round = 0; round < kKillRounds; ++round) {
    std::vector<pid_t> pids = processes(path);
    if (pids.empty() || pids == before) return {};
    for (pid_t pid : pids) ::kill(pid, SIGKILL);
    before = std::move(pids);
  }
  return {};
}

uint64_t Cgroups::oom_kills(const std::string& path) const {
  if (mode_ == CgroupMode::kV2) return read_key(v2_mount_ + path + "/memory.events", "oom_kill");
  return read_key(folder("memory", path) + "/memory.oom_control", "oom_kill");
}

Result<CgroupUsage> Cgroups::usage(const std::string& path) const {
  std::string main = main_mount() + path;
  if (!is_directory(main)) return Error::not_found("there is no cgroup {}", path);
  CgroupUsage out;
  if (mode_ == CgroupMode::kV2) {
    out.memory_bytes = read_number(main + "/memory.current");
    uint64_t inactive = read_key(main + "/memory.stat", "inactive_file");
    out.working_set_bytes = out.memory_bytes - std::min(inactive, out.memory_bytes);
    out.rss_bytes = read_key(main + "/memory.stat", "anon");
    out.cpu_ns = read_key(main + "/cpu.stat", "usage_usec") * 1000;
    out.pids = read_number(main + "/pids.current");
  } else {
    std::string memory = folder("memory", path);
    out.memory_bytes = read_number(memory + "/memory.usage_in_bytes");
    uint64_t inactive = read_key(memory + "/memory.stat", "total_inactive_file");
    out.working_set_bytes = out.memory_bytes - std::min(inactive, out.memory_bytes);
    out.rss_bytes = read_key(memory + "/memory.stat", "total_rss");
    out.cpu_ns = read_number(folder("cpuacct", path) + "/cpuacct.usage");
    out.pids = read_number(folder("pids", path) + "/pids.current");
  }
  out.oom_kills = oom_kills(path);
  return out;
}

Result<void> Cgroups::remove(const std::string& path) const {
  CHECK(path.starts_with('/') && path.size() > 1);
  Result<void> outcome;
  for (const std::string& folder : folders(path)) {
    Result<void> removed = remove_groups(folder);
    if (!removed.ok()) outcome = std::move(removed);
  }
  return outcome;
}

std::vector<std::string> Cgroups::children(const std::string& path) const {
  std::vector<std::string> out;
  Result<std::vector<std::string>> names = list_directory(main_mount() + path);
  if (!names.ok()) return out;
  for (const std::string& name : *names) {
    if (is_directory(main_mount() + path + "/" + name)) out.push_back(name);
  }
  return out;
}

}  // namespace wherry::os
