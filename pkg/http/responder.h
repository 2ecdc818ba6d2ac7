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

// Runs a producer and sends what it writes, gathered into larger chunks. False when the peer left.
bool produce(Connection& connection, const Response::Producer& producer, bool chunked,
             std::chrono::milliseconds patience);

}  // namespace wherry::http
