#include "cluster/tunnel_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "base/random.h"
#include "cluster/relay.h"
#include "http/websocket.h"
#include "os/poll.h"

namespace wherry::cluster {
namespace {

constexpr std::chrono::seconds kAnswerPatience{15};
constexpr std::chrono::milliseconds kLookAtClient{1000};  // A follower of logs may have left.
constexpr size_t kWaitingMax = 1000;

struct Pair {
  os::Fd ours;    // The stream thread's.
  os::Fd theirs;  // The caller's.
};

Result<Pair> make_pair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    return Error::from_errno(errno, "socketpair");
  }
  return Pair{os::Fd(fds[0]), os::Fd(fds[1])};
}

}  // namespace

// One session, shared by its caller and the stream thread that serves it.
class TunnelServer::Session {
 public:
  static Result<std::shared_ptr<Session>> make(std::string node, SessionWish wish) {
    std::shared_ptr<Session> out(new Session(std::move(node), std::move(wish),
                                             TRY(os::EventFd::open()), TRY(os::EventFd::open())));
    const SessionWish& wanted = out->wish_;
    bool exec = wanted.action == "exec" || wanted.action == "attach";
    out->out_ = TRY(make_pair());
    if (exec && wanted.exec.stdin_on) out->in_ = TRY(make_pair());
    if (exec && wanted.exec.stderr_on && !wanted.exec.tty) out->errors_ = TRY(make_pair());
    if (exec && wanted.exec.tty) out->size_ = TRY(make_pair());
    return out;
  }

  const std::string& node() const { return node_; }

  // ---- The caller's side

  os::Fd take_in() { return std::move(in_.theirs); }
  os::Fd take_out() { return std::move(out_.theirs); }
  os::Fd take_errors() { return std::move(errors_.theirs); }
  os::Fd take_size() { return std::move(size_.theirs); }
  int exit_fd() const { return exit_.fd(); }
  void cancel() { cancel_.signal(); }

  // Until the agent has begun, refused, or is silent for too long.
  Result<void> wait_started() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    bool done = changed_.wait_for(
        mutex_, kAnswerPatience, [this]() NO_THREAD_SAFETY_ANALYSIS { return started_ || ended_; });
    if (!done) {
      abandoned_ = true;
      return Error::timeout("node \"{}\" does not answer", node_);
    }
    if (!started_ && error_) return *error_;
    return {};
  }
  // Once exit_fd() is readable.
  Result<int> exit_code() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (error_) return *error_;
    return exit_code_;
  }
  void fail(Error error) EXCLUDES(mutex_) {
    SessionWord word;
    word.error = std::move(error);
    finish(word);
  }

  // ---- The stream thread's side

  void serve(http::Stream& stream) {
    http::WebSocket socket(stream, http::WebSocket::Role::kServer);
    Result<void> done = talk(socket);
    if (!done.ok()) {
      fail(Error::unavailable("the connection to node \"{}\" broke: {}", node_,
                              done.error().message()));
    }
    out_.ours.reset();
    errors_.ours.reset();
    in_.ours.reset();
    size_.ours.reset();
    exit_.signal();
    if (socket.close().ok()) static_cast<void>(stream.write_all({}).ok());
  }

 private:
  Session(std::string node, SessionWish wish, os::EventFd exit, os::EventFd cancel)
      : node_(std::move(node)),
        wish_(std::move(wish)),
        exit_(std::move(exit)),
        cancel_(std::move(cancel)) {}

  Result<void> talk(http::WebSocket& socket) {
    TRY(socket.send(http::WebSocket::Kind::kText, wish_.text()));
    TRY(socket.stream().write_all({}));
    http::WebSocket::Message first = TRY(socket.receive_wait(kAnswerPatience));
    SessionWord word = TRY(SessionWord::parse(first.data));
    if (!word.started) {
      finish(word);
      return {};
    }
    if (!begin()) return {};
    Relay relay(socket);
    bool dial = wish_.action == "dial";
    relay.read_from(number(Channel::kIn), dial ? out_.ours.get() : in_.ours.get());
    relay.write_to(number(Channel::kOut), out_.ours.get(),
                   [this] { shutdown(out_.ours.get(), SHUT_WR); });
    relay.write_to(number(Channel::kErrors), errors_.ours.get(),
                   [this] { shutdown(errors_.ours.get(), SHUT_WR); });
    relay.read_from(number(Channel::kSize), size_.ours.get());
    relay.end_at(cancel_.fd(), false);
    if (dial) relay.end_when_closed();
    relay.on_text([this](std::string_view text) {
      Result<SessionWord> last = SessionWord::parse(text);
      if (!last.ok() || last->started) return true;
      finish(*last);
      return false;
    });
    return relay.run();
  }

  // False when nobody waits any more.
  bool begin() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    started_ = true;
    changed_.notify_all();
    return !abandoned_;
  }
  void finish(const SessionWord& word) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (ended_) return;
    ended_ = true;
    error_ = word.error;
    exit_code_ = word.exit_code;
    changed_.notify_all();
  }

  const std::string node_;
  const SessionWish wish_;
  Pair in_, out_, errors_, size_;  // Each end belongs to its side.
  os::EventFd exit_;
  os::EventFd cancel_;

  Mutex mutex_;
  CondVar changed_;
  bool started_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
  bool abandoned_ GUARDED_BY(mutex_) = false;
  std::optional<Error> error_ GUARDED_BY(mutex_);
  int exit_code_ GUARDED_BY(mutex_) = 0;
};

