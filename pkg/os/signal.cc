#include "os/signal.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace wherry::os {
namespace {

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  return set;
}

}  // namespace

Result<void> block_signals(std::initializer_list<int> signals) {
  sigset_t set = set_of(signals);
  int number = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (number != 0) return Error::from_errno(number, "pthread_sigmask");
  return {};
}

void ignore_broken_pipes() { ::signal(SIGPIPE, SIG_IGN); }

Result<SignalFd> SignalFd::open(std::initializer_list<int> signals) {
  sigset_t set = set_of(signals);
  Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return Error::from_errno(errno, "signalfd");
  return SignalFd(std::move(fd));
}

int SignalFd::read() {
  signalfd_siginfo info{};
  ssize_t count = 0;
  do {
    count = ::read(fd_.get(), &info, sizeof info);
  } while (count < 0 && errno == EINTR);
  return count == static_cast<ssize_t>(sizeof info) ? static_cast<int>(info.ssi_signo) : 0;
}

}  // namespace wherry::os
