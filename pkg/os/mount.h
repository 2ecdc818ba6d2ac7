#pragma once
// Mounts on the host. Everything mounted here outlives the process; see container::Sandbox for
// mounts that live and die with a pod. Any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::os {

Result<void> mount_tmpfs(const std::string& target, uint64_t size_bytes,
                         unsigned mode);  // 0: no limit.
Result<void> mount_overlay(const std::vector<std::string>& lowers, const std::string& upper,
                           const std::string& work, const std::string& target);
Result<void> bind_mount(const std::string& source, const std::string& target, bool read_only);
Result<void> unmount(const std::string& target);  // Lazily; not being a mount point is no error.
bool is_mount_point(const std::string& path);

struct MountEntry {
  std::string root;  // What part of the file system is mounted.
  std::string mount_point;
  std::string type;
  std::string source;
  std::string options;        // Per mount.
  std::string super_options;  // Of the file system.
  std::string optional;       // "shared:1 master:2".
};
std::vector<MountEntry> parse_mountinfo(std::string_view text);
Result<std::vector<MountEntry>> read_mounts();  // Of this process.

// Lines of overlay options must fit one page; kInvalid when they do not.
Result<std::string> overlay_options(const std::vector<std::string>& lowers,
                                    const std::string& upper, const std::string& work);

}  // namespace wherry::os
