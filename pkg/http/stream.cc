#include "http/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "http/output_queue.h"

namespace wherry::http {
namespace {

// Polls once; false at the limit. An interrupted wait counts as ready: the caller looks again.
bool wait_for(int fd, short events, std::chrono::milliseconds limit) {
  pollfd waiting{fd, events, 0};
  return poll(&waiting, 1, static_cast<int>(limit.count())) != 0;
}

std::chrono::milliseconds left_until(MonotonicTime end) {
  return std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
}

class SocketStream final : public Stream {
 public:
  explicit SocketStream(int fd) : fd_(fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }
  ~SocketStream() override { close(fd_); }

  int fd() const override { return fd_; }
  bool readable() const override { return false; }

  Result<Read> read(char* to, size_t size) override {
    for (;;) {
      ssize_t got = recv(fd_, to, size, 0);
      if (got > 0) return Read{static_cast<size_t>(got), false};
      if (got == 0) return Read{0, true};
      if (errno == EAGAIN) return Read{};
      if (errno != EINTR) return Error::unavailable("the connection broke while reading");
    }
  }

  Result<void> send(std::string_view bytes) override {
    out_.push(bytes);
    return flush();
  }

  Result<void> flush() override {
    while (!out_.empty()) {
      ssize_t sent = ::send(fd_, out_.front().data(), out_.front().size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        out_.pop(static_cast<size_t>(sent));
      } else if (errno == EAGAIN) {
        return {};
      } else if (errno != EINTR) {
        return Error::unavailable("the connection broke while writing");
      }
    }
    return {};
  }

  size_t queued() const override { return out_.size(); }
  void shutdown_write() override { shutdown(fd_, SHUT_WR); }

 private:
  const int fd_;
  OutputQueue out_;
};

}  // namespace

std::unique_ptr<Stream> make_socket_stream(int fd) { return std::make_unique<SocketStream>(fd); }

bool Stream::wait_readable(std::chrono::milliseconds limit) {
  return readable() || wait_for(fd(), POLLIN, limit);
}

Result<Stream::Read> Stream::read_wait(char* to, size_t size, std::chrono::milliseconds limit) {
  MonotonicTime end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    TRY(flush());
    Read got = TRY(read(to, size));
    if (got.bytes > 0 || got.end) return got;
    std::chrono::milliseconds left = left_until(end);
    if (left.count() <= 0) return Error::timeout("the peer sent nothing for {} ms", limit.count());
    short events = queued() > 0 ? POLLIN | POLLOUT : POLLIN;
    if (!readable()) wait_for(fd(), events, left);
  }
}

Result<void> Stream::write_all(std::string_view bytes, std::chrono::milliseconds limit) {
  TRY(send(bytes));
  MonotonicTime end = std::chrono::steady_clock::now() + limit;
  while (queued() > 0) {
    size_t before = queued();
    std::chrono::milliseconds left = left_until(end);
    if (left.count() <= 0 || !wait_for(fd(), POLLOUT, left)) {
      return Error::timeout("the peer took nothing for {} ms", limit.count());
    }
    TRY(flush());
    if (queued() < before) end = std::chrono::steady_clock::now() + limit;
  }
  return {};
}

bool BodyWriter::write(std::string_view bytes) {
  if (gone_) return false;
  if (bytes.empty()) return true;
  std::string chunk = fmt::format("{:x}\r\n", bytes.size());
  chunk.append(bytes).append("\r\n");
  gone_ = !stream_.write_all(chunk).ok();
  return !gone_;
}

bool BodyWriter::peer_gone() {
  // A client has nothing more to say here: whatever it sends is thrown away, and its end is the
  // sign.
  char scratch[1024];
  while (!gone_) {
    Result<Stream::Read> got = stream_.read(scratch, sizeof(scratch));
    if (!got.ok() || got->end)
      gone_ = true;
    else if (got->bytes == 0)
      return false;
  }
  return true;
}

}  // namespace wherry::http
