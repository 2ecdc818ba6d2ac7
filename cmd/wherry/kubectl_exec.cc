// kubectl exec and attach: the remote command protocol over WebSocket (v5.channel.k8s.io, or v4
// from servers before Kubernetes 1.30).

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/strings.h"
#include "http/websocket.h"
#include "kubectl_commands.h"
#include "kubectl_output.h"
#include "os/file.h"
#include "os/signal.h"

namespace wherry::command::kubectl {
namespace {

enum Channel : uint8_t {
  kStdin = 0,
  kStdout = 1,
  kStderr = 2,
  kError = 3,
  kResize = 4,
  kClose = 255
};

constexpr size_t kQueuedBytesMax = 1 << 20;

// The terminal hands over every key as it is, until this is destroyed.
class RawTerminal {
 public:
  static bool is_terminal() { return isatty(STDIN_FILENO) == 1; }
  void begin() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    cfmakeraw(&raw);
    active_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
  }
  RawTerminal() = default;
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() { end(); }
  void end() {
    if (std::exchange(active_, false)) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }

 private:
  termios before_{};
  bool active_ = false;
};

class RemoteSession {
 public:
  RemoteSession(http::WebSocketConnection connection, bool with_stdin, bool tty)
      : connection_(std::move(connection)), with_stdin_(with_stdin), tty_(tty) {}

  // The exit code of the remote process.
  Result<int> run() {
    os::SignalFd signals = TRY(os::SignalFd::open({SIGWINCH}));
    if (tty_) {
      terminal_.begin();
      TRY(send_size());
    }
    while (true) {
      TRY(drain());
      if (done_) break;
      pollfd polled[3] = {
          {.fd = connection_.stream->fd(), .events = POLLIN, .revents = 0},
          {.fd = wants_input() ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0},
          {.fd = tty_ ? signals.fd() : -1, .events = POLLIN, .revents = 0},
      };
      if (connection_.stream->queued() > 0) polled[0].events |= POLLOUT;
      int timeout = connection_.socket->readable() ? 0 : -1;
      if (poll(polled, 3, timeout) < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
      TRY(connection_.stream->flush());
      if (polled[1].revents != 0) TRY(take_input());
      if (polled[2].revents != 0) {
        while (signals.read() != 0) continue;
        TRY(send_size());
      }
    }
    terminal_.end();
    return result();
  }

 private:
  bool wants_input() const { return with_stdin_ && connection_.stream->queued() < kQueuedBytesMax; }

  Result<void> take_input() {
    char bytes[32 << 10];
    ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count > 0) {
      return connection_.socket->send_channel(kStdin,
                                              std::string_view(bytes, static_cast<size_t>(count)));
    }
    with_stdin_ = false;
    if (connection_.protocol != "v5.channel.k8s.io") return {};
    return connection_.socket->send_channel(kClose, std::string_view("\0", 1));
  }

  Result<void> send_size() {
    winsize size{};
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
    return connection_.socket->send_channel(
        kResize, fmt::format("{{\"Width\":{},\"Height\":{}}}", size.ws_col, size.ws_row));
  }

  Result<void> drain() {
    while (!done_) {
      std::optional<http::WebSocket::Message> message = TRY(connection_.socket->receive());
      if (!message) return {};
      if (message->kind == http::WebSocket::Kind::kClose) {
        done_ = true;
        if (status_.empty() && message->close_code != 1000) {
          broken_ = message->data.empty() ? "the connection was lost" : message->data;
        }
        return {};
      }
      if (message->data.empty()) continue;
      uint8_t channel = static_cast<uint8_t>(message->data[0]);
      std::string_view data = std::string_view(message->data).substr(1);
      if (channel == kStdout) TRY(os::write_all(STDOUT_FILENO, data));
      if (channel == kStderr) TRY(os::write_all(STDERR_FILENO, data));
      if (channel == kError) status_.append(data);
    }
    return {};
  }

  Result<int> result() const {
    if (!broken_.empty()) return Error::unavailable("{}", broken_);
    if (status_.empty()) return 0;
    json::Document status = TRY(json::Document::parse(status_));
    json::Value root = status.root();
    if (root["status"].as_string() == "Success") return 0;
    for (json::Value cause : root["details"]["causes"].items()) {
      if (cause["reason"].as_string() != "ExitCode") continue;
      if (auto code = parse_int(cause["message"].as_string())) {
        std::fprintf(stderr, "command terminated with exit code %d\n", static_cast<int>(*code));
        return static_cast<int>(*code);
      }
    }
    return Error::internal("Internal error occurred: {}", root["message"].as_string());
  }

