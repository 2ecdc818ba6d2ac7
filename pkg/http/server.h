#pragma once
// Server: HTTP/1.1 over TLS or plain TCP. One handler takes every request; routing is the caller's.
//
// A connection is always owned by exactly one of: the parking epoll (idle, or still receiving), a
// worker (a request is being answered), a hub thread (watches), a stream thread (upgrades).
// Workers wait in the epoll themselves, and nothing runs on a worker before the whole request is
// there, so that slow or silent clients cost no thread; see connection.h. Nothing wakes up while
// nothing happens.
//
// Threads: "http-worker" up to Options::workers_max, started as they are needed; "http-hub"
// up to Options::hubs_max;
// "http-stream" up to Options::streams_max. start() and stop() are for the owner; the handler runs
// on many workers at once.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/hub.h"
#include "http/message.h"
#include "http/stream.h"

namespace wherry::http {

struct TlsCredentials {
  std::string certificate_chain_pem;  // Leaf first.
  std::string key_pem;
  // Authorities for client certificates; empty: none is asked for. A client without one is let in
  // (and has Request::certificate null); one that does not verify is refused in the handshake.
  std::string client_ca_pem;
  // Authorities for peers that speak for others (Request::proxy_certificate); empty: there are
  // none. They stand beside the clients', of which there must be some.
  std::string proxy_ca_pem;
};

using Handler = std::function<void(Request&, Response&)>;

class Server {
 public:
  struct Options {
    // "0.0.0.0:6443", "[::]:6443", "127.0.0.1:0"; all must bind.
    std::vector<std::string> addresses;
    std::shared_ptr<const TlsCredentials> tls;  // Null: plain HTTP.
    Handler handler;
    // Fills the answer to what never reaches the handler, a malformed or oversized request; its
    // status (400, 413, 431) is set already. Without one the answer is a line of plain text.
    std::function<void(const Error&, Response&)> render_error;

    unsigned workers_max = 64;
    unsigned streams_max = 128;
    unsigned hubs_max = 4;                  // No more than there are cores.
    unsigned connections_max = 20'000;      // Beyond: the oldest idle ones make room, else refused.
    size_t body_bytes_max = 3 << 20;        // 413 beyond.
    size_t head_bytes_max = 64 << 10;       // 431 beyond.
    std::chrono::seconds head_timeout{15};  // TLS handshake, and request head from its first byte.
    std::chrono::seconds body_timeout{60};  // The rest of the request.
    std::chrono::seconds write_timeout{30};  // Without any progress.
    std::chrono::seconds idle_timeout{130};  // Between requests. Go clients drop theirs after 90 s.
  };

  explicit Server(Options options);
  ~Server();  // stop().
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and begins to serve. Errors name the address.
  Result<void> start();
  // Stops accepting, lets running requests finish (up to the limit), ends watches and streams,
  // joins.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds(5));

  // The port the first address is bound to.
  uint16_t port() const;
  // For connections from now on; those that exist keep theirs. Any thread.
  Result<void> set_credentials(std::shared_ptr<const TlsCredentials> tls);

  struct Counters {
    size_t connections = 0;  // All.
    size_t parked = 0;
    size_t watches = 0;
    size_t streams = 0;
    size_t workers = 0;     // Threads.
    uint64_t requests = 0;  // Since the start.
  };
  Counters counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace wherry::http
