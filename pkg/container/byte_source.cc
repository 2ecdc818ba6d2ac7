#include "container/byte_source.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace wherry::container {
namespace {

constexpr size_t kChunkBytes = 64 << 10;

class FdSource final : public ByteSource {
 public:
  explicit FdSource(int fd) : fd_(fd) {}
  Result<size_t> read(char* to, size_t size) override {
    while (true) {
      ssize_t count = ::read(fd_, to, size);
      if (count >= 0) return static_cast<size_t>(count);
      if (errno != EINTR) return Error::from_errno(errno, "read");
    }
  }

 private:
  const int fd_;
};

class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}
  Result<size_t> read(char* to, size_t size) override {
    size_t count = std::min(size, text_.size() - at_);
    std::memcpy(to, text_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  const std::string text_;
  size_t at_ = 0;
};

// What all inflaters share: a buffer of compressed bytes.
class Compressed {
 public:
  Compressed(ByteSource& inner, std::string head) : inner_(inner), buffer_(kChunkBytes) {
    std::memcpy(buffer_.data(), head.data(), head.size());
    end_ = head.size();
  }
  // Makes sure that there is something; false at the end of the file.
  Result<bool> fill() {
    if (at_ < end_) return true;
    at_ = 0;
    end_ = TRY(inner_.read(buffer_.data(), buffer_.size()));
    return end_ > 0;
  }
  char* data() { return buffer_.data() + at_; }
  size_t size() const { return end_ - at_; }
  void consume(size_t count) { at_ += count; }

 private:
  ByteSource& inner_;
  std::vector<char> buffer_;
  size_t at_ = 0;
  size_t end_ = 0;
};

class PlainSource final : public ByteSource {
 public:
  PlainSource(ByteSource& inner, std::string head) : inner_(inner), head_(std::move(head)) {}
  Result<size_t> read(char* to, size_t size) override {
    if (head_.empty()) return inner_.read(to, size);
    size_t count = std::min(size, head_.size());
    std::memcpy(to, head_.data(), count);
    head_.erase(0, count);
    return count;
  }

 private:
  ByteSource& inner_;
  std::string head_;
};

class GzipSource final : public ByteSource {
 public:
  GzipSource(ByteSource& inner, std::string head) : in_(inner, std::move(head)) {
    constexpr int kGzip = 16;
    CHECK(inflateInit2(&stream_, MAX_WBITS + kGzip) == Z_OK);
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  Result<size_t> read(char* to, size_t size) override {
    while (true) {
      bool more = TRY(in_.fill());
      if (!more && between_) return size_t{0};
      if (!more) return Error::invalid("the gzip stream is truncated: unexpected EOF");
      if (between_)
        inflateReset(&stream_);  // Another member follows, as pigz and estargz write them.
      between_ = false;
      stream_.next_in = reinterpret_cast<Bytef*>(in_.data());
      stream_.avail_in = static_cast<uInt>(in_.size());
      stream_.next_out = reinterpret_cast<Bytef*>(to);
      stream_.avail_out = static_cast<uInt>(size);
      int code = ::inflate(&stream_, Z_NO_FLUSH);
      in_.consume(in_.size() - stream_.avail_in);
      if (code == Z_STREAM_END) {
        between_ = true;
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        return Error::invalid("the gzip stream is damaged: {}",
                              stream_.msg != nullptr ? stream_.msg : "invalid data");
      }
      size_t made = size - stream_.avail_out;
      if (made > 0) return made;
    }
  }

 private:
  Compressed in_;
  z_stream stream_{};
  bool between_ = false;  // At the end of a member.
};

class ZstdSource final : public ByteSource {
 public:
  ZstdSource(ByteSource& inner, std::string head)
      : in_(inner, std::move(head)), stream_(ZSTD_createDStream(), &ZSTD_freeDStream) {
    CHECK(stream_ != nullptr);
  }
  Result<size_t> read(char* to, size_t size) override {
    while (true) {
      // Output may still wait inside without further input.
      bool more = pending_ ? true : TRY(in_.fill());
      if (!more && between_) return size_t{0};
      if (!more) return Error::invalid("the zstd stream is truncated: unexpected EOF");
      ZSTD_inBuffer input{in_.data(), in_.size(), 0};
      ZSTD_outBuffer output{to, size, 0};
      size_t code = ZSTD_decompressStream(stream_.get(), &output, &input);
      if (ZSTD_isError(code) != 0) {
        return Error::invalid("the zstd stream is damaged: {}", ZSTD_getErrorName(code));
      }
      in_.consume(input.pos);
      between_ = code == 0;
      pending_ = output.pos == output.size;
      if (output.pos > 0) return output.pos;
    }
  }

 private:
  Compressed in_;
  std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream_;
  bool between_ = true;
  bool pending_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> make_fd_source(int fd) { return std::make_unique<FdSource>(fd); }

std::unique_ptr<ByteSource> make_text_source(std::string text) {
  return std::make_unique<TextSource>(std::move(text));
}

Result<std::unique_ptr<ByteSource>> inflate(ByteSource& inner) {
  std::string head(6, '\0');
  size_t have = 0;
  while (have < head.size()) {
    size_t count = TRY(inner.read(head.data() + have, head.size() - have));
    if (count == 0) break;
    have += count;
  }
  head.resize(have);
  std::unique_ptr<ByteSource> out;
  // zstd's skippable frames (0x184D2A50 to 5F) may stand first.
  bool skippable = have >= 4 && head.substr(1, 3) == std::string("\x2a\x4d\x18", 3) &&
                   (static_cast<unsigned char>(head[0]) & 0xf0) == 0x50;
  if (head.starts_with("\x1f\x8b")) {
    out = std::make_unique<GzipSource>(inner, head);
  } else if (head.starts_with("\x28\xb5\x2f\xfd") || skippable) {
    out = std::make_unique<ZstdSource>(inner, head);
  } else if (head.starts_with("BZh")) {
    return Error::invalid("bzip2 layers are not supported");
  } else if (head.starts_with(std::string("\xfd"
                                          "7zXZ"))) {
    return Error::invalid("xz layers are not supported");
  } else {
    out = std::make_unique<PlainSource>(inner, head);
  }
  return out;
}

Result<size_t> HashingSource::read(char* to, size_t size) {
  size_t count = TRY(inner_.read(to, size));
  hash_.update(std::string_view(to, count));
  bytes_ += count;
  return count;
}

Result<std::string> HashingSource::finish() {
  std::vector<char> rest(kChunkBytes);
  while (TRY(read(rest.data(), rest.size())) > 0) {
  }
  return "sha256:" + hash_.finish_hex();
}

Result<bool> read_exactly(ByteSource& source, char* to, size_t size) {
  size_t have = 0;
  while (have < size) {
    size_t count = TRY(source.read(to + have, size - have));
    if (count == 0 && have == 0) return false;
    if (count == 0) return Error::invalid("the archive is truncated: unexpected EOF");
    have += count;
  }
  return true;
}

}  // namespace wherry::container
