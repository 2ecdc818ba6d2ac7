#pragma once
// fetch(): one GET over cpp-httplib, for looking at a server by hand. Follows redirects and keeps
// no connection. Components that talk to servers use Client (client.h), which reuses connections,
// can be stopped and streams.
//
// Threads: any; each call blocks its own.

#include <chrono>
#include <cstddef>
#include <string>

#include "base/result.h"
#include "http/message.h"

namespace wherry::http {

struct FetchOptions {
  bool insecure = false;             // Do not verify the server's certificate.
  std::chrono::seconds timeout{30};  // Of the connection, and between bytes.
  size_t body_bytes_max = 64 << 20;
};

struct Fetched {
  int status = 0;
  Headers headers;
  std::string body;
};

// `url` is http or https; any status is a success. kInvalid for another scheme, else kUnavailable
// or kTimeout with the reason.
Result<Fetched> fetch(const std::string& url, const FetchOptions& options = {});

}  // namespace wherry::http
