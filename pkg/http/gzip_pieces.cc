#include "http/gzip_pieces.h"

#include <zlib.h>

#include "base/check.h"

namespace wherry::http {
namespace {

constexpr int kLevel = Z_BEST_SPEED;
constexpr int kRawWindow = -15;  // zlib's way to say: no head and no sum.
constexpr size_t kWindowBytes = 32 << 10;
// An empty last block, in the fixed code.
constexpr std::string_view kLastBlock("\x03\x00", 2);

const Bytef* bytes_of(std::string_view text) { return reinterpret_cast<const Bytef*>(text.data()); }

// A stream's state is a quarter of a megabyte; each thread makes one and uses it again.
class Deflater {
 public:
  Deflater() {
    CHECK(deflateInit2(&stream_, kLevel, Z_DEFLATED, kRawWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  std::string run(std::string_view text, std::string_view before) {
    CHECK(deflateReset(&stream_) == Z_OK);
    if (before.size() > kWindowBytes) before.remove_prefix(before.size() - kWindowBytes);
    if (!before.empty()) {
      CHECK(deflateSetDictionary(&stream_, bytes_of(before), static_cast<uInt>(before.size())) ==
            Z_OK);
    }
    room_.resize(deflateBound(&stream_, text.size()) + 16);
    stream_.next_in = const_cast<Bytef*>(bytes_of(text));
    stream_.avail_in = static_cast<uInt>(text.size());
    stream_.next_out = reinterpret_cast<Bytef*>(room_.data());
    stream_.avail_out = static_cast<uInt>(room_.size());
    CHECK(deflate(&stream_, Z_SYNC_FLUSH) == Z_OK);
    CHECK(stream_.avail_in == 0 && stream_.avail_out > 0);
    return room_.substr(0, stream_.total_out);
  }

 private:
  z_stream stream_{};
  std::string room_;
};

void put_little_endian(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift);
}

}  // namespace

DeflatedPiece deflate_piece(std::string_view text, std::string_view before) {
  thread_local Deflater deflater;
  DeflatedPiece piece;
  piece.bytes = deflater.run(text, before);
  piece.plain_size = text.size();
  piece.sum = static_cast<uint32_t>(crc32_z(0, bytes_of(text), text.size()));
  piece.sum_shift = static_cast<uint32_t>(crc32_combine_gen(static_cast<z_off_t>(text.size())));
  return piece;
}

std::string_view GzipFrame::head() {
  // Deflate, no flags, no time, fastest, from Unix.
  static constexpr std::string_view kHead("\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\x03", 10);
  return kHead;
}

void GzipFrame::add(const DeflatedPiece& piece) {
  sum_ = static_cast<uint32_t>(crc32_combine_op(sum_, piece.sum, piece.sum_shift));
  size_ += static_cast<uint32_t>(piece.plain_size);
}

std::string GzipFrame::tail() const {
  std::string out(kLastBlock);
  put_little_endian(out, sum_);
  put_little_endian(out, size_);
  return out;
}

}  // namespace wherry::http
