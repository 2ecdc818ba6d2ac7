#pragma once
// What `wherry server` and `wherry agent` have in common as processes: signals, and the lock on the
// data folder. The main thread's.

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "os/fd.h"
#include "os/signal.h"

namespace wherry::command {

// Held for the life of the process; its file also tells `wherry stop` whom to signal.
Result<os::Fd> lock_data_dir(const std::string& data_dir);
void unlock_data_dir(const os::Fd& lock);

class Daemon {
 public:
  // Before any thread is started.
  static Result<Daemon> begin(const std::string& log_level);

  enum class Woken { kSignal, kDescriptor, kTime };
  // Waits for SIGTERM or SIGINT, for `fd` (-1: none) to become readable, or for the limit.
  Result<Woken> wait(int fd, std::optional<std::chrono::milliseconds> limit);
  Result<void> wait_for_signal();

 private:
  explicit Daemon(os::SignalFd signals) : signals_(std::move(signals)) {}
  os::SignalFd signals_;
};

}  // namespace wherry::command
