#include "os/mount.h"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/strings.h"
#include "os/fd.h"

namespace wherry::os {
namespace {

// Spaces, tabs, line feeds and backslashes stand as \ooo in mountinfo.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto octal = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

Result<void> do_mount(const char* source, const std::string& target, const char* type,
                      unsigned long flags, const std::string& data) {
  if (::mount(source, target.c_str(), type, flags, data.empty() ? nullptr : data.c_str()) == 0)
    return {};
  return Error::from_errno(errno, "mounting " + target);
}

}  // namespace

Result<void> mount_tmpfs(const std::string& target, uint64_t size_bytes, unsigned mode) {
  std::string data = fmt::format("mode={:o}", mode);
  if (size_bytes != 0) data += fmt::format(",size={}", size_bytes);
  return do_mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, data);
}

Result<std::string> overlay_options(const std::vector<std::string>& lowers,
                                    const std::string& upper, const std::string& work) {
  std::string data = "lowerdir=" + join(lowers, ":");
  if (!upper.empty()) data += ",upperdir=" + upper + ",workdir=" + work;
  if (data.size() >= static_cast<size_t>(getpagesize())) {
    return Error::invalid(
        "the image has {} layers; their paths do not fit the overlay mount options", lowers.size());
  }
  return data;
}

Result<void> mount_overlay(const std::vector<std::string>& lowers, const std::string& upper,
                           const std::string& work, const std::string& target) {
  std::string data = TRY(overlay_options(lowers, upper, work));
  return do_mount("overlay", target, "overlay", 0, data);
}

Result<void> bind_mount(const std::string& source, const std::string& target, bool read_only) {
  TRY(do_mount(source.c_str(), target, nullptr, MS_BIND | MS_REC, ""));
  if (!read_only) return {};
  Result<void> sealed = do_mount(nullptr, target, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, "");
  if (!sealed.ok()) ::umount2(target.c_str(), MNT_DETACH);
  return sealed;
}

Result<void> unmount(const std::string& target) {
  if (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EINVAL || errno == ENOENT) return {};
  return Error::from_errno(errno, "unmounting " + target);
}

std::vector<MountEntry> parse_mountinfo(std::string_view text) {
  std::vector<MountEntry> out;
  for (std::string_view line : split(text, '\n')) {
    auto halves = split_once(line, " - ");
    if (!halves) continue;
    std::vector<std::string_view> left = split(halves->first, ' ');
    std::vector<std::string_view> right = split(halves->second, ' ');
    if (left.size() < 6 || right.size() < 3) continue;
    MountEntry entry;
    entry.root = unescape(left[3]);
    entry.mount_point = unescape(left[4]);
    entry.options = left[5];
    for (size_t i = 6; i < left.size(); ++i) {
      entry.optional += (i > 6 ? " " : "") + std::string(left[i]);
    }
    entry.type = right[0];
    entry.source = unescape(right[1]);
    entry.super_options = right[2];
    out.push_back(std::move(entry));
  }
  return out;
}

Result<std::vector<MountEntry>> read_mounts() {
  std::string text = TRY(read_file("/proc/self/mountinfo"));
  return parse_mountinfo(text);
}

bool is_mount_point(const std::string& path) {
  Result<std::vector<MountEntry>> mounts = read_mounts();
  if (!mounts.ok()) return false;
  return std::any_of(mounts->begin(), mounts->end(),
                     [&](const MountEntry& entry) { return entry.mount_point == path; });
}

}  // namespace wherry::os
