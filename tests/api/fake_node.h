#pragma once
// A node without containers, for the server's stream tests: "exec cat" echoes, "exec exit N" ends
// with N, "exec say X" prints X to both outputs, attach says hello and echoes; logs are three
// lines; port-forward dials this machine.

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "base/strings.h"
#include "base/thread.h"
#include "client/node_api.h"

namespace wherry {

class FakeSession final : public client::ExecSession {
 public:
  explicit FakeSession(const client::ExecOptions& options) : command_(options.command) {
    pair(stdin_, stdin_far_);
    pair(stdout_, stdout_far_);
    pair(stderr_, stderr_far_);
    exit_ = os::Fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    has_stdin_ = options.stdin_on;
    has_stderr_ = options.stderr_on;
    thread_ = start_thread("fake-process", [this](const std::stop_token& stop) { run(stop); });
  }
  ~FakeSession() override {
    thread_.request_stop();
    stdin_.reset();
    thread_.join();
  }

  int stdin_fd() const override { return has_stdin_ ? stdin_.get() : -1; }
  int stdout_fd() const override { return stdout_.get(); }
  int stderr_fd() const override { return has_stderr_ ? stderr_.get() : -1; }
  void close_stdin() override { shutdown(stdin_.get(), SHUT_WR); }
  void resize(uint16_t width, uint16_t height) override {
    say(stdout_far_, fmt::format("size {}x{}\r\n", width, height));
  }
  int exit_fd() const override { return exit_.get(); }
  Result<int> exit_code() override { return code_; }

 private:
  static void pair(os::Fd& near, os::Fd& far) {
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    near = os::Fd(fds[0]);
    far = os::Fd(fds[1]);
  }
  static void say(const os::Fd& fd, std::string_view text) {
    while (!text.empty()) {
      ssize_t count = send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      text.remove_prefix(static_cast<size_t>(count));
    }
  }

  void run(const std::stop_token& stop) {
    std::string verb = command_.empty() ? "attach" : command_[0];
    if (verb == "attach") say(stdout_far_, "hello\n");
    if (verb == "say" && command_.size() > 1) {
      say(stdout_far_, command_[1] + "\n");
      say(stderr_far_, command_[1] + "!\n");
    }
    if (verb == "exit" && command_.size() > 1) {
      code_ = static_cast<int>(parse_int(command_[1]).value_or(0));
    }
    if (verb == "cat" || verb == "attach") {
      char buffer[16 << 10];
      while (!stop.stop_requested()) {
        ssize_t count = recv(stdin_far_.get(), buffer, sizeof buffer, 0);
        if (count <= 0) break;
        say(stdout_far_, std::string_view(buffer, static_cast<size_t>(count)));
      }
    }
    stdout_far_.reset();
    stderr_far_.reset();
    uint64_t one = 1;
    CHECK(write(exit_.get(), &one, sizeof one) == sizeof one);
  }

  const std::vector<std::string> command_;
  os::Fd stdin_, stdin_far_, stdout_, stdout_far_, stderr_, stderr_far_, exit_;
  bool has_stdin_ = false;
  bool has_stderr_ = false;
  int code_ = 0;  // Written before exit_ is signalled.
  std::jthread thread_;
};

class FakeNode final : public client::NodeApi, public client::NodeDirectory {
 public:
  client::NodeApi* find(std::string_view) override { return this; }

  Result<void> logs(const client::ContainerRef& container, const client::LogOptions& options,
                    const std::function<bool(std::string_view)>& write,
                    const std::function<bool()>& stopped) override {
    for (int i = 1; i <= 3; ++i) {
      if (!write(fmt::format("{} line {}\n", container.container, i))) return {};
    }
    while (options.follow && !stopped()) poll(nullptr, 0, 50);
    return {};
  }
  Result<std::unique_ptr<client::ExecSession>> exec(const client::ContainerRef&,
                                                    const client::ExecOptions& options) override {
    if (options.command[0] == "missing") return Error::internal("no such program: missing");
    return std::unique_ptr<client::ExecSession>(std::make_unique<FakeSession>(options));
  }
  Result<std::unique_ptr<client::ExecSession>> attach(const client::ContainerRef&,
                                                      const client::ExecOptions& options) override {
    return std::unique_ptr<client::ExecSession>(std::make_unique<FakeSession>(options));
  }
  Result<os::Fd> dial(const client::ContainerRef&, uint16_t port) override {
    os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return Error::from_errno(errno, fmt::format("dialling port {}", port));
    }
    return fd;
  }
};

}  // namespace wherry
