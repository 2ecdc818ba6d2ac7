#pragma once
// SimpleServer: a small plain HTTP server over cpp-httplib, for the demo page. Every request goes
// to one handler, with its body read; the handler answers with a body of known length. A keep-alive
// connection holds a thread while it lasts, which a page for people can afford and the API cannot:
// that one has Server (server.h), which owns its connections itself.
//
// Threads: "http-simple" listens; `threads` workers of the library answer. start() and stop() are
// for the owner; the handler runs on many workers at once.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/server.h"

namespace wherry::http {

class SimpleServer {
 public:
  struct Options {
    std::string address = "127.0.0.1";
    uint16_t port = 0;  // 0: any free one.
    unsigned threads = 16;
    size_t body_bytes_max = 64 << 10;  // 413 beyond.
    Handler handler;  // Of the Response only status, headers and a body count; not its streams.
  };

  explicit SimpleServer(Options options);
  ~SimpleServer();  // stop().
  SimpleServer(const SimpleServer&) = delete;
  SimpleServer& operator=(const SimpleServer&) = delete;

  // Binds and begins to serve. kUnavailable, with the address, when it cannot bind.
  Result<void> start();
  // Stops accepting, lets running requests finish, joins.
  void stop();
  uint16_t port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace wherry::http
