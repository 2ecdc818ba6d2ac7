#pragma once
// Stream: a full-duplex byte connection (a socket, TLS, or SPDY bytes inside WebSocket messages)
// that is served by one thread with poll(2) beside other descriptors.
//
// A loop over a Stream: poll fd() for POLLIN, and for POLLOUT while queued() is not 0; poll not at
// all (timeout 0) while readable() says that bytes are at hand; then call flush() and read().
// Neither blocks. The helpers wait_readable, read_wait and write_all block with a limit, for simple
// callers.
//
// Threads: one at a time.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::http {

class Stream {
 public:
  struct Read {
    size_t bytes = 0;  // 0 and not end: nothing there now.
    bool end = false;  // The peer will send nothing more.
  };

  virtual ~Stream() = default;
  virtual int fd() const = 0;
  // Bytes are at hand that poll() on fd() does not tell about (inside TLS or a buffer).
  virtual bool readable() const = 0;
  // Non-blocking. kUnavailable when the connection broke.
  virtual Result<Read> read(char* to, size_t size) = 0;
  // Queues the bytes and sends what goes without blocking; the rest waits for flush().
  virtual Result<void> send(std::string_view bytes) = 0;
  // Sends what is queued, without blocking.
  virtual Result<void> flush() = 0;
  virtual size_t queued() const = 0;
  // No more bytes from our side; ours have been flushed as far as they went.
  virtual void shutdown_write() = 0;

  // Waits until read() will say something. False at the limit.
  bool wait_readable(std::chrono::milliseconds limit);
  // Waits for bytes or the end. kTimeout at the limit.
  Result<Read> read_wait(char* to, size_t size, std::chrono::milliseconds limit);
  // Sends all of it. kTimeout when the peer took nothing for that long.
  Result<void> write_all(std::string_view bytes,
                         std::chrono::milliseconds limit = std::chrono::seconds(30));
};

// A Stream over a connected, non-blocking socket, which it owns. For tests and plain connections.
std::unique_ptr<Stream> make_socket_stream(int fd);

// The body of a long chunked response (Response::stream).
class BodyWriter {
 public:
  explicit BodyWriter(Stream& stream) : stream_(stream) {}
  // One chunk; waits while the client is slow. False once the client has gone (or took nothing for
  // 30 s).
  bool write(std::string_view bytes);
  // Whether the client has gone; for producers that wait for something else. Never blocks.
  bool peer_gone();
  int fd() const { return stream_.fd(); }  // Readable when peer_gone() is worth asking.

 private:
  Stream& stream_;
  bool gone_ = false;
};

}  // namespace wherry::http
