#include "apiserver/port_forward.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <map>

#include "apiserver/remote_command.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "http/spdy.h"
#include "http/websocket.h"

namespace wherry::apiserver {
namespace {

constexpr size_t kReadBytes = 32 << 10;
constexpr size_t kConnectionsMax = 512;
constexpr size_t kPendingBytesMax = 256 << 10;

void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

std::string failure(uint16_t port, const std::string& pod, const Error& error) {
  return fmt::format("error forwarding port {} to pod {}: {}", port, pod, error.message());
}

// One connection into the pod.
struct Pipe {
  os::Fd socket;
  std::string to_pod;
  bool client_ended = false;  // The client will send no more.
  bool pod_ended = false;     // Nor will the pod.
  bool shut = false;

  // Sends what waits; how many bytes went.
  size_t push() {
    size_t went = 0;
    if (!to_pod.empty() && socket) {
      size_t count = write_some(socket.get(), to_pod);
      if (count == SIZE_MAX) {
        went = to_pod.size();
        pod_ended = true;
      } else {
        went = count;
      }
      to_pod.erase(0, went);
    }
    if (client_ended && to_pod.empty() && !shut && socket) {
      shutdown(socket.get(), SHUT_WR);
      shut = true;
    }
    return went;
  }
};

using StreamId = http::SpdySession::StreamId;
using EventKind = http::SpdySession::EventKind;

class SpdyForward {
 public:
  SpdyForward(http::Stream& stream, const Dial& dial, const std::string& pod)
      : stream_(stream), session_(stream), dial_(dial), pod_(pod) {}

  Result<void> run() {
    while (true) {
      while (std::optional<http::SpdySession::Event> event = TRY(session_.next())) {
        if (event->kind == EventKind::kClosed) return {};
        TRY(take(*event));
      }
      for (auto at = requests_.begin(); at != requests_.end();) {
        bool over = TRY(serve(at->second));
        at = over ? erase(at) : std::next(at);
      }
      TRY(stream_.flush());
      TRY(wait());
    }
  }

 private:
  struct Request {
    uint16_t port = 0;
    StreamId data = 0;
    StreamId error = 0;
    bool data_finished = false;
    Pipe pipe;
  };
  using Requests = std::map<std::string, Request>;

  Result<void> take(http::SpdySession::Event& event) {
    if (event.kind == EventKind::kOpened) return opened(event);
    auto found = by_data_.find(event.stream);
    if (found == by_data_.end()) {
      return event.kind == EventKind::kData ? session_.consumed(event.stream, event.data.size())
                                            : Result<void>();
    }
    Request& request = requests_.at(found->second);
    if (event.kind == EventKind::kData) {
      request.pipe.to_pod += event.data;
    } else {
      request.pipe.client_ended = true;
      if (event.kind == EventKind::kReset) request.pipe.pod_ended = true;
    }
    return {};
  }

  Result<void> opened(const http::SpdySession::Event& event) {
    std::string_view type = event.headers.get("streamtype");
    std::optional<uint64_t> port = parse_uint(event.headers.get("port"));
    if (!port || *port == 0 || *port > 65535 || (type != "data" && type != "error") ||
        requests_.size() >= kConnectionsMax) {
      return session_.reset(event.stream);
    }
    // Old clients number no requests: an error stream is followed by its data stream.
    std::string id(event.headers.get("requestid"));
    if (id.empty())
      id = fmt::format("stream-{}", type == "error" ? event.stream : event.stream - 2);
    Request& request = requests_[id];
    request.port = static_cast<uint16_t>(*port);
    (type == "data" ? request.data : request.error) = event.stream;
    if (type == "data") by_data_[event.stream] = id;
    TRY(session_.reply(event.stream));
    if (request.data == 0 || request.error == 0) return {};
    Result<os::Fd> socket = dial_(request.port);
    if (!socket.ok()) {
      TRY(session_.send(request.error, failure(request.port, pod_, socket.error())));
      request.pipe.pod_ended = true;
      request.pipe.client_ended = true;
      return {};
    }
    request.pipe.socket = std::move(socket).value();
    set_nonblocking(request.pipe.socket.get());
    return {};
  }

  // True when the connection is over on both sides.
  Result<bool> serve(Request& request) {
    if (request.data == 0 || request.error == 0) return false;
    Pipe& pipe = request.pipe;
    size_t went = pipe.push();
    if (went > 0) TRY(session_.consumed(request.data, went));
    while (pipe.socket && !pipe.pod_ended && session_.can_send(request.data) > 0) {
      ReadSome piece = read_some(pipe.socket.get(), kReadBytes);
      pipe.pod_ended = piece.end;
      if (piece.data.empty()) break;
      TRY(session_.send(request.data, piece.data));
    }
    if (!pipe.pod_ended) return false;
    if (!request.data_finished) {
      TRY(session_.finish(request.data));
      TRY(session_.finish(request.error));
      request.data_finished = true;
    }
    return pipe.client_ended;
  }

  Requests::iterator erase(Requests::iterator at) {
    by_data_.erase(at->second.data);
    return requests_.erase(at);
  }

  Result<void> wait() {
    std::vector<pollfd> fds;
    auto add = [&fds](int fd, int events) {
      fds.push_back({.fd = fd, .events = static_cast<short>(events), .revents = 0});
    };
    add(stream_.fd(), POLLIN | (stream_.queued() > 0 ? POLLOUT : 0));
    for (const auto& [id, request] : requests_) {
      if (!request.pipe.socket || request.pipe.pod_ended) continue;
      int events = session_.can_send(request.data) > 0 ? POLLIN : 0;
      if (!request.pipe.to_pod.empty()) events |= POLLOUT;
      if (events != 0) add(request.pipe.socket.get(), events);
    }
    poll(fds.data(), fds.size(), session_.readable() ? 0 : -1);
    return {};
  }

