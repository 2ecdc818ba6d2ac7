#pragma once
// Starting programs and waiting for them. There is no fork: posix_spawn is safe in a process with
// many threads. A Process is its pid with a pidfd, so a signal never hits a stranger that reused
// the number. Any thread may spawn; a Process belongs to one owner.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "os/fd.h"

namespace wherry::os {

struct ExitStatus {
  int code = 0;  // Exit code; 128 + signal when a signal ended it, as shells and Kubernetes count.
  int signal = 0;  // 0 when it exited by itself.
  bool ok() const { return code == 0; }
};

struct SpawnOptions {
  std::vector<std::string> args;  // args[0] too. Without `path`, it is looked up on PATH.
  std::string path;               // Program file; "/proc/self/fd/N" executes an open descriptor.
  std::optional<std::vector<std::string>> env;  // "A=b"; absent: our own environment.
  std::vector<std::pair<int, int>>
      fds;  // Ours to the child's number. Standard ones not named: /dev/null.
  bool new_session = false;
};

class Process {
 public:
  Process() = default;
  Process(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // Readable once it has ended.
  explicit operator bool() const { return pid_ > 0; }

  Result<void> kill(int signal) const;
  // Reaps our child; kTimeout when it still runs after `limit`.
  Result<ExitStatus> wait(std::chrono::milliseconds limit);

 private:
  pid_t pid_ = 0;
  Fd pidfd_;
};

Result<Process> spawn(const SpawnOptions& options);

// Runs a program to its end and gives what it printed. kTimeout kills it.
struct RunResult {
  ExitStatus status;
  std::string output;  // stdout and stderr, cut at 64 KiB.
};
Result<RunResult> run(const SpawnOptions& options, std::chrono::milliseconds limit);

// Where a program lies on PATH or in the usual sbin folders; kNotFound otherwise.
Result<std::string> find_program(std::string_view name);

// Field 22 of /proc/PID/stat: with the pid it names one process for ever (until reboot).
Result<uint64_t> process_start_time(pid_t pid);
// A pidfd of a process that is not our child; kNotFound when there is none.
Result<Fd> open_pidfd(pid_t pid);
Result<void> signal_pidfd(int pidfd, int signal);
// A sealed, executable copy of `content` in memory; run it by path "/proc/self/fd/N".
Result<Fd> make_memfd(const std::string& name, std::string_view content);

}  // namespace wherry::os
