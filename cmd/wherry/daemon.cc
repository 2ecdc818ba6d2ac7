#include "daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "os/file.h"

namespace wherry::command {

Result<os::Fd> lock_data_dir(const std::string& data_dir) {
  TRY(os::make_directories(data_dir, 0755));
  std::string path = data_dir + "/wherry.pid";
  os::Fd lock = TRY(os::open_file(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error::unavailable(
        "another server or agent runs on {}: stop it (wherry stop) or use another --data-dir",
        data_dir);
  }
  if (ftruncate(lock.get(), 0) != 0) return Error::from_errno(errno, path);
  TRY(os::write_all(lock.get(), std::to_string(getpid()) + "\n"));
  return lock;
}

void unlock_data_dir(const os::Fd& lock) {
  if (lock && ftruncate(lock.get(), 0) != 0) log::debug("pid file stays");
}

Result<Daemon> Daemon::begin(const std::string& log_level) {
  log::set_level(TRY(log::parse_level(log_level)));
  os::ignore_broken_pipes();
  TRY(os::block_signals({SIGTERM, SIGINT}));
  return Daemon(TRY(os::SignalFd::open({SIGTERM, SIGINT})));
}

Result<Daemon::Woken> Daemon::wait(int fd, std::optional<std::chrono::milliseconds> limit) {
  while (true) {
    pollfd waited[] = {{signals_.fd(), POLLIN, 0}, {fd, POLLIN, 0}};
    int milliseconds = limit ? static_cast<int>(limit->count()) : -1;
    int ready = poll(waited, 2, milliseconds);
    if (ready < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
    if (ready == 0) return Woken::kTime;
    if (ready > 0 && waited[1].revents != 0) return Woken::kDescriptor;
    int signal = signals_.read();
    if (signal == 0) continue;
    log::info("{}: stopping; pods go on", strsignal(signal));
    return Woken::kSignal;
  }
}

Result<void> Daemon::wait_for_signal() {
  TRY(wait(-1, std::nullopt));
  return {};
}

}  // namespace wherry::command
