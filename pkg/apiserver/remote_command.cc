#include "apiserver/remote_command.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "api/status.h"
#include "base/strings.h"
#include "json/json.h"

namespace wherry::apiserver {
namespace {

constexpr size_t kReadBytes = 32 << 10;
constexpr size_t kPendingBytesMax = 256
                                    << 10;  // Towards a slow side, before the fast one has to wait.
constexpr std::chrono::seconds kOpenLimit{30};
constexpr std::chrono::milliseconds kDrainLimit{2000};
constexpr int kDrainMilliseconds =
    200;  // For output that a dead process' children still hold open.

std::string success_status() { return R"({"metadata":{},"status":"Success"})"; }

std::string exit_status(const client::ExecOptions& options, int code) {
  std::string message = options.command.empty()
                            ? fmt::format("command terminated with exit code {}", code)
                            : fmt::format(
                                  "command terminated with non-zero exit code: error executing "
                                  "command [{}], exit code {}",
                                  join(options.command, " "), code);
  json::Draft status;
  json::Node root = status.root();
  root.set_object("metadata");
  root.set("status", "Failure");
  root.set("message", message);
  root.set("reason", "NonZeroExitCode");
  json::Node cause = root.set_object("details").set_array("causes").push_object();
  cause.set("reason", "ExitCode");
  cause.set("message", std::to_string(code));
  return status.dump();
}

std::string error_status(const Error& error) {
  json::Draft status;
  json::Node root = status.root();
  root.set_object("metadata");
  root.set("status", "Failure");
  root.set("message", error.message());
  root.set("reason", "InternalError");
  json::Node cause = root.set_object("details").set_array("causes").push_object();
  cause.set("message", error.message());
  root.set("code", 500);
  return status.dump();
}

class Pump {
 public:
  Pump(RemoteChannels& channels, client::ExecSession& session)
      : channels_(channels), session_(session) {
    stdout_open_ = session.stdout_fd() >= 0;
    stderr_open_ = session.stderr_fd() >= 0;
    stdin_open_ = session.stdin_fd() >= 0;
  }

  // Until the process has ended and said everything, or the client has gone.
  Result<void> run() {
    while (true) {
      TRY(take_input());
      if (gone_) return {};
      TRY(push_stdin());
      TRY(take_output(session_.stdout_fd(), kStdout, stdout_open_));
      TRY(take_output(session_.stderr_fd(), kStderr, stderr_open_));
      TRY(channels_.stream().flush());
      if (exited_ && !stdout_open_ && !stderr_open_) return {};
      if (!wait()) return {};  // What the process left behind is silent now.
    }
  }
  bool client_gone() const { return gone_; }

 private:
  Result<void> take_input() {
    while (takes()) {
      std::optional<ChannelEvent> event = TRY(channels_.next());
      if (!event) return {};
      if (event->kind == ChannelEvent::Kind::kGone) {
        gone_ = true;
        return {};
      }
      if (event->channel == kStdin) {
        if (event->kind == ChannelEvent::Kind::kClosed) {
          stdin_ends_ = true;
        } else if (stdin_open_ && !stdin_ends_) {
          to_stdin_ += event->data;
          continue;  // Consumed when the process has taken it.
        }
      } else if (event->channel == kResize) {
        resize(event->data);
      }
      TRY(channels_.consumed(event->channel, event->data.size()));
    }
    return {};
  }

  // {"Width":80,"Height":24}, one after the other.
  void resize(std::string_view data) {
    resize_text_ += data;
    size_t end;
    while ((end = resize_text_.find('}')) != std::string::npos) {
      Result<json::Document> size = json::Document::parse(resize_text_.substr(0, end + 1));
      resize_text_.erase(0, end + 1);
      if (!size.ok()) continue;
      int64_t width = size->root()["Width"].as_int();
      int64_t height = size->root()["Height"].as_int();
      if (width > 0 && height > 0 && width < 65536 && height < 65536) {
        session_.resize(static_cast<uint16_t>(width), static_cast<uint16_t>(height));
      }
    }
    if (resize_text_.size() > 4096) resize_text_.clear();
  }

  bool takes() const { return channels_.has_windows() || to_stdin_.size() < kPendingBytesMax; }

  Result<void> push_stdin() {
    if (stdin_open_ && !to_stdin_.empty()) {
      size_t went = write_some(session_.stdin_fd(), to_stdin_);
      if (went == SIZE_MAX) {
        stdin_open_ = false;
        went = to_stdin_.size();
      }
      to_stdin_.erase(0, went);
      TRY(channels_.consumed(kStdin, went));
    }
    if (stdin_open_ && stdin_ends_ && to_stdin_.empty()) {
      session_.close_stdin();
      stdin_open_ = false;
    }
    return {};
  }

