#pragma once
// More on files than fd.h has: folders, links, streams of bytes, disk space. Any thread.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/fd.h"

namespace wherry::os {

Result<Fd> open_file(const std::string& path, int flags, unsigned mode = 0);
Result<std::vector<std::string>> list_directory(
    const std::string& path);  // Sorted, without . and ..
Result<std::string> read_all(int fd, size_t bytes_max);
Result<void> write_all(int fd, std::string_view content);
Result<void> rename_path(const std::string& from, const std::string& to);
Result<void> remove_file(const std::string& path);  // Not being there is no error.
Result<std::string> read_link(const std::string& path);
Result<void> make_symlink(const std::string& target, const std::string& path);
Result<void> change_owner(const std::string& path, uid_t uid, gid_t gid);
Result<void> change_mode(const std::string& path, unsigned mode);
bool is_directory(const std::string& path);

// Clones (reflink), hard-links or copies, whichever works first; never follows a link in `to`.
Result<void> duplicate_file(const std::string& from, const std::string& to, unsigned mode);

struct DiskSpace {
  uint64_t total_bytes = 0;
  uint64_t available_bytes = 0;
  uint64_t total_inodes = 0;
  uint64_t free_inodes = 0;
};
Result<DiskSpace> disk_space(const std::string& path);

// A temporary folder, removed on destruction.
class TempDirectory {
 public:
  static Result<TempDirectory> make(const std::string& parent = "/tmp");
  TempDirectory(TempDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TempDirectory& operator=(TempDirectory&&) = delete;
  ~TempDirectory();
  const std::string& path() const { return path_; }

 private:
  explicit TempDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace wherry::os
