#include "os/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "os/file.h"

namespace wherry::os {
namespace {

// Removes what is in the open folder; `device` is the file system it may not leave.
Result<void> remove_inside(int directory, dev_t device, const std::string& path) {
  Fd again(dup(directory));
  if (!again) return Error::from_errno(errno, path);
  DIR* stream = fdopendir(again.get());
  if (stream == nullptr) return Error::from_errno(errno, path);
  again.release();  // The stream owns it now.

  Result<void> outcome;
  while (outcome.ok()) {
    errno = 0;
    dirent* entry = readdir(stream);
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (unlinkat(directory, entry->d_name, 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) {
      outcome = Error::from_errno(errno, path + "/" + entry->d_name);
      break;
    }
    std::string below = path + "/" + entry->d_name;
    Fd child(openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info {};
    if (!child || fstat(child.get(), &info) != 0) {
      outcome = Error::from_errno(errno, below);
    } else if (info.st_dev != device) {
      outcome = Error::internal("{}: is a mount point; not removed", below);
    } else {
      outcome = remove_inside(child.get(), device, below);
      if (outcome.ok() && unlinkat(directory, entry->d_name, AT_REMOVEDIR) != 0 &&
          errno != ENOENT) {
        outcome = Error::from_errno(errno, below);
      }
    }
  }
  closedir(stream);
  return outcome;
}

std::string parent_of(const std::string& path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

void Fd::reset() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

Result<std::string> read_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno, path);
  std::string out;
  char buffer[16384];
  while (true) {
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, path);
    if (count == 0) return out;
    out.append(buffer, static_cast<size_t>(count));
  }
}

Result<void> write_file_atomic(const std::string& path, std::string_view content, unsigned mode) {
  static std::atomic<unsigned> counter{0};
  std::string temporary =
      path + ".tmp" + std::to_string(getpid()) + "." + std::to_string(counter++);
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return Error::from_errno(errno, temporary);
  Result<void> written = write_all(fd.get(), content);
  if (written.ok() && fchmod(fd.get(), mode) != 0) written = Error::from_errno(errno, temporary);
  if (written.ok() && fsync(fd.get()) != 0) written = Error::from_errno(errno, temporary);
  fd.reset();
  if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = Error::from_errno(errno, path);
  }
  if (!written.ok()) {
    ::unlink(temporary.c_str());
    return std::move(written).error().with_prefix("writing " + path);
  }
  // The rename itself must be on disk too.
  Fd folder(::open(parent_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) fsync(folder.get());
  return {};
}

Result<void> write_file_plain(const std::string& path, std::string_view content) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) fd = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return Error::from_errno(errno, path);
  // Kernel files take one write; ordinary ones must not keep an old tail.
  struct stat info {};
  if (fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
    if (ftruncate(fd.get(), 0) != 0 && errno != EINVAL && errno != EPERM) {
      return Error::from_errno(errno, path);
    }
  }
  Result<void> written = write_all(fd.get(), content);
  if (!written.ok()) return std::move(written).error().with_prefix(path);
  return {};
}

Result<void> make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  int number = errno;
  if (number == EEXIST && is_directory(path)) return {};
  if (number != ENOENT || path.empty() || path == "/") return Error::from_errno(number, path);
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  std::string parent = parent_of(trimmed);
  if (parent == trimmed) return Error::from_errno(number, path);
  TRY(make_directories(parent, mode));
  if (::mkdir(trimmed.c_str(), mode) == 0) return {};
  if (errno == EEXIST && is_directory(trimmed)) return {};
  return Error::from_errno(errno, path);
}

Result<void> remove_tree(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return Error::from_errno(errno, path);
  }
  if (!S_ISDIR(info.st_mode)) return remove_file(path);
  Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return Error::from_errno(errno, path);
  struct stat parent {};
  if (fstatat(directory.get(), "..", &parent, 0) == 0 && parent.st_dev != info.st_dev) {
    return Error::internal("{}: is a mount point; not removed", path);
  }
  TRY(remove_inside(directory.get(), info.st_dev, path));
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return Error::from_errno(errno, path);
  return {};
}

bool exists(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

}  // namespace wherry::os
