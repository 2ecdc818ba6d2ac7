#include "os/namespace.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <optional>
#include <string>

#include "base/thread.h"
#include "os/file.h"

namespace wherry::os {

Result<Fd> open_namespace(pid_t pid, std::string_view kind) {
  return open_file("/proc/" + std::to_string(pid) + "/ns/" + std::string(kind), O_RDONLY);
}

Result<void> in_network_namespace(int namespace_fd, const std::function<Result<void>()>& work) {
  std::optional<Result<void>> outcome;
  start_thread("netns", [&](const std::stop_token&) {
    if (setns(namespace_fd, CLONE_NEWNET) != 0) {
      outcome = Result<void>(Error::from_errno(errno, "entering a network namespace"));
      return;
    }
    outcome = work();
  }).join();
  CHECK(outcome.has_value());
  return std::move(*outcome);
}

}  // namespace wherry::os
