#include "container/session.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "os/poll.h"

namespace wherry::container {
namespace {

class ShimSession final : public Session {
 public:
  ShimSession(ShimCall call, SessionStreams streams)
      : call_(std::move(call)), streams_(std::move(streams)) {}

  int stdin_fd() const override { return streams_.input.get(); }
  int stdout_fd() const override { return streams_.output.get(); }
  int stderr_fd() const override { return streams_.error.get(); }

  void close_stdin() override {
    if (!streams_.input) return;
    if (streams_.terminal) {
      // A terminal has no end of file but the character for it.
      char end = 4;
      (void)!::write(streams_.terminal.get(), &end, 1);
      return;
    }
    streams_.input.reset();
    if (streams_.on_input_closed) streams_.on_input_closed();
  }

  void resize(uint16_t width, uint16_t height) override {
    if (!streams_.terminal) return;
    winsize size{};
    size.ws_col = width;
    size.ws_row = height;
    ioctl(streams_.terminal.get(), TIOCSWINSZ, &size);
  }

  int exit_fd() const override { return call_.fd(); }

  Result<int> exit_code() override {
    if (code_) return *code_;
    ShimAnswer answer = TRY(call_.receive(std::chrono::milliseconds(0)));
    if (!answer.is("exit")) return Error::internal("unexpected answer from the pod's shim");
    code_ = static_cast<int>(answer.number(1));
    return *code_;
  }

 private:
  ShimCall call_;
  SessionStreams streams_;
  std::optional<int> code_;
};

}  // namespace

std::unique_ptr<Session> make_session(ShimCall call, SessionStreams streams) {
  for (os::Fd* fd : {&streams.input, &streams.output, &streams.error, &streams.terminal}) {
    if (*fd) (void)os::set_nonblocking(fd->get(), true).ok();
  }
  return std::make_unique<ShimSession>(std::move(call), std::move(streams));
}

}  // namespace wherry::container
