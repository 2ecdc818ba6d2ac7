#include "cluster/relay.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace wherry::cluster {
namespace {

constexpr size_t kReadBytes = 32 << 10;
constexpr int kLingerMilliseconds = 200;

}  // namespace

void Relay::write_to(uint8_t channel, int fd, std::function<void()> ended) {
  if (fd >= 0) sinks_.push_back({channel, fd, std::move(ended), {}});
}
void Relay::read_from(uint8_t channel, int fd) {
  if (fd >= 0) sources_.push_back({channel, fd});
}
void Relay::on_channel(uint8_t channel, std::function<void(std::string_view)> handler) {
  handlers_.push_back({channel, std::move(handler)});
}
void Relay::end_at(int fd, bool linger) {
  if (fd >= 0) endings_.push_back({fd, linger});
}

size_t Relay::pending() const {
  size_t bytes = 0;
  for (const Sink& sink : sinks_) bytes += sink.pending.size();
  return bytes;
}

bool Relay::sources_open() const {
  for (const Source& source : sources_) {
    if (source.open) return true;
  }
  return false;
}

bool Relay::sinks_open() const {
  for (const Sink& sink : sinks_) {
    if (sink.open) return true;
  }
  return false;
}

void Relay::take(std::string_view message) {
  if (message.empty()) return;
  auto channel = static_cast<uint8_t>(message[0]);
  message.remove_prefix(1);
  for (Sink& sink : sinks_) {
    if (sink.channel != channel || !sink.open) continue;
    if (message.empty()) sink.closing = true;
    sink.pending += message;
  }
  for (const Handler& handler : handlers_) {
    if (handler.channel == channel) handler.call(message);
  }
}

Result<void> Relay::receive() {
  while (!over_ && !gone_ && pending() < kPendingBytesMax) {
    std::optional<http::WebSocket::Message> message = TRY(socket_.receive());
    if (!message) return {};
    if (message->kind == http::WebSocket::Kind::kClose) {
      gone_ = true;
    } else if (message->kind == http::WebSocket::Kind::kBinary) {
      take(message->data);
    } else if (text_ && !text_(message->data)) {
      over_ = true;
    }
  }
  return {};
}

void Relay::push(Sink& sink) {
  while (sink.open && !sink.pending.empty()) {
    ssize_t went = write(sink.fd, sink.pending.data(), sink.pending.size());
    if (went < 0 && errno == EINTR) continue;
    if (went < 0 && errno == EAGAIN) return;
    if (went < 0) {  // Nobody reads it any more: what still comes is dropped.
      sink.pending.clear();
      sink.open = false;
      return;
    }
    sink.pending.erase(0, static_cast<size_t>(went));
  }
  if (sink.open && sink.closing) {
    sink.open = false;
    if (sink.ended) sink.ended();
  }
}

// True when something was read.
Result<bool> Relay::pull(Source& source) {
  bool some = false;
  std::string buffer(kReadBytes, '\0');
  while (source.open && socket_.stream().queued() < kPendingBytesMax) {
    ssize_t got = read(source.fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return some;
    // A terminal whose other side is gone says EIO where a pipe says end of file.
    if (got <= 0) source.open = false;
    std::string_view bytes(buffer.data(), got > 0 ? static_cast<size_t>(got) : 0);
    TRY(socket_.send_channel(source.channel, bytes));
    some = true;
  }
  return some;
}

bool Relay::wait(bool lingering) {
  std::vector<pollfd> fds;
  auto add = [&fds](int fd, int events) {
    fds.push_back({.fd = fd, .events = static_cast<short>(events), .revents = 0});
  };
  http::Stream& stream = socket_.stream();
  bool takes = pending() < kPendingBytesMax && !over_;
  bool sends = stream.queued() < kPendingBytesMax;
  // Even while nothing can be taken a peer that leaves must be noticed.
  add(stream.fd(), (leave_with_peer_ ? POLLRDHUP : 0) | (takes ? POLLIN : 0) |
                       (stream.queued() > 0 ? POLLOUT : 0));
  for (const Ending& ending : endings_) {
    if (!lingering) add(ending.fd, POLLIN);
  }
  size_t first_source = fds.size();
  for (const Source& source : sources_) {
    if (source.open && sends) add(source.fd, POLLIN);
  }
  for (const Sink& sink : sinks_) {
    if (sink.open && !sink.pending.empty()) add(sink.fd, POLLOUT);
  }
  int limit = takes && socket_.readable() ? 0 : lingering ? kLingerMilliseconds : -1;
  int ready = poll(fds.data(), fds.size(), limit);
  if ((fds[0].revents & (POLLRDHUP | POLLERR | POLLHUP)) != 0 && !takes) gone_ = true;
  for (size_t i = 1; i < first_source; ++i) {
    if (fds[i].revents == 0) continue;
    (endings_[i - 1].linger ? lingering_ : ended_) = true;
  }
  return ready != 0 || limit == 0;
}

Result<void> Relay::run() {
  while (true) {
    TRY(receive());
    if (gone_) return Error::unavailable("the other side has left");
    for (Sink& sink : sinks_) push(sink);
    for (Source& source : sources_) static_cast<void>(TRY(pull(source)));
    TRY(socket_.stream().flush());
    if (ended_ || (over_ && pending() == 0)) return {};
    if (lingering_ && !sources_open()) return {};
    if (end_when_closed_ && !sources_open() && !sinks_open() && socket_.stream().queued() == 0) {
      return {};
    }
    bool quiet = !wait(lingering_);
    if (quiet && socket_.stream().queued() == 0) return {};
  }
}

}  // namespace wherry::cluster
