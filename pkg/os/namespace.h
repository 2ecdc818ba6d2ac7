#pragma once
// Work inside the namespaces of another process. setns acts on a thread, so in_namespace() runs the
// function on a short thread of its own that ends afterwards.

#include <sys/types.h>

#include <functional>
#include <string_view>

#include "base/result.h"
#include "os/fd.h"

namespace wherry::os {

// kind: "net", "mnt", "pid", "ipc", "uts". kNotFound when the process is gone.
Result<Fd> open_namespace(pid_t pid, std::string_view kind);
// Runs `work` in the given network namespace and waits for it.
Result<void> in_network_namespace(int namespace_fd, const std::function<Result<void>()>& work);

}  // namespace wherry::os
