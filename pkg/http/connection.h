#pragma once
// Connection: one accepted socket, plain or TLS, with the request that is being received on it.
//
// Ownership is exclusive and moves with the unique_ptr: parking epoll, worker, hub or stream
// thread. The hand-over goes through a lock each time, so the members (and the TLS state, which no
// two threads may touch at once) need none. All calls are non-blocking.

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/piece_writer.h"
#include "http/request_reader.h"
#include "http/tls.h"

namespace wherry::http {

enum class IoState { kDone, kWouldBlock, kEnd, kBroken };
struct Io {
  IoState state;
  size_t bytes = 0;  // With kDone.
};

class Connection {
 public:
  // Takes over the socket, which must be non-blocking. Counted in `count` while it lives.
  Connection(int fd, std::shared_ptr<const TlsContext> tls, const RequestLimits& limits,
             std::atomic<size_t>& count);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  bool secure() const { return ssl_ != nullptr; }
  bool handshaking() const { return handshaking_; }
  Io handshake();
  Io read(char* to, size_t size);
  Io write(std::string_view bytes);
  // Bytes that TLS holds and poll() cannot see.
  bool has_pending() const;
  // What the last call that would block waits for: EPOLLIN or EPOLLOUT.
  uint32_t wanted_events() const { return wanted_events_; }
  void want(uint32_t events) { wanted_events_ = events; }
  // TLS close_notify and FIN; reading goes on.
  void shutdown_write();

  RequestReader& reader() { return reader_; }
  // Fills in what the connection knows: addresses, TLS, the peer's certificate.
  void describe(Request& request) const;

  // What the client has not taken of its answer yet; null otherwise.
  std::unique_ptr<PieceWriter> output;
  // A request that waits for its turn; null otherwise.
  std::unique_ptr<Request> waiting;

  // Bookkeeping of the owner.
  uint64_t id = 0;
  bool in_epoll = false;
  size_t drained_bytes = 0;
  enum class Phase { kNew, kIdle, kHead, kBody, kWaiting, kWriting, kDraining };
  Phase phase = Phase::kNew;
  MonotonicTime deadline{};  // Of the phase.

 private:
  Io tls_result(int returned);

  const int fd_;
  std::atomic<size_t>& count_;
  const std::shared_ptr<const TlsContext> tls_;
  ssl_st* ssl_ = nullptr;
  bool handshaking_ = false;
  bool broken_ = false;
  uint32_t wanted_events_;
  std::string peer_address_;
  uint16_t peer_port_ = 0;
  std::shared_ptr<const PeerCertificate> certificate_;
  std::string certificate_problem_;
  std::shared_ptr<const PeerCertificate> proxy_certificate_;
  RequestReader reader_;
};

// Blocking write on behalf of a worker: false when the peer took nothing for `patience`, or left.
bool write_fully(Connection& connection, std::string_view bytes,
                 std::chrono::milliseconds patience);

}  // namespace wherry::http
