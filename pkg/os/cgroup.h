#pragma once
// Control groups, version 1, 2 and hybrid (controllers on version 1 beside an empty unified tree).
// A group is named by a path such as "/kubepods/burstable/pod123", the same in every hierarchy. Any
// thread; the object is constant after detect().

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/fd.h"

namespace wherry::os {

enum class CgroupMode { kV1, kV2, kHybrid };

struct CgroupLimits {
  bool operator==(const CgroupLimits&) const = default;
  std::optional<int64_t> memory_bytes;
  std::optional<uint64_t>
      cpu_shares;  // Version 1 scale, 2 to 262144; converted to a weight on version 2.
  std::optional<int64_t> cpu_quota_us;  // Per period.
  uint64_t cpu_period_us = 100000;
  std::optional<int64_t> pids;
};

struct CgroupUsage {
  uint64_t memory_bytes = 0;
  uint64_t working_set_bytes = 0;  // Without inactive file pages, as kubelet counts.
  uint64_t rss_bytes = 0;
  uint64_t cpu_ns = 0;
  uint64_t pids = 0;
  uint64_t oom_kills = 0;
};

class Cgroups {
 public:
  // From /proc/self/mountinfo. kUnavailable, with the fix, when there is no usable hierarchy.
  static Result<Cgroups> detect();
  // For tests: the same from given texts; mount points are used as they are.
  static Result<Cgroups> parse(std::string_view mountinfo);

  CgroupMode mode() const { return mode_; }
  bool has(const std::string& controller) const;

  // Creates the group in every hierarchy; on version 2 enables the controllers on the way down.
  Result<void> create(const std::string& path) const;
  Result<void> set_limits(const std::string& path, const CgroupLimits& limits) const;
  Result<void> add_process(const std::string& path, pid_t pid) const;
  // SIGKILL to every process in the group and below, until none is left or a few rounds have
  // passed.
  Result<void> kill_all(const std::string& path) const;
  std::vector<pid_t> processes(const std::string& path) const;  // Of the group and below.
  Result<CgroupUsage> usage(const std::string& path) const;
  // The count of oom kills in the group; 0 when it cannot be read.
  uint64_t oom_kills(const std::string& path) const;
  // Removes the group and everything below; a group that is not there is no error.
  Result<void> remove(const std::string& path) const;
  // Folder names below `path` in one hierarchy.
  std::vector<std::string> children(const std::string& path) const;
  // The file system folder of a group for a controller ("" for version 2 files).
  std::string folder(const std::string& controller, const std::string& path) const;

 private:
  Cgroups() = default;
  const std::string& main_mount() const;
  std::vector<std::string> folders(const std::string& path) const;

  CgroupMode mode_ = CgroupMode::kV1;
  std::map<std::string, std::string> v1_mounts_;  // Controller to mount point.
  std::vector<std::string> v1_roots_;             // Each version 1 mount point once.
  std::string v2_mount_;
};

// Version 1 shares to version 2 weight, as runtimes convert.
uint64_t shares_to_weight(uint64_t shares);

}  // namespace wherry::os
