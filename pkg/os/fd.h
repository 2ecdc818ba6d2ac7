#pragma once
// Fd: an owned file descriptor, closed on destruction. Movable; one owner at a time.

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace wherry::os {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  int release() { return std::exchange(number_, -1); }
  void reset();

 private:
  int number_ = -1;
};

// Files. Errors name the path; a missing file is kNotFound, a full disk kStorageFull.
Result<std::string> read_file(const std::string& path);
// Through a temporary file, fsync and rename: after a crash the old or the new content is there.
Result<void> write_file_atomic(const std::string& path, std::string_view content, unsigned mode);
// In place, without fsync: for cgroup, proc and other kernel files.
Result<void> write_file_plain(const std::string& path, std::string_view content);
Result<void> make_directories(const std::string& path, unsigned mode);  // Like mkdir -p.
Result<void> remove_tree(const std::string& path);  // Like rm -rf, never crosses into a mount.
bool exists(const std::string& path);

}  // namespace wherry::os
