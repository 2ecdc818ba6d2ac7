#pragma once
// Writing responses: head, body pieces, chunks. Used by the workers.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/connection.h"
#include "http/message.h"

namespace wherry::http {

enum class BodyFraming {
  kNone,    // 1xx, 204, 304.
  kLength,  // Content-Length.
  kChunked,
  kUntilClose,  // For HTTP/1.0 clients.
};

// Status line, headers and the empty line. Control characters in header values become spaces.
std::string make_head(const Response& response, BodyFraming framing, size_t length,
                      bool keep_alive);

// Sends pieces as far as they go without waiting.
class PieceWriter {
 public:
  explicit PieceWriter(std::vector<SharedBytes> pieces) : pieces_(std::move(pieces)) {}
  enum class State { kDone, kBlocked, kBroken };
  State write(Connection& connection);
  // What is left after kBlocked: pieces, and the offset in the first of them.
  std::vector<SharedBytes> rest();
  size_t offset() const { return offset_; }

 private:
  void advance(size_t bytes);

  std::vector<SharedBytes> pieces_;
  size_t at_ = 0;
  size_t offset_ = 0;
};

// Runs a producer and sends what it writes, gathered into larger chunks. False when the peer left.
bool produce(Connection& connection, const Response::Producer& producer, bool chunked,
             std::chrono::milliseconds patience);

}  // namespace wherry::http