  http::WebSocketConnection connection_;
  bool with_stdin_;
  const bool tty_;
  RawTerminal terminal_;
  bool done_ = false;
  std::string status_;
  std::string broken_;
};

Result<int> run_remote(const Flags& flags, Api& api, const PodChoice& pod, const char* subresource,
                       const std::vector<std::string>& command) {
  bool tty = flags.on("tty");
  bool with_stdin = flags.on("stdin");
  if (tty && !with_stdin) tty = false;
  if (tty && !RawTerminal::is_terminal()) {
    std::fputs("Unable to use a TTY - input is not a terminal or the right kind of file\n", stderr);
    tty = false;
  }
  std::string container = TRY(choose_container(flags, pod.pod.root(), !flags.on("quiet")));
  Parameters parameters;
  for (const std::string& word : command) parameters.emplace_back("command", word);
  parameters.emplace_back("container", container);
  if (with_stdin) parameters.emplace_back("stdin", "true");
  parameters.emplace_back("stdout", "true");
  if (tty) {
    parameters.emplace_back("tty", "true");
  } else {
    parameters.emplace_back("stderr", "true");
  }
  TRY(os::block_signals({SIGWINCH}));
  os::ignore_broken_pipes();
  std::string url = api.url(pod.path() + "/" + subresource + query_text(parameters));
  Result<http::WebSocketConnection> connection = http::connect_websocket(
      api.client(), url, api.headers(), {"v5.channel.k8s.io", "v4.channel.k8s.io"});
  if (!connection.ok()) return std::move(connection).error().with_prefix("Error from server");
  return RemoteSession(std::move(connection).value(), with_stdin, tty).run();
}

Result<int> run_exec(const Flags& flags, Api& api) {
  const std::vector<std::string>& words = flags.arguments();
  size_t first = flags.before_dashes().value_or(words.size());
  if (!flags.before_dashes() && words.size() > 1) {
    return Error::invalid(
        "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] "
        "instead");
  }
  if (first != 1) {
    return Error::invalid("pod, type/name or --filename must be specified");
  }
  std::vector<std::string> command(words.begin() + 1, words.end());
  if (command.empty()) {
    return Error::invalid("you must specify at least one command for the container");
  }
  Discovery discovery = TRY(Discovery::load(api));
  PodChoice pod = TRY(choose_pod(flags, api, discovery, words[0]));
  std::string phase(pod.pod.root()["status"]["phase"].as_string());
  if (phase == "Succeeded" || phase == "Failed") {
    return Error::invalid("cannot exec into a container in a completed pod; current phase is {}",
                          phase);
  }
  return run_remote(flags, api, pod, "exec", command);
}

Result<int> run_attach(const Flags& flags, Api& api) {
  const std::vector<std::string>& words = flags.arguments();
  if (words.size() != 1) {
    return Error::invalid("expected POD, TYPE/NAME, or TYPE NAME as argument of attach");
  }
  Discovery discovery = TRY(Discovery::load(api));
  PodChoice pod = TRY(choose_pod(flags, api, discovery, words[0]));
  return run_remote(flags, api, pod, "attach", {});
}

std::vector<FlagRow> stream_flags() {
  return {
      {.name = "container", .shorthand = 'c', .help = "Which container"},
      {.name = "stdin", .shorthand = 'i', .bare = "true", .help = "Pass standard input on"},
      {.name = "tty", .shorthand = 't', .bare = "true", .help = "Standard input is a terminal"},
      {.name = "quiet",
       .shorthand = 'q',
       .bare = "true",
       .help = "Print only what the process does"},
  };
}

}  // namespace

CommandRow exec_command() {
  return {
      .name = "exec",
      .usage = "exec [-it] (POD | TYPE/NAME) [-c CONTAINER] -- COMMAND [ARGS...]",
      .help = "Run a program in a container",
      .flags = stream_flags(),
      .run = &run_exec,
  };
}

CommandRow attach_command() {
  return {
      .name = "attach",
      .usage = "attach [-it] (POD | TYPE/NAME) [-c CONTAINER]",
      .help = "Connect to a container's first process",
      .flags = stream_flags(),
      .run = &run_attach,
  };
}

}  // namespace wherry::command::kubectl
