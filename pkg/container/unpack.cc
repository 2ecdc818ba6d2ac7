#include "container/unpack.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>
#include <vector>

#include "base/strings.h"
#include "container/tar.h"
#include "os/file.h"

namespace wherry::container {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

// The path's parts without "." and empty ones; kInvalid when it climbs.
Result<std::vector<std::string>> parts_of(std::string_view name) {
  std::vector<std::string> parts;
  for (std::string_view part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return Error::invalid("path {} escapes the root of the layer", quote(name));
    parts.emplace_back(part);
  }
  return parts;
}

class Unpacker {
 public:
  Unpacker(ByteSource& tar, os::Fd root, const UnpackOptions& options)
      : reader_(tar), root_(std::move(root)), options_(options) {}

  Result<Unpacked> run() {
    while (true) {
      std::optional<TarEntry> entry = TRY(reader_.next());
      if (!entry) break;
      Result<void> done = one(*entry);
      if (!done.ok()) return std::move(done).error().with_prefix(entry->name);
    }
    // Last, since making files in a folder changes its time.
    for (auto entry = folder_times_.rbegin(); entry != folder_times_.rend(); ++entry) {
      Result<os::Fd> folder = open_inside(entry->path, O_RDONLY | O_DIRECTORY);
      if (folder.ok()) futimens(folder->get(), entry->times);
    }
    return Unpacked{bytes_, {implied_.begin(), implied_.end()}, std::move(links_)};
  }

 private:
  struct FolderTime {
    std::string path;
    timespec times[2];
  };

  Result<os::Fd> open_inside(const std::string& path, uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    os::Fd fd(static_cast<int>(
        syscall(SYS_openat2, root_.get(), path.empty() ? "." : path.c_str(), &how, sizeof how)));
    if (!fd) return Error::from_errno(errno, path);
    return fd;
  }

  static std::string path_of(const std::vector<std::string>& parts, size_t count) {
    std::string path;
    for (size_t i = 0; i < count; ++i) path += (i > 0 ? "/" : "") + parts[i];
    return path;
  }

  // The folder of an entry; missing ones are made. Links on the way are followed inside the root.
  Result<int> open_parent(const std::vector<std::string>& parts) {
    std::string path = path_of(parts, parts.size() - 1);
    if (parent_ && path == parent_path_) return parent_.get();
    Result<os::Fd> found = open_inside(path, O_PATH | O_DIRECTORY);
    if (!found.ok() && found.error().is(Code::kNotFound)) {
      TRY(make_parents(parts));
      found = open_inside(path, O_PATH | O_DIRECTORY);
    }
    if (!found.ok()) return std::move(found).error();
    parent_ = std::move(found).value();
    parent_path_ = path;
    return parent_.get();
  }

  Result<void> make_parents(const std::vector<std::string>& parts) {
    std::string path;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      os::Fd above = TRY(open_inside(path, O_PATH | O_DIRECTORY));
      path = path_of(parts, i + 1);
      if (mkdirat(above.get(), parts[i].c_str(), 0755) == 0) {
        implied_.insert(path);
      } else if (errno != EEXIST) {
        return Error::from_errno(errno, parts[i]);
      }
    }
    return {};
  }

  Result<void> one(const TarEntry& entry) {
    std::vector<std::string> parts = TRY(parts_of(entry.name));
    if (parts.empty()) {
      if (entry.type != TarType::kDirectory) return {};
      os::Fd root = TRY(open_inside("", O_RDONLY | O_DIRECTORY));
      return set_metadata(root.get(), entry);
    }
    int parent = TRY(open_parent(parts));
    const std::string& name = parts.back();
    links_.erase(path_of(parts, parts.size()));  // The last entry of a name counts.
    if (name == kOpaque) {
      implied_.erase(path_of(parts, parts.size() - 1));
      return make_opaque(parent);
    }
    if (name.starts_with(kWhiteoutMeta)) return {};
    if (name.starts_with(kWhiteout)) {
      std::string gone = name.substr(kWhiteout.size());
      TRY(make_whiteout(parent, gone));
      parts.back() = gone;
      implied_.erase(path_of(parts, parts.size()));
      return {};
    }
    if (entry.type == TarType::kDirectory) implied_.erase(path_of(parts, parts.size()));
    switch (entry.type) {
      case TarType::kFile: return make_file(parent, name, entry);
      case TarType::kDirectory: return make_folder(parent, name, entry);
      case TarType::kSymlink: return make_symlink(parent, name, entry);
      case TarType::kHardLink: return make_hard_link(parent, parts, entry);
      case TarType::kCharDevice:
      case TarType::kBlockDevice:
      case TarType::kFifo: return make_node(parent, name, entry);
      case TarType::kOther: return {};
    }
    return {};
  }