class TunnelServer::ExecSession final : public client::ExecSession {
 public:
  explicit ExecSession(std::shared_ptr<Session> session)
      : session_(std::move(session)),
        in_(session_->take_in()),
        out_(session_->take_out()),
        errors_(session_->take_errors()),
        size_(session_->take_size()) {}
  ~ExecSession() override { session_->cancel(); }

  int stdin_fd() const override { return in_.get(); }
  int stdout_fd() const override { return out_.get(); }
  int stderr_fd() const override { return errors_.get(); }
  void close_stdin() override { in_.reset(); }
  void resize(uint16_t width, uint16_t height) override {
    const char bytes[] = {static_cast<char>(width >> 8), static_cast<char>(width & 255),
                          static_cast<char>(height >> 8), static_cast<char>(height & 255)};
    // Full only when the agent is stuck; the next resize tells it all anew.
    (void)!write(size_.get(), bytes, sizeof bytes);
  }
  int exit_fd() const override { return session_->exit_fd(); }
  Result<int> exit_code() override { return session_->exit_code(); }

 private:
  const std::shared_ptr<Session> session_;
  os::Fd in_, out_, errors_, size_;
};

class TunnelServer::Node final : public client::NodeApi {
 public:
  Node(TunnelServer& tunnels, std::string name) : tunnels_(tunnels), name_(std::move(name)) {}

  Result<void> logs(const client::ContainerRef& container, const client::LogOptions& options,
                    const std::function<bool(std::string_view)>& write,
                    const std::function<bool()>& stopped) override {
    SessionWish wish;
    wish.action = "logs";
    wish.container = container;
    wish.logs = options;
    std::shared_ptr<Session> session = TRY(tunnels_.open(name_, std::move(wish)));
    Result<void> copied = copy(*session, write, stopped);
    session->cancel();
    return copied;
  }

  Result<std::unique_ptr<client::ExecSession>> exec(const client::ContainerRef& container,
                                                    const client::ExecOptions& options) override {
    return open("exec", container, options);
  }
  Result<std::unique_ptr<client::ExecSession>> attach(const client::ContainerRef& container,
                                                      const client::ExecOptions& options) override {
    return open("attach", container, options);
  }
  Result<os::Fd> dial(const client::ContainerRef& pod, uint16_t port) override {
    SessionWish wish;
    wish.action = "dial";
    wish.container = pod;
    wish.port = port;
    return TRY(tunnels_.open(name_, std::move(wish)))->take_out();
  }

 private:
  Result<std::unique_ptr<client::ExecSession>> open(std::string_view action,
                                                    const client::ContainerRef& container,
                                                    const client::ExecOptions& options) {
    SessionWish wish;
    wish.action = action;
    wish.container = container;
    wish.exec = options;
    std::shared_ptr<Session> session = TRY(tunnels_.open(name_, std::move(wish)));
    return std::unique_ptr<client::ExecSession>(new ExecSession(std::move(session)));
  }

  // The log as it comes, until its end or the reader's.
  Result<void> copy(Session& session, const std::function<bool(std::string_view)>& write,
                    const std::function<bool()>& stopped) {
    os::Fd from = session.take_out();
    std::string buffer(32 << 10, '\0');
    while (!stopped()) {
      if (!TRY(os::wait_for(from.get(), POLLIN, kLookAtClient))) continue;
      ssize_t got = read(from.get(), buffer.data(), buffer.size());
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0) break;
      if (!write(std::string_view(buffer).substr(0, static_cast<size_t>(got)))) return {};
    }
    if (stopped()) return {};
    static_cast<void>(os::wait_for(session.exit_fd(), POLLIN, kAnswerPatience));
    TRY(session.exit_code());
    return {};
  }

  TunnelServer& tunnels_;
  const std::string name_;
};