  http::Stream& stream_;
  http::SpdySession session_;
  const Dial& dial_;
  const std::string& pod_;
  Requests requests_;
  std::map<StreamId, std::string> by_data_;
};

// Two channels a port, data and error; the first message on each, from us, is the port.
class WebSocketForward {
 public:
  WebSocketForward(http::Stream& stream, bool base64, const Dial& dial, const std::string& pod)
      : base64_(base64),
        stream_(stream),
        socket_(stream, http::WebSocket::Role::kServer),
        dial_(dial),
        pod_(pod) {}

  Result<void> run(const std::vector<uint16_t>& ports) {
    for (uint16_t port : ports) TRY(open(port));
    while (true) {
      while (waiting() < kPendingBytesMax) {
        std::optional<http::WebSocket::Message> message = TRY(socket_.receive());
        if (!message) break;
        if (message->kind == http::WebSocket::Kind::kClose) return {};
        take(*message);
      }
      bool open = false;
      for (size_t i = 0; i < pipes_.size(); ++i) {
        TRY(serve(i));
        open |= !pipes_[i].pod_ended;
      }
      TRY(stream_.flush());
      if (!open) return close();
      wait();
    }
  }

 private:
  Result<void> send(size_t channel, std::string_view data) {
    if (!base64_) return socket_.send_channel(static_cast<uint8_t>(channel), data);
    std::string text(1, static_cast<char>('0' + channel));
    return socket_.send(http::WebSocket::Kind::kText, text + base64_encode(data));
  }

  Result<void> open(uint16_t port) {
    size_t data = pipes_.size() * 2;
    const char number[] = {static_cast<char>(port & 255), static_cast<char>(port >> 8)};
    TRY(send(data, std::string_view(number, 2)));
    TRY(send(data + 1, std::string_view(number, 2)));
    Pipe pipe;
    Result<os::Fd> dialled = dial_(port);
    if (dialled.ok()) {
      pipe.socket = std::move(dialled).value();
      set_nonblocking(pipe.socket.get());
    } else {
      TRY(send(data + 1, failure(port, pod_, dialled.error())));
      pipe.pod_ended = true;
    }
    pipes_.push_back(std::move(pipe));
    return {};
  }

  void take(const http::WebSocket::Message& message) {
    if (message.data.empty()) return;
    auto channel = static_cast<uint8_t>(message.data[0]);
    std::string_view rest = std::string_view(message.data).substr(1);
    std::string decoded;
    if (base64_) {
      channel = static_cast<uint8_t>(channel - '0');
      decoded = base64_decode(rest).value_or("");
      rest = decoded;
    }
    if (channel % 2 == 0 && channel / 2U < pipes_.size()) pipes_[channel / 2U].to_pod += rest;
  }

  Result<void> serve(size_t index) {
    Pipe& pipe = pipes_[index];
    pipe.push();
    while (pipe.socket && !pipe.pod_ended && stream_.queued() < kPendingBytesMax) {
      ReadSome piece = read_some(pipe.socket.get(), kReadBytes);
      pipe.pod_ended = piece.end;
      if (piece.data.empty()) break;
      TRY(send(index * 2, piece.data));
    }
    return {};
  }

  size_t waiting() const {
    size_t bytes = 0;
    for (const Pipe& pipe : pipes_) bytes += pipe.to_pod.size();
    return bytes;
  }

  Result<void> close() {
    TRY(socket_.close());
    while (stream_.queued() > 0) {
      pollfd one{.fd = stream_.fd(), .events = POLLOUT, .revents = 0};
      if (poll(&one, 1, 5000) <= 0) return {};
      TRY(stream_.flush());
    }
    return {};
  }

  void wait() {
    std::vector<pollfd> fds;
    bool takes = waiting() < kPendingBytesMax;
    fds.push_back(
        {.fd = stream_.fd(),
         .events = static_cast<short>((takes ? POLLIN : 0) | (stream_.queued() > 0 ? POLLOUT : 0)),
         .revents = 0});
    for (const Pipe& pipe : pipes_) {
      if (!pipe.socket || pipe.pod_ended) continue;
      int events = stream_.queued() < kPendingBytesMax ? POLLIN : 0;
      if (!pipe.to_pod.empty()) events |= POLLOUT;
      fds.push_back({.fd = pipe.socket.get(), .events = static_cast<short>(events), .revents = 0});
    }
    poll(fds.data(), fds.size(), takes && socket_.readable() ? 0 : -1);
  }

  const bool base64_;
  http::Stream& stream_;
  http::WebSocket socket_;
  const Dial& dial_;
  const std::string& pod_;
  std::vector<Pipe> pipes_;
};

}  // namespace

void forward_over_spdy(http::Stream& stream, const Dial& dial, const std::string& pod) {
  // How a client leaves, politely or not, makes no difference here.
  static_cast<void>(SpdyForward(stream, dial, pod).run().ok());
}

void forward_over_websocket(http::Stream& stream, bool base64, const std::vector<uint16_t>& ports,
                            const Dial& dial, const std::string& pod) {
  static_cast<void>(WebSocketForward(stream, base64, dial, pod).run(ports).ok());
}

}  // namespace wherry::apiserver
