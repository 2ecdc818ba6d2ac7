#include "agent/streams.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/log_file.h"
#include "base/strings.h"
#include "os/namespace.h"
#include "os/poll.h"

namespace wherry::agent {
namespace {

// container::Session as the API server's side knows it.
class AdaptedSession final : public client::ExecSession {
 public:
  AdaptedSession(std::unique_ptr<container::Session> session,
                 std::shared_ptr<container::Sandbox> sandbox)
      : sandbox_(std::move(sandbox)), session_(std::move(session)) {}
  int stdin_fd() const override { return session_->stdin_fd(); }
  int stdout_fd() const override { return session_->stdout_fd(); }
  int stderr_fd() const override { return session_->stderr_fd(); }
  void close_stdin() override { session_->close_stdin(); }
  void resize(uint16_t width, uint16_t height) override { session_->resize(width, height); }
  int exit_fd() const override { return session_->exit_fd(); }
  Result<int> exit_code() override { return session_->exit_code(); }

 private:
  std::shared_ptr<container::Sandbox> sandbox_;
  std::unique_ptr<container::Session> session_;
};

Error pod_not_found(const client::ContainerRef& ref) {
  return Error::not_found("pod {} not found", quote(ref.pod + "_" + ref.ns));
}

Result<os::Fd> connect_loopback(uint16_t port) {
  os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // On loopback a connect is answered at once, or refused.
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  int number = errno;
  // A server may listen on the IPv6 loopback only.
  os::Fd fd6(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address6{};
  address6.sin6_family = AF_INET6;
  address6.sin6_port = htons(port);
  address6.sin6_addr = in6addr_loopback;
  if (fd6 && ::connect(fd6.get(), reinterpret_cast<sockaddr*>(&address6), sizeof address6) == 0) {
    return fd6;
  }
  return Error::unavailable("failed to connect to localhost:{} inside namespace: {}", port,
                            Error::from_errno(number, "dial tcp 127.0.0.1").message());
}

}  // namespace

Result<int> log_attempt(const PodSnapshot& pod, std::string_view name, bool previous) {
  const PodSnapshot::Container* container = pod.find(name);
  std::string where = "container " + quote(name) + " in pod " + quote(pod.name);
  if (container == nullptr) return Error::bad_request("{} is not available", where);
  if (previous) {
    if (container->attempt == 0 || !container->has_last) {
      // While it waits for its restart, the instance that ended is the previous one.
      if (container->state == RunState::kExited && !container->waiting_reason.empty()) {
        return container->attempt;
      }
      return Error::bad_request("previous terminated {} not found", where);
    }
    return container->attempt - 1;
  }
  if (container->state == RunState::kRunning || container->state == RunState::kExited) {
    return container->attempt;
  }
  if (container->has_last && container->attempt > 0) return container->attempt - 1;
  std::string reason = container->waiting_reason;
  if (reason == "ErrImagePull" || reason == "InvalidImageName") {
    return Error::bad_request("{} is waiting to start: image can't be pulled", where);
  }
  if (reason == "ImagePullBackOff") {
    return Error::bad_request("{} is waiting to start: trying and failing to pull image", where);
  }
  if (reason.empty()) reason = "ContainerCreating";
  return Error::bad_request("{} is waiting to start: {}", where, reason);
}

Result<void> NodeStreams::logs(const client::ContainerRef& ref, const client::LogOptions& options,
                               const std::function<bool(std::string_view)>& write,
                               const std::function<bool()>& stopped) {
  std::shared_ptr<const PodSnapshot> pod = find(ref);
  if (pod == nullptr) return pod_not_found(ref);
  int attempt = TRY(log_attempt(*pod, ref.container, options.previous));
  std::string path = PodWorker::log_path(pod_dir(*pod), ref.container, attempt);
  client::ContainerRef same = ref;
  same.uid = pod->uid;
  auto ended = [this, &same, attempt] {
    std::shared_ptr<const PodSnapshot> now = find(same);
    const PodSnapshot::Container* container = now == nullptr ? nullptr : now->find(same.container);
    return container == nullptr || container->attempt != attempt ||
           container->state != RunState::kRunning;
  };
  Result<void> done = read_log(path, options, clock_.now(), write, stopped, ended);
  if (!done.ok() && done.error().is(Code::kNotFound)) return {};  // It has written nothing.
  return done;
}

Result<std::unique_ptr<client::ExecSession>> NodeStreams::open(const client::ContainerRef& ref,
                                                               const client::ExecOptions& options,
                                                               bool attach) {
  std::shared_ptr<const PodSnapshot> pod = find(ref);
  if (pod == nullptr) return pod_not_found(ref);
  const PodSnapshot::Container* container = pod->find(ref.container);
  if (container == nullptr || container->state != RunState::kRunning || pod->sandbox == nullptr) {
    return Error::internal("unable to upgrade connection: container not found ({})",
                           quote(ref.container));
  }
  container::SessionOptions wanted;
  if (!attach) wanted.command = options.command;
  wanted.stdin_on = options.stdin_on;
  wanted.stdout_on = options.stdout_on;
  wanted.stderr_on = options.stderr_on;
  wanted.tty = attach ? container->tty : options.tty;
  std::unique_ptr<container::Session> session =
      attach ? TRY(pod->sandbox->attach(container->id, wanted))
             : TRY(pod->sandbox->exec(container->id, wanted));
  return std::unique_ptr<client::ExecSession>(
      std::make_unique<AdaptedSession>(std::move(session), pod->sandbox));
}

Result<std::unique_ptr<client::ExecSession>> NodeStreams::exec(
    const client::ContainerRef& container, const client::ExecOptions& options) {
  return open(container, options, false);
}

Result<std::unique_ptr<client::ExecSession>> NodeStreams::attach(
    const client::ContainerRef& container, const client::ExecOptions& options) {
  return open(container, options, true);
}

Result<os::Fd> NodeStreams::dial(const client::ContainerRef& ref, uint16_t port) {
  std::shared_ptr<const PodSnapshot> pod = find(ref);
  if (pod == nullptr) return pod_not_found(ref);
  if (pod->sandbox == nullptr) {
    return Error::unavailable("pod {} is not running", quote(ref.pod + "_" + ref.ns));
  }
  os::Fd netns = TRY(pod->sandbox->network_namespace());
  os::Fd connected;
  TRY(os::in_network_namespace(netns.get(), [&]() -> Result<void> {
    connected = TRY(connect_loopback(port));
    return {};
  }));
  return connected;
}

}  // namespace wherry::agent