  Result<void> take_output(int fd, uint8_t channel, bool& open) {
    while (open && channels_.pending(channel) < kPendingBytesMax) {
      ReadSome piece = read_some(fd, kReadBytes);
      if (piece.end) open = false;
      if (piece.data.empty()) return {};
      TRY(channels_.send(channel, piece.data));
    }
    return {};
  }

  // False when the process has ended and nothing more came for a while.
  bool wait() {
    pollfd fds[5];
    nfds_t count = 0;
    auto add = [&](int fd, int events) {
      fds[count++] = {.fd = fd, .events = static_cast<short>(events), .revents = 0};
    };
    http::Stream& stream = channels_.stream();
    add(stream.fd(), (takes() ? POLLIN : 0) | (stream.queued() > 0 ? POLLOUT : 0));
    if (stdout_open_ && channels_.pending(kStdout) < kPendingBytesMax)
      add(session_.stdout_fd(), POLLIN);
    if (stderr_open_ && channels_.pending(kStderr) < kPendingBytesMax)
      add(session_.stderr_fd(), POLLIN);
    if (stdin_open_ && !to_stdin_.empty()) add(session_.stdin_fd(), POLLOUT);
    if (!exited_) add(session_.exit_fd(), POLLIN);
    bool at_hand = takes() && channels_.readable();
    int ready = poll(fds, count, at_hand ? 0 : exited_ ? kDrainMilliseconds : -1);
    if (!exited_ && fds[count - 1].revents != 0) exited_ = true;
    return ready != 0 || at_hand || !exited_ || stream.queued() > 0;
  }

  RemoteChannels& channels_;
  client::ExecSession& session_;
  std::string to_stdin_;
  std::string resize_text_;
  bool stdin_ends_ = false;
  bool stdin_open_ = false;
  bool stdout_open_ = false;
  bool stderr_open_ = false;
  bool exited_ = false;
  bool gone_ = false;
};

// The last frames leave, as far as the client's windows let them, and the client has a moment to
// hang up first: a connection that is closed with unread bytes is reset, and what was on its way
// gets lost.
void drain(RemoteChannels& channels) {
  http::Stream& stream = channels.stream();
  MonotonicTime limit = std::chrono::steady_clock::now() + kDrainLimit;
  bool shut = false;
  while (std::chrono::steady_clock::now() < limit) {
    if (!stream.flush().ok()) return;
    Result<std::optional<ChannelEvent>> event = channels.next();
    if (!event.ok()) return;
    if (event->has_value()) {
      if ((*event)->kind == ChannelEvent::Kind::kGone) return;
      continue;
    }
    if (channels.drained() && !shut) {
      stream.shutdown_write();
      shut = true;
    }
    pollfd one{.fd = stream.fd(), .events = POLLIN, .revents = 0};
    if (stream.queued() > 0) one.events |= POLLOUT;
    if (poll(&one, 1, static_cast<int>(kDrainLimit.count())) <= 0) return;
  }
}

}  // namespace

ReadSome read_some(int fd, size_t size) {
  ReadSome out;
  out.data.resize(size);
  ssize_t count;
  do {
    count = read(fd, out.data.data(), size);
  } while (count < 0 && errno == EINTR);
  // A terminal whose other side is gone says EIO where a pipe says end of file.
  out.end = count == 0 || (count < 0 && errno != EAGAIN);
  out.data.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return out;
}

size_t write_some(int fd, std::string_view data) {
  ssize_t count;
  do {
    count = write(fd, data.data(), data.size());
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return static_cast<size_t>(count);
  return errno == EAGAIN ? 0 : SIZE_MAX;
}

void run_remote_command(
    RemoteChannels& channels, const client::ExecOptions& options,
    const std::function<Result<std::unique_ptr<client::ExecSession>>()>& start) {
  if (!channels.open(kOpenLimit).ok()) return;
  Result<std::unique_ptr<client::ExecSession>> session = start();
  if (!session.ok()) {
    // The client may have gone by now; then there is nobody to tell.
    if (channels.finish(error_status(session.error()), session.error().message()).ok()) {
      drain(channels);
    }
    return;
  }
  Pump pump(channels, **session);
  if (!pump.run().ok() || pump.client_gone()) return;
  Result<int> code = (*session)->exit_code();
  std::string status = !code.ok()   ? error_status(code.error())
                       : *code == 0 ? success_status()
                                    : exit_status(options, *code);
  std::string text = !code.ok()   ? code.error().message()
                     : *code == 0 ? std::string()
                                  : fmt::format("command terminated with exit code {}", *code);
  if (channels.finish(status, text).ok()) drain(channels);
}

}  // namespace wherry::apiserver
