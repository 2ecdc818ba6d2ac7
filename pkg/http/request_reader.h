#pragma once
// RequestReader: bytes in, complete requests out (RFC 9112). Keeps what it has of the next request,
// so that pipelined ones are not lost. Holds no memory between requests. Pure; one thread at a
// time.
//
// The head is read by our own parser, not by cpp-httplib's process_request: that one
// percent-decodes the values of header fields (a token or an impersonated name with a '%' would
// reach authentication changed), drops lines that do not end in CRLF instead of refusing them, and
// must find the whole request waiting on one thread.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace wherry::http {

struct RequestLimits {
  size_t head_bytes_max = 64 << 10;
  size_t body_bytes_max = 3 << 20;
};

// Body in chunked coding (RFC 9112 §7.1). Trailers are read and dropped.
class ChunkedDecoder {
 public:
  enum class State { kMore, kDone };
  // Takes from the front of `input` what it understands and appends content to `body`. kBadRequest
  // when malformed, kRequestEntityTooLarge when the body grows beyond the limit.
  Result<State> feed(std::string_view& input, std::string& body, size_t body_bytes_max);

 private:
  enum class Phase { kSize, kData, kDataEnd, kTrailer };
  Phase phase_ = Phase::kSize;
  size_t left_ = 0;
  std::string line_;
  size_t trailer_bytes_ = 0;
};

class RequestReader {
 public:
  enum class State {
    kIdle,   // Not a byte of a next request yet.
    kHead,   // Some of its head.
    kBody,   // The head, and some of its body.
    kReady,  // take() it.
  };

  explicit RequestReader(const RequestLimits& limits) : limits_(limits) {}

  State state() const { return state_; }
  // More bytes from the peer. An error is final: the answer, then the connection closes.
  Result<void> feed(std::string_view bytes);
  // Once, when the client waits for "100 Continue" before it sends its body.
  bool take_continue();
  // The finished request; the reader then goes on with the bytes behind it, which may fail too.
  std::unique_ptr<Request> take();
  Result<void> resume() { return advance(); }
  bool has_input() const { return !input_.empty(); }
  bool head_too_large() const { return head_too_large_; }
  // After an upgrade request: bytes that already belong to the new protocol.
  std::string take_rest();

 private:
  Result<void> advance();
  Result<void> head_done(std::string_view head);
  Result<void> framing();

  const RequestLimits limits_;
  State state_ = State::kIdle;
  std::string input_;  // What has not been understood yet.
  size_t searched_ = 0;
  std::unique_ptr<Request> request_;
  std::unique_ptr<ChunkedDecoder> chunked_;
  size_t body_left_ = 0;
  bool wants_continue_ = false;
  bool head_too_large_ = false;
};

// Request line and fields, without the empty line. kBadRequest when malformed. For RequestReader,
// tests and the fuzzer.
Result<void> parse_request_head(std::string_view head, Request& request);

}  // namespace wherry::http
