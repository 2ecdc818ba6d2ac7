#pragma once
// ProxyBackend: one HTTP/1.1 exchange on a connection that was dialled for it, with the body handed
// over piece by piece, so that an answer without an end passes through as it comes. The connection
// is closed afterwards. One thread at a time.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/stream.h"

namespace wherry::apiserver {

class ProxyBackend {
 public:
  struct Head {
    int status = 0;
    http::Headers headers;
  };

  explicit ProxyBackend(std::unique_ptr<http::Stream> stream) : stream_(std::move(stream)) {}
  ProxyBackend(const ProxyBackend&) = delete;

  // Sends the request; `target` is path and query as they go on the wire.
  Result<void> send(std::string_view method, std::string_view target, const http::Headers& headers,
                    std::string_view body);
  // The answer's head, interim (1xx) ones but 101 left out. kTimeout when nothing came for `limit`.
  Result<Head> read_head(std::chrono::milliseconds limit);
  // The next piece of the body, decoded; empty at its end.
  Result<std::string> read_piece(std::chrono::milliseconds limit);
  // Waits until read_piece() has something to say. False at the limit.
  bool wait(std::chrono::milliseconds limit);
  // The whole body. kTooLarge beyond `bytes_max`.
  Result<std::string> read_all(size_t bytes_max, std::chrono::milliseconds limit);

  // After a 101: the raw connection, and what came on it behind the head.
  http::Stream& stream() { return *stream_; }
  std::string take_rest() { return std::move(buffer_); }

 private:
  enum class Framing { kNone, kLength, kChunked, kUntilClose };

  Result<bool> fill(std::chrono::milliseconds limit);  // False at the end of the connection.
  Result<std::string> read_line(std::chrono::milliseconds limit);
  Result<void> choose_framing(const Head& head);
  Result<void> next_chunk(std::chrono::milliseconds limit);
  Result<std::string> take(std::chrono::milliseconds limit);

  const std::unique_ptr<http::Stream> stream_;
  bool head_only_ = false;
  Framing framing_ = Framing::kNone;
  uint64_t left_ = 0;      // Of the body, or of the chunk.
  bool in_chunk_ = false;  // The line end after the chunk is still to come.
  bool ended_ = false;
  std::string buffer_;
};

}  // namespace wherry::apiserver
