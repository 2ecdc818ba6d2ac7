#include "cluster/tunnel_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "api/status.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "cluster/relay.h"

namespace wherry::cluster {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRetryFirst{200};
constexpr milliseconds kRetryMax{10'000};
constexpr std::chrono::seconds kWishPatience{20};
constexpr std::chrono::seconds kClosePatience{60};  // For a reader who is slow.
constexpr size_t kLineBytesMax = 4096;

Result<void> say(http::WebSocket& socket, const SessionWord& word) {
  TRY(socket.send(http::WebSocket::Kind::kText, word.text()));
  return socket.stream().write_all({});
}

SessionWord started() {
  SessionWord word;
  word.started = true;
  return word;
}

SessionWord last_word(const Result<int>& code) {
  SessionWord word;
  word.ended = true;
  if (code.ok()) {
    word.exit_code = *code;
  } else {
    word.error = code.error();
  }
  return word;
}

// The session of one line; empty for what is none.
std::string session_of(std::string_view line) {
  Result<json::Document> document = json::Document::parse(line);
  return document.ok() ? std::string(document->root()["session"].as_string()) : std::string();
}

}  // namespace

TunnelClient::TunnelClient(std::string server, const client::Identity& identity,
                           client::NodeApi& api)
    : server_(std::move(server)),
      identity_(identity),
      api_(api),
      stop_(os::EventFd::open().value()) {}

Result<void> TunnelClient::start() {
  thread_ = start_thread("tunnel", [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void TunnelClient::stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  stop_.signal();
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  reap(true);
}

void TunnelClient::run(const std::stop_token& stop) {
  milliseconds pause = kRetryFirst;
  bool complained = false;
  while (!stop.stop_requested()) {
    http::Client client(*identity_.get());
    http::ClientRequest request;
    request.url = server_ + std::string(kTunnelPath);
    std::string line;
    auto take = [&](std::string_view bytes) {
      complained = false;
      pause = kRetryFirst;
      for (char c : bytes) {
        if (c != '\n') {
          line += c;
          continue;
        }
        if (std::string id = session_of(line); !id.empty()) begin(std::move(id));
        line.clear();
      }
      return line.size() < kLineBytesMax;
    };
    auto began = std::chrono::steady_clock::now();
    Result<http::ClientResponse> response = client.stream(request, take, stop);
    if (stop.stop_requested()) return;
    bool refused = response.ok() && response->status != 200;
    if (!complained && (!response.ok() || refused)) {
      log::warn("tunnel: {}; trying again",
                refused ? fmt::format("{} answers {}", request.url, response->status)
                        : response.error().message());
      complained = true;
    }
    // One that stood for a while and then broke is dialled again at once, or nearly so.
    if (std::chrono::steady_clock::now() - began > kRetryMax) pause = kRetryFirst;
    auto jitter = milliseconds(random_u64() % static_cast<uint64_t>(pause.count()));
    MutexLock lock(mutex_);
    changed_.wait_for(mutex_, stop, pause / 2 + jitter,
                      [this]() NO_THREAD_SAFETY_ANALYSIS { return stopping_; });
    pause = std::min(pause * 2, kRetryMax);
  }
}

// Takes away the threads that have ended, or waits for all.
void TunnelClient::reap(bool all) {
  std::list<Running> over;
  {
    MutexLock lock(mutex_);
    for (auto at = sessions_.begin(); at != sessions_.end();) {
      auto next = std::next(at);
      if (all || at->done) over.splice(over.end(), sessions_, at);
      at = next;
    }
  }
  for (Running& one : over) one.thread.join();
}

void TunnelClient::begin(std::string id) {
  reap(false);
  MutexLock lock(mutex_);
  if (stopping_) return;
  if (sessions_.size() >= kSessionsMax) {
    log::warn("tunnel: {} sessions run already; one more is not served", kSessionsMax);
    return;
  }
  Running& running = sessions_.emplace_back();
  running.thread = start_thread("session", [this, &running, id = std::move(id)](std::stop_token) {
    serve(id);
    MutexLock done(mutex_);
    running.done = true;
  });
}

void TunnelClient::serve(const std::string& id) {
  http::Client client(*identity_.get());
  std::string url = server_ + std::string(kSessionPath) + "?id=" + percent_encode(id);
  Result<http::WebSocketConnection> connection =
      http::connect_websocket(client, url, {}, {std::string(kSessionProtocol)});
  if (!connection.ok()) {
    log::warn("tunnel: session: {}", connection.error().message());
    return;
  }
  http::WebSocket& socket = *connection->socket;
  auto talk = [&]() -> Result<void> {
    http::WebSocket::Message first = TRY(socket.receive_wait(kWishPatience));
    SessionWish wish = TRY(SessionWish::parse(first.data));
    if (wish.action == "logs") return logs(socket, wish);
    if (wish.action == "dial") return dial(socket, wish);
    if (wish.action == "exec" || wish.action == "attach") return process(socket, wish);
    return Error::unsupported("this agent is older than its server: it does not know \"{}\"",
                              wish.action);
  };
  Result<void> done = talk();
  // Whoever left early hears nothing of it.
  if (!done.ok()) {
    SessionWord word;
    word.error = done.error();
    static_cast<void>(say(socket, word).ok());
  }
  if (!socket.close().ok() || !connection->stream->write_all({}).ok()) return;
  wait_for_peer(socket);
}

// The server has read everything once it answers the close. A connection that is closed before,
// with bytes unread, would be reset, and what is on its way would get lost.
void TunnelClient::wait_for_peer(http::WebSocket& socket) {
  auto limit = std::chrono::steady_clock::now() + kClosePatience;
  while (std::chrono::steady_clock::now() < limit) {
    Result<std::optional<http::WebSocket::Message>> message = socket.receive();
    if (!message.ok()) return;
    if (message->has_value()) {
      if ((*message)->kind == http::WebSocket::Kind::kClose) return;
      continue;
    }
    pollfd waited[] = {{socket.stream().fd(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    auto left = std::chrono::ceil<milliseconds>(limit - std::chrono::steady_clock::now());
    if (poll(waited, 2, static_cast<int>(left.count())) <= 0 || waited[1].revents != 0) return;
  }
}

Result<void> TunnelClient::logs(http::WebSocket& socket, const SessionWish& wish) {
  TRY(say(socket, started()));
  bool gone = false;
  auto look = [&] {
    Result<std::optional<http::WebSocket::Message>> message = socket.receive();
    gone |= !message.ok() ||
            (message->has_value() && (*message)->kind == http::WebSocket::Kind::kClose);
    MutexLock lock(mutex_);
    return gone || stopping_;
  };
  auto piece = [&](std::string_view bytes) {
    gone |= !socket.send_channel(number(Channel::kOut), bytes).ok() ||
            !socket.stream().write_all({}).ok();
    return !gone;
  };
  TRY(api_.logs(wish.container, wish.logs, piece, look));
  TRY(socket.send_channel(number(Channel::kOut), {}));
  return say(socket, last_word(0));
}

Result<void> TunnelClient::process(http::WebSocket& socket, const SessionWish& wish) {
  std::unique_ptr<client::ExecSession> session = wish.action == "exec"
                                                     ? TRY(api_.exec(wish.container, wish.exec))
                                                     : TRY(api_.attach(wish.container, wish.exec));
  TRY(say(socket, started()));
  Relay relay(socket);
  relay.write_to(number(Channel::kIn), session->stdin_fd(), [&] { session->close_stdin(); });
  relay.read_from(number(Channel::kOut), session->stdout_fd());
  relay.read_from(number(Channel::kErrors), session->stderr_fd());
  relay.on_channel(number(Channel::kSize), [&](std::string_view bytes) {
    while (bytes.size() >= 4) {
      auto byte = [&bytes](size_t i) { return static_cast<uint8_t>(bytes[i]); };
      session->resize(static_cast<uint16_t>(byte(0) << 8 | byte(1)),
                      static_cast<uint16_t>(byte(2) << 8 | byte(3)));
      bytes.remove_prefix(4);
    }
  });
  relay.leave_with_peer();
  relay.end_at(session->exit_fd(), true);
  relay.end_at(stop_.fd(), false);
  TRY(relay.run());
  return say(socket, last_word(session->exit_code()));
}

Result<void> TunnelClient::dial(http::WebSocket& socket, const SessionWish& wish) {
  os::Fd fd = TRY(api_.dial(wish.container, wish.port));
  TRY(os::set_nonblocking(fd.get(), true));
  TRY(say(socket, started()));
  Relay relay(socket);
  relay.write_to(number(Channel::kIn), fd.get(), [&] { shutdown(fd.get(), SHUT_WR); });
  relay.read_from(number(Channel::kOut), fd.get());
  relay.end_when_closed();
  relay.end_at(stop_.fd(), false);
  TRY(relay.run());
  return say(socket, last_word(0));
}

}  // namespace wherry::cluster
