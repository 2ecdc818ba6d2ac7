#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"

namespace wherry::os {

Result<Fd> open_file(const std::string& path, int flags, unsigned mode) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) return Error::from_errno(errno, path);
  return fd;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  DIR* stream = opendir(path.c_str());
  if (stream == nullptr) return Error::from_errno(errno, path);
  std::vector<std::string> names;
  while (dirent* entry = readdir(stream)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> read_all(int fd, size_t bytes_max) {
  std::string out;
  char buffer[16384];
  while (true) {
    ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "read");
    if (count == 0) return out;
    if (out.size() + static_cast<size_t>(count) > bytes_max) {
      return Error(Code::kRequestEntityTooLarge,
                   fmt::format("more than {} bytes were sent", bytes_max));
    }
    out.append(buffer, static_cast<size_t>(count));
  }
}

Result<void> write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    ssize_t count = ::write(fd, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "write");
    content.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<void> rename_path(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return Error::from_errno(errno, from + " -> " + to);
  return {};
}

Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Error::from_errno(errno, path);
  return {};
}

Result<std::string> read_link(const std::string& path) {
  char buffer[4096];
  ssize_t count = ::readlink(path.c_str(), buffer, sizeof buffer);
  if (count < 0) return Error::from_errno(errno, path);
  return std::string(buffer, static_cast<size_t>(count));
}

Result<void> make_symlink(const std::string& target, const std::string& path) {
  if (::symlink(target.c_str(), path.c_str()) != 0) return Error::from_errno(errno, path);
  return {};
}

Result<void> change_owner(const std::string& path, uid_t uid, gid_t gid) {
  if (::lchown(path.c_str(), uid, gid) != 0) return Error::from_errno(errno, path);
  return {};
}

Result<void> change_mode(const std::string& path, unsigned mode) {
  if (::chmod(path.c_str(), mode) != 0) return Error::from_errno(errno, path);
  return {};
}

bool is_directory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<void> duplicate_file(const std::string& from, const std::string& to, unsigned mode) {
  Fd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source) return Error::from_errno(errno, from);
  Fd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!target) return Error::from_errno(errno, to);
  bool cloned = ioctl(target.get(), FICLONE, source.get()) == 0;
  if (!cloned) {
    // A hard link shares the bytes and the page cache, but also the owner and mode.
    struct stat info {};
    if (fstat(source.get(), &info) == 0 && (info.st_mode & 07777) == mode &&
        info.st_uid == geteuid()) {
      std::string link = to + ".link";
      std::string path = "/proc/self/fd/" + std::to_string(source.get());
      if (linkat(AT_FDCWD, path.c_str(), AT_FDCWD, link.c_str(), AT_SYMLINK_FOLLOW) == 0) {
        return rename_path(link, to);
      }
    }
    while (true) {
      ssize_t count = sendfile(target.get(), source.get(), nullptr, 1 << 24);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Error::from_errno(errno, to);
      if (count == 0) break;
    }
  }
  if (fchmod(target.get(), mode) != 0) return Error::from_errno(errno, to);
  return {};
}

Result<DiskSpace> disk_space(const std::string& path) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return Error::from_errno(errno, path);
  DiskSpace space;
  space.total_bytes = static_cast<uint64_t>(info.f_blocks) * info.f_frsize;
  space.available_bytes = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  space.total_inodes = info.f_files;
  space.free_inodes = info.f_favail;
  return space;
}

Result<TempDirectory> TempDirectory::make(const std::string& parent) {
  std::string path = parent + "/wherry-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return Error::from_errno(errno, path);
  return TempDirectory(path);
}

TempDirectory::~TempDirectory() {
  if (path_.empty()) return;
  Result<void> removed = remove_tree(path_);
  if (!removed.ok()) log::warn("temporary folder: {}", removed.error().message());
}

}  // namespace wherry::os
