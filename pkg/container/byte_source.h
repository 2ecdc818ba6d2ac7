#pragma once
// Streams of bytes read once: files, what inflates them, what hashes them. One thread each.

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/fd.h"
#include "pki/pki.h"

namespace wherry::container {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Between 1 and `size` bytes; 0 only at the end.
  virtual Result<size_t> read(char* to, size_t size) = 0;
};

// Reads `fd`, which stays the caller's.
std::unique_ptr<ByteSource> make_fd_source(int fd);
// Keeps `text`.
std::unique_ptr<ByteSource> make_text_source(std::string text);
// Looks at the first bytes: gzip and zstd are inflated, anything else passes as it is. kInvalid for
// compressions known but not built (bzip2, xz). `inner` must outlive it.
Result<std::unique_ptr<ByteSource>> inflate(ByteSource& inner);

// Passes bytes on and hashes them.
class HashingSource final : public ByteSource {
 public:
  explicit HashingSource(ByteSource& inner) : inner_(inner) {}
  Result<size_t> read(char* to, size_t size) override;
  uint64_t bytes() const { return bytes_; }
  // Reads to the end, then "sha256:...".
  Result<std::string> finish();

 private:
  ByteSource& inner_;
  pki::Sha256 hash_;
  uint64_t bytes_ = 0;
};

// Exactly `size` bytes; false at the end of the source, kInvalid when it ends in between.
Result<bool> read_exactly(ByteSource& source, char* to, size_t size);

}  // namespace wherry::container