class TunnelServer::Control final : public http::EventSource {
 public:
  Control(TunnelServer& tunnels, std::string node) : tunnels_(tunnels), node_(std::move(node)) {}
  void ended(http::HubEnd) override { tunnels_.lost(node_, this); }

 private:
  TunnelServer& tunnels_;
  const std::string node_;
};

TunnelServer::TunnelServer() = default;
TunnelServer::~TunnelServer() = default;

Result<void> TunnelServer::answer_tunnel(const std::string& node, const http::Request& request,
                                         http::Response& response) {
  auto control = std::make_shared<Control>(*this, node);
  std::shared_ptr<http::HubConnection> connection =
      response.hijack_to_hub("application/json", control);
  log::info("node {} is connected from {}", node, request.peer_address);
  std::shared_ptr<http::HubConnection> old;
  {
    MutexLock lock(mutex_);
    if (!nodes_.contains(node)) nodes_[node] = std::make_unique<Node>(*this, node);
    Line& line = lines_[node];
    old = std::exchange(line.connection, connection);
    line.control = control.get();
  }
  // The agent knows best which of its connections lives.
  if (old != nullptr) old->abort();
  return {};
}

void TunnelServer::lost(const std::string& node, const Control* control) {
  MutexLock lock(mutex_);
  auto found = lines_.find(node);
  if (found == lines_.end() || found->second.control != control) return;
  lines_.erase(found);
  log::info("node {} is not connected any more", node);
}

client::NodeApi* TunnelServer::find(std::string_view node_name) {
  MutexLock lock(mutex_);
  if (!lines_.contains(node_name)) return nullptr;
  return nodes_.find(node_name)->second.get();
}

Result<void> TunnelServer::post(const std::string& node, const std::string& session) {
  std::shared_ptr<http::HubConnection> connection;
  {
    MutexLock lock(mutex_);
    auto found = lines_.find(node);
    if (found != lines_.end()) connection = found->second.connection;
  }
  std::string line = R"({"session":")" + session + "\"}\n";
  if (connection == nullptr ||
      !connection->post(std::make_shared<const std::string>(std::move(line)))) {
    return Error::unavailable("node \"{}\" is not connected", node);
  }
  return {};
}

void TunnelServer::cut(const std::string& node) {
  std::shared_ptr<http::HubConnection> connection;
  {
    MutexLock lock(mutex_);
    auto found = lines_.find(node);
    if (found == lines_.end()) return;
    connection = found->second.connection;
  }
  connection->abort();
}

void TunnelServer::forget(const std::string& id) {
  MutexLock lock(mutex_);
  waiting_.erase(id);
}

Result<std::shared_ptr<TunnelServer::Session>> TunnelServer::open(const std::string& node,
                                                                  SessionWish wish) {
  std::shared_ptr<Session> session = TRY(Session::make(node, std::move(wish)));
  std::string id = random_uuid();
  {
    MutexLock lock(mutex_);
    if (stopping_) return Error::unavailable("the server is stopping");
    if (waiting_.size() >= kWaitingMax) {
      return Error(Code::kTooManyRequests, "too many streams wait for their nodes");
    }
    waiting_[id] = session;
  }
  Result<void> begun = post(node, id);
  if (begun.ok()) begun = session->wait_started();
  forget(id);
  if (begun.ok()) return session;
  session->cancel();
  if (begun.error().is(Code::kTimeout)) cut(node);
  return std::move(begun).error();
}

Result<void> TunnelServer::answer_session(const std::string& node, const http::Request& request,
                                          http::Response& response) {
  std::string id(request.query.get("id"));
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mutex_);
    auto found = waiting_.find(id);
    if (found == waiting_.end() || found->second->node() != node) {
      return Error::not_found("no such session waits");
    }
    session = found->second;
  }
  TRY(http::accept_websocket(request, response, {std::string(kSessionProtocol)}));
  TRY(response.upgrade([session](http::Stream& stream) { session->serve(stream); }));
  forget(id);  // It serves once.
  return {};
}

void TunnelServer::stop() {
  MutexLock lock(mutex_);
  stopping_ = true;
  for (auto& [id, session] : waiting_) {
    session->fail(Error::unavailable("the server is stopping"));
  }
}

}  // namespace wherry::cluster
