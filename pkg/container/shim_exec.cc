// Entering a sandbox's containers: exec and attach.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "container/bundle.h"
#include "container/session.h"
#include "container/shim_sandbox.h"
#include "os/file.h"
#include "os/poll.h"
#include "os/unix_socket.h"

namespace wherry::container {
namespace {

constexpr std::chrono::seconds kExecLimit{60};
constexpr size_t kExecOutputBytesMax = 16 << 10;

// The terminal that the runtime sends for an exec.
Result<os::Fd> receive_terminal(int listener) {
  if (!TRY(os::wait_for(listener, POLLIN, std::chrono::seconds(5)))) {
    return Error::timeout("the runtime sent no terminal");
  }
  os::Fd peer = TRY(os::accept_unix(listener));
  os::Message message = TRY(os::receive_message(peer.get(), std::chrono::seconds(5)));
  if (message.fds.empty()) return Error::internal("the runtime sent no terminal");
  return std::move(message.fds[0]);
}

Result<os::Fd> duplicate(const os::Fd& fd) {
  os::Fd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) return Error::from_errno(errno, "dup");
  return copy;
}

}  // namespace

Result<std::unique_ptr<Session>> ShimSandbox::exec(const std::string& id,
                                                   const SessionOptions& options) {
  Record found = TRY(record(id));
  if (found.status.state != ContainerState::kRunning) {
    return Error(Code::kConflict, fmt::format("container {} is not running", id));
  }
  if (options.command.empty())
    return Error::bad_request("you must specify at least 1 command for exec");
  const Runtime* runtime = TRY(driver_.runtime(found.runtime));
  std::string name = fmt::format("x{}-{}", getpid(), exec_counter_++);
  std::string base = folder(id) + "/" + name;
  std::string relative = "c/" + id + "/" + name;
  std::string config = TRY(os::read_file(folder(id) + "/config.json"));
  std::string process = TRY(exec_process(config, options.command, options.tty));
  TRY(os::write_file_plain(base + ".json", process));

  std::vector<std::string> words = {"exec", relative + ".pid"};
  for (std::string& arg : runtime_args(*runtime, id, name + ".log"))
    words.push_back(std::move(arg));
  for (std::string arg : {std::string("exec"), std::string("--detach"), std::string("--process"),
                          relative + ".json", std::string("--pid-file"), relative + ".pid"}) {
    words.push_back(std::move(arg));
  }
  SessionStreams streams;
  os::Fd console;
  std::vector<int> theirs;
  os::Fd null = TRY(os::open_file("/dev/null", O_RDWR));
  os::Pipe input;
  os::Pipe output;
  os::Pipe error;
  if (options.tty) {
    console = TRY(os::listen_unix(base + ".sock", os::SocketKind::kStream, 1));
    words.emplace_back("--console-socket");
    words.push_back(relative + ".sock");
  } else {
    if (options.stdin_on) input = TRY(os::make_pipe());
    if (options.stdout_on) output = TRY(os::make_pipe());
    if (options.stderr_on) error = TRY(os::make_pipe());
    auto or_null = [&](const os::Fd& fd) { return fd ? fd.get() : null.get(); };
    theirs = {or_null(input.read), or_null(output.write), or_null(error.write)};
  }
  words.push_back(id);
  ShimCall call = TRY(ShimCall::open(socket_path(), words, theirs));
  Result<ShimAnswer> answer = call.receive(kExecLimit);
  Result<os::Fd> terminal = os::Fd();
  if (answer.ok() && answer->is("pid") && options.tty) terminal = receive_terminal(console.get());
  std::string log = name + ".log";
  Result<void> outcome;
  if (!answer.ok()) {
    outcome = std::move(answer).error();
  } else if (!answer->is("pid")) {
    outcome = runtime_error(id, log, "exec");
  } else if (!terminal.ok()) {
    outcome = std::move(terminal).error();
  }
  for (const char* suffix : {".json", ".log", ".pid", ".sock"})
    (void)os::remove_file(base + suffix).ok();
  if (!outcome.ok()) return std::move(outcome).error();
  if (options.tty) {
    streams.terminal = std::move(terminal).value();
    streams.output = TRY(duplicate(streams.terminal));
    if (options.stdin_on) streams.input = TRY(duplicate(streams.terminal));
  } else {
    streams.input = std::move(input.write);
    streams.output = std::move(output.read);
    streams.error = std::move(error.read);
  }
  return make_session(std::move(call), std::move(streams));
}

