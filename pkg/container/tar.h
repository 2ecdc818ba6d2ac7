#pragma once
// Reading tar archives: POSIX ustar and pax, and the GNU extensions for long names and large
// numbers. Nothing here touches the file system. One thread.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "container/byte_source.h"

namespace wherry::container {

enum class TarType {
  kFile,
  kHardLink,
  kSymlink,
  kCharDevice,
  kBlockDevice,
  kDirectory,
  kFifo,
  kOther
};

struct TarEntry {
  TarType type = TarType::kOther;
  std::string name;  // As it stands there; not to be trusted.
  std::string link;
  unsigned mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size = 0;
  int64_t mtime_seconds = 0;
  int64_t mtime_nanoseconds = 0;
  unsigned major = 0;
  unsigned minor = 0;
  std::map<std::string, std::string> xattrs;
};

class TarReader {
 public:
  explicit TarReader(ByteSource& source) : source_(source) {}
  // The next entry, after what is left of the last one's content; empty at the end of the archive.
  Result<std::optional<TarEntry>> next();
  // Content of the current entry; 0 at its end.
  Result<size_t> read(char* to, size_t size);
  // Its whole content; kInvalid when it is longer than that.
  Result<std::string> read_all(size_t bytes_max);

 private:
  Result<void> skip();
  Result<void> read_pax(uint64_t size, std::map<std::string, std::string>& into);
  Result<std::string> read_block(uint64_t size);

  ByteSource& source_;
  uint64_t left_ = 0;     // Of the current entry's content.
  uint64_t padding_ = 0;  // After it.
  std::map<std::string, std::string> global_;
};

// A small writer for tests and for the demo image: appends one entry to `archive`.
void append_tar(std::string& archive, const TarEntry& entry, std::string_view content);
void finish_tar(std::string& archive);

}  // namespace wherry::container