  // ---- Whiteouts

  Result<void> make_opaque(int parent) {
    std::string path = "/proc/self/fd/" + std::to_string(parent);
    const char* attribute = options_.privileged ? "trusted.overlay.opaque" : "user.overlay.opaque";
    if (setxattr(path.c_str(), attribute, "y", 1, 0) == 0 || !options_.privileged) return {};
    return Error::from_errno(errno, "marking a folder as opaque");
  }

  Result<void> make_whiteout(int parent, const std::string& name) {
    if (name.empty() || name == "." || name == "..") {
      return Error::invalid("path {} escapes the root of the layer", quote(name));
    }
    if (mknodat(parent, name.c_str(), S_IFCHR, 0) == 0) return {};
    if (errno != EEXIST) return Error::from_errno(errno, "whiteout of " + name);
    // The same layer put something new there: it must not show what lies below.
    struct stat info {};
    if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(info.st_mode))
      return {};
    os::Fd folder(openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return Error::from_errno(errno, name);
    return make_opaque(folder.get());
  }

  // ---- Entries

  // Takes away what stands there; true when it was a whiteout of this layer.
  Result<bool> clear(int parent, const std::string& name) {
    struct stat info {};
    if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return false;
      return Error::from_errno(errno, name);
    }
    parent_path_.clear();  // What is opened may lie below what goes.
    os::Fd keep = std::move(parent_);
    std::string path = "/proc/self/fd/" + std::to_string(parent) + "/" + name;
    TRY(os::remove_tree(path));
    parent_ = std::move(keep);
    parent_path_ = "\n";  // Matches no path.
    return S_ISCHR(info.st_mode) && info.st_rdev == 0;
  }

  Result<void> make_file(int parent, const std::string& name, const TarEntry& entry) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    os::Fd file(openat(parent, name.c_str(), kFlags, 0600));
    if (!file && errno == EEXIST) {
      TRY(clear(parent, name));
      file = os::Fd(openat(parent, name.c_str(), kFlags, 0600));
    }
    if (!file) return Error::from_errno(errno, name);
    if (buffer_.empty()) buffer_.resize(128 << 10);
    while (true) {
      size_t count = TRY(reader_.read(buffer_.data(), buffer_.size()));
      if (count == 0) break;
      TRY(os::write_all(file.get(), std::string_view(buffer_.data(), count)));
      bytes_ += count;
    }
    return set_metadata(file.get(), entry);
  }

  Result<void> make_folder(int parent, const std::string& name, const TarEntry& entry) {
    bool opaque = false;
    if (mkdirat(parent, name.c_str(), 0700) != 0) {
      if (errno != EEXIST) return Error::from_errno(errno, name);
      struct stat info {};
      bool is_folder =
          fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
      if (!is_folder) {
        opaque = TRY(clear(parent, name));
        if (mkdirat(parent, name.c_str(), 0700) != 0) return Error::from_errno(errno, name);
      }
    }
    os::Fd folder(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return Error::from_errno(errno, name);
    if (opaque) TRY(make_opaque(folder.get()));
    FolderTime later{};
    later.path = entry.name;
    times_of(entry, later.times);
    folder_times_.push_back(std::move(later));
    return set_metadata(folder.get(), entry);
  }

  Result<void> make_symlink(int parent, const std::string& name, const TarEntry& entry) {
    if (symlinkat(entry.link.c_str(), parent, name.c_str()) != 0) {
      if (errno != EEXIST) return Error::from_errno(errno, name);
      TRY(clear(parent, name));
      if (symlinkat(entry.link.c_str(), parent, name.c_str()) != 0)
        return Error::from_errno(errno, name);
    }
    return set_metadata_at(parent, name, entry);
  }

  Result<void> make_hard_link(int parent, const std::vector<std::string>& parts,
                              const TarEntry& entry) {
    const std::string& name = parts.back();
    std::vector<std::string> target = TRY(parts_of(entry.link));
    if (target.empty()) return Error::invalid("hard link to the root");
    std::string folder_path = path_of(target, target.size() - 1);
    Result<os::Fd> found = open_inside(folder_path, O_PATH | O_DIRECTORY);
    struct stat there {};
    if (found.ok() &&
        fstatat(found->get(), target.back().c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0)
      found = Error::from_errno(errno, entry.link);
    if (!found.ok() && found.error().is(Code::kNotFound)) {
      // To be had from a layer below, or nowhere.
      TRY(clear(parent, name));
      links_[path_of(parts, parts.size())] = path_of(target, target.size());
      return {};
    }
    const os::Fd folder = TRY(std::move(found));
    if (linkat(folder.get(), target.back().c_str(), parent, name.c_str(), 0) == 0) return {};
    if (errno != EEXIST) return Error::from_errno(errno, "linking to " + entry.link);
    struct stat ours {};
    struct stat theirs {};
    if (fstatat(parent, name.c_str(), &ours, AT_SYMLINK_NOFOLLOW) == 0 &&
        fstatat(folder.get(), target.back().c_str(), &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
        ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev) {
      return {};
    }
    TRY(clear(parent, name));
    if (linkat(folder.get(), target.back().c_str(), parent, name.c_str(), 0) == 0) return {};
    return Error::from_errno(errno, "linking to " + entry.link);
  }

  Result<void> make_node(int parent, const std::string& name, const TarEntry& entry) {
    unsigned type = entry.type == TarType::kCharDevice    ? S_IFCHR
                    : entry.type == TarType::kBlockDevice ? S_IFBLK
                                                          : S_IFIFO;
    if (type != S_IFIFO && !options_.privileged) return {};
    dev_t device = type == S_IFIFO ? 0 : makedev(entry.major, entry.minor);
    // 0:0 is overlay's own mark for "not there".
    if (type == S_IFCHR && device == 0)
      return Error::invalid("a device with number 0:0 is not allowed");
    if (mknodat(parent, name.c_str(), type | 0600, device) != 0) {
      if (errno != EEXIST) return Error::from_errno(errno, name);
      TRY(clear(parent, name));
      if (mknodat(parent, name.c_str(), type | 0600, device) != 0)
        return Error::from_errno(errno, name);
    }
    return set_metadata_at(parent, name, entry);
  }

  // ---- Owner, mode, attributes, time; in this order, for changing the owner clears modes and
  // capabilities

  static void times_of(const TarEntry& entry, timespec out[2]) {
    out[0].tv_sec = out[1].tv_sec = static_cast<time_t>(entry.mtime_seconds);
    out[0].tv_nsec = out[1].tv_nsec = static_cast<long>(entry.mtime_nanoseconds);
  }

  Result<void> set_metadata(int fd, const TarEntry& entry) {
    bool owned = entry.uid != 0 || entry.gid != 0 || entry.type == TarType::kDirectory;
    if (options_.privileged && owned && fchown(fd, entry.uid, entry.gid) != 0) {
      return Error::from_errno(errno, "changing the owner");
    }
    if (fchmod(fd, entry.mode) != 0) return Error::from_errno(errno, "changing the mode");
    for (const auto& [name, value] : entry.xattrs) {
      // An image must not talk to overlayfs.
      if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) continue;
      if (!options_.privileged && !name.starts_with("user.")) continue;
      if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
      // A label of another machine's policy, or a file system without attributes, is no reason to
      // fail.
      bool needed = name == "security.capability";
      if (needed && errno != ENOTSUP) return Error::from_errno(errno, "setting " + name);
    }
    timespec times[2];
    times_of(entry, times);
    futimens(fd, times);
    return {};
  }

  Result<void> set_metadata_at(int parent, const std::string& name, const TarEntry& entry) {
    if (options_.privileged &&
        fchownat(parent, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
      return Error::from_errno(errno, "changing the owner");
    }
    if (entry.type != TarType::kSymlink && fchmodat(parent, name.c_str(), entry.mode, 0) != 0) {
      return Error::from_errno(errno, "changing the mode");
    }
    timespec times[2];
    times_of(entry, times);
    utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
    return {};
  }

  TarReader reader_;
  const os::Fd root_;
  const UnpackOptions options_;
  os::Fd parent_;
  std::string parent_path_ = "\n";
  std::vector<char> buffer_;
  std::vector<FolderTime> folder_times_;
  std::set<std::string> implied_;
  std::map<std::string, std::string> links_;
  uint64_t bytes_ = 0;
};

}  // namespace

Result<Unpacked> unpack_layer(ByteSource& tar, const std::string& target,
                              const UnpackOptions& options) {
  os::Fd root = TRY(os::open_file(target, O_PATH | O_DIRECTORY));
  return Unpacker(tar, std::move(root), options).run();
}

}  // namespace wherry::container