Result<std::unique_ptr<Session>> ShimSandbox::attach(const std::string& id,
                                                     const SessionOptions& options) {
  Record found = TRY(record(id));
  SessionStreams streams;
  std::string which;
  std::vector<int> theirs;
  os::Pipe output;
  os::Pipe error;
  if (options.stdout_on) {
    output = TRY(os::make_pipe());
    which += 'o';
    theirs.push_back(output.write.get());
  }
  if (options.stderr_on && !found.tty) {
    error = TRY(os::make_pipe());
    which += 'e';
    theirs.push_back(error.write.get());
  }
  ShimCall call =
      TRY(ShimCall::open(socket_path(), {"attach", id, which.empty() ? "-" : which}, theirs));
  ShimAnswer answer = TRY(call.receive(std::chrono::seconds(10)));
  if (!answer.is("ok"))
    return Error(Code::kConflict, fmt::format("container {} is not running", id));
  streams.output = std::move(output.read);
  streams.error = std::move(error.read);
  if (!answer.fds.empty()) {
    if (found.tty) streams.terminal = TRY(duplicate(answer.fds[0]));
    if (options.stdin_on) streams.input = std::move(answer.fds[0]);
  }
  if (found.stdin_once && options.stdin_on) {
    std::string socket = socket_path();
    streams.on_input_closed = [socket, id] {
      Result<ShimAnswer> closed = ask_shim(socket, {"close-stdin", id});
      if (!closed.ok()) log::debug("container {}: {}", id, closed.error().message());
    };
  }
  return make_session(std::move(call), std::move(streams));
}

Result<Sandbox::ExecResult> ShimSandbox::exec_wait(const std::string& id,
                                                   const std::vector<std::string>& command,
                                                   Duration limit, const std::stop_token& stop) {
  auto deadline = std::chrono::steady_clock::now() + limit;
  SessionOptions options;
  options.command = command;
  std::unique_ptr<Session> session = TRY(exec(id, options));
  os::EventFd stopped = TRY(os::EventFd::open());
  std::stop_callback wake(stop, [&stopped] { stopped.signal(); });
  ExecResult result;
  char buffer[4096];
  auto take = [&](int fd) {  // Gives false at the end of the stream.
    ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (count > 0 && result.output.size() < kExecOutputBytesMax) {
      size_t room = kExecOutputBytesMax - result.output.size();
      result.output.append(buffer, std::min(room, static_cast<size_t>(count)));
    }
    return count > 0;
  };
  pollfd fds[4] = {{session->stdout_fd(), POLLIN, 0},
                   {session->stderr_fd(), POLLIN, 0},
                   {session->exit_fd(), POLLIN, 0},
                   {stopped.fd(), POLLIN, 0}};
  while (true) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    int ready = ::poll(fds, 4, static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1 << 30)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0 || fds[3].revents != 0) {
      // Hanging up (the session's end) kills it.
      return Error::timeout("command {} timed out", quote(join(command, " ")));
    }
    for (int i = 0; i < 2; ++i) {
      if (fds[i].revents != 0 && !take(fds[i].fd)) fds[i].fd = -1;
    }
    if (fds[2].revents == 0) continue;
    // What it wrote before it ended is in the pipes; what its children still write is not awaited.
    for (int i = 0; i < 2; ++i) {
      while (fds[i].fd >= 0 && take(fds[i].fd)) {
      }
    }
    result.exit_code = TRY(session->exit_code());
    return result;
  }
}

}  // namespace wherry::container
