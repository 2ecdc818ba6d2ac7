#pragma once
// A gzip body (RFC 1952) put together from pieces that were compressed before: each piece is a run
// of deflate blocks that ends on a byte border, so pieces follow each other as they are and any
// client reads one ordinary gzip member.
//
//   head | piece | piece | ... | tail (last block, sum and size)
//
// Pure; any thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace wherry::http {

struct DeflatedPiece {
  std::string bytes;
  size_t plain_size = 0;
  uint32_t sum = 0;        // CRC-32 of the plain text.
  uint32_t sum_shift = 0;  // How that of a text changes when this one is put behind it.
};

// `before` is text that will stand directly in front of the piece wherever it is used: what
// resembles it costs next to nothing. Only the last 32 KiB of it matter.
DeflatedPiece deflate_piece(std::string_view text, std::string_view before = {});

class GzipFrame {
 public:
  static std::string_view head();
  // In the order of the pieces.
  void add(const DeflatedPiece& piece);
  std::string tail() const;

 private:
  uint32_t sum_ = 0;
  uint32_t size_ = 0;  // Modulo 2^32, as the format has it.
};

}  // namespace wherry::http
