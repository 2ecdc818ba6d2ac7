#include "http/stream_pool.h"

#include <sys/socket.h>

#include "base/thread.h"
#include "http/output_queue.h"
#include "http/stream.h"

namespace wherry::http {
namespace {

// The server's side of an upgraded connection.
class ConnectionStream final : public Stream {
 public:
  explicit ConnectionStream(Connection& connection)
      : connection_(connection), early_(connection.reader().take_rest()) {}

  int fd() const override { return connection_.fd(); }
  bool readable() const override { return early_at_ < early_.size() || connection_.has_pending(); }

  Result<Read> read(char* to, size_t size) override {
    if (early_at_ < early_.size()) {
      size_t count = early_.copy(to, size, early_at_);
      early_at_ += count;
      if (early_at_ == early_.size()) early_ = {}, early_at_ = 0;
      return Read{count, false};
    }
    Io io = connection_.read(to, size);
    switch (io.state) {
      case IoState::kDone: return Read{io.bytes, false};
      case IoState::kWouldBlock: return Read{};
      case IoState::kEnd: return Read{0, true};
      case IoState::kBroken: break;
    }
    return Error::unavailable("the connection broke while reading");
  }

  Result<void> send(std::string_view bytes) override {
    out_.push(bytes);
    return flush();
  }

  Result<void> flush() override {
    while (!out_.empty()) {
      Io io = connection_.write(out_.front());
      if (io.state == IoState::kWouldBlock) return {};
      if (io.state != IoState::kDone)
        return Error::unavailable("the connection broke while writing");
      out_.pop(io.bytes);
    }
    return {};
  }

  size_t queued() const override { return out_.size(); }
  void shutdown_write() override { connection_.shutdown_write(); }

 private:
  Connection& connection_;
  std::string early_;
  size_t early_at_ = 0;
  OutputQueue out_;
};

}  // namespace

Result<void> StreamGate::reserve() {
  MutexLock lock(mutex_);
  if (taken_ == limit_) {
    Error error(Code::kTooManyRequests, "too many streams are open, please try again later");
    error.details().retry_after_seconds = 1;
    return error;
  }
  ++taken_;
  return {};
}

void StreamGate::release() {
  MutexLock lock(mutex_);
  --taken_;
}

size_t StreamGate::taken() {
  MutexLock lock(mutex_);
  return taken_;
}

void StreamPool::run(std::unique_ptr<Connection> connection, std::function<void(Stream&)> body) {
  reap();
  MutexLock lock(mutex_);
  if (stopping_) {
    gate_.release();
    return;
  }
  Running& slot = running_.emplace_back();
  slot.fd = connection->fd();
  std::shared_ptr<Connection> shared = std::move(connection);
  slot.thread =
      start_thread("http-stream", [this, &slot, shared = std::move(shared),
                                   body = std::move(body)](const std::stop_token&) mutable {
        {
          ConnectionStream stream(*shared);
          body(stream);
          if (stream.queued() > 0) (void)stream.write_all({}, std::chrono::seconds(5));
        }
        body = nullptr;
        MutexLock done_lock(mutex_);
        shared.reset();  // Under the lock: stop() must not shut down a number that is someone
                         // else's by now.
        slot.done = true;
        gate_.release();
      });
}

void StreamPool::reap() {
  std::list<Running> finished;  // Joined outside the lock, which a body's end takes.
  MutexLock lock(mutex_);
  for (auto at = running_.begin(); at != running_.end();) {
    auto next = std::next(at);
    if (at->done) finished.splice(finished.end(), running_, at);
    at = next;
  }
}

void StreamPool::stop() {
  std::list<Running> all;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (Running& running : running_) {
      if (!running.done) shutdown(running.fd, SHUT_RDWR);
    }
    all.swap(running_);
  }
}

}  // namespace wherry::http
