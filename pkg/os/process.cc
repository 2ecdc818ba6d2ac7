#include "os/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/strings.h"
#include "os/file.h"
#include "os/poll.h"

extern char** environ;

namespace wherry::os {
namespace {

constexpr size_t kOutputBytesMax = 64 << 10;

// Owns the two posix_spawn attribute objects.
struct SpawnSetup {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
};

// The child's table is built in two steps, through numbers above all targets, so that no target is
// overwritten before it was used as a source.
void add_fds(SpawnSetup& setup, const std::vector<std::pair<int, int>>& fds, int program) {
  int high = std::max(2, program);
  for (auto [ours, theirs] : fds) high = std::max({high, ours, theirs});
  int next = high + 1;
  for (int standard = 0; standard <= 2; ++standard) {
    bool named = std::any_of(fds.begin(), fds.end(),
                             [standard](const auto& fd) { return fd.second == standard; });
    if (!named && std::none_of(fds.begin(), fds.end(),
                               [standard](const auto& fd) { return fd.first == standard; })) {
      posix_spawn_file_actions_addopen(&setup.actions, standard, "/dev/null", O_RDWR, 0);
    }
  }
  for (size_t i = 0; i < fds.size(); ++i) {
    posix_spawn_file_actions_adddup2(&setup.actions, fds[i].first, next + static_cast<int>(i));
  }
  for (size_t i = 0; i < fds.size(); ++i) {
    posix_spawn_file_actions_adddup2(&setup.actions, next + static_cast<int>(i), fds[i].second);
    posix_spawn_file_actions_addclose(&setup.actions, next + static_cast<int>(i));
  }
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

ExitStatus decode(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return ExitStatus{.code = info.si_status, .signal = 0};
  return ExitStatus{.code = 128 + info.si_status, .signal = info.si_status};
}

}  // namespace

Result<void> Process::kill(int signal) const { return signal_pidfd(pidfd_.get(), signal); }

Result<ExitStatus> Process::wait(std::chrono::milliseconds limit) {
  CHECK(pid_ > 0);
  if (!TRY(wait_for(pidfd_.get(), POLLIN, limit))) {
    return Error::timeout("process {} still runs after {} ms", pid_, limit.count());
  }
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0) {
    return Error::from_errno(errno, "waiting for a process");
  }
  pid_ = 0;
  return decode(info);
}

Result<Process> spawn(const SpawnOptions& options) {
  CHECK(!options.args.empty());
  std::string path = options.path;
  if (path.empty()) path = TRY(find_program(options.args[0]));

  SpawnSetup setup;
  constexpr std::string_view kByDescriptor = "/proc/self/fd/";
  int program = -1;
  if (path.starts_with(kByDescriptor)) {
    program = static_cast<int>(parse_int(path.substr(kByDescriptor.size())).value_or(-1));
    for (auto [ours, theirs] : options.fds) CHECK(theirs != program);  // It would hide the program.
  }
  add_fds(setup, options.fds, program);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&setup.attributes, &signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&setup.attributes, &signals);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.new_session) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(&setup.attributes, flags);

  std::vector<char*> args = pointers(options.args);
  std::vector<char*> env;
  if (options.env) env = pointers(*options.env);
  pid_t pid = 0;
  int number = posix_spawn(&pid, path.c_str(), &setup.actions, &setup.attributes, args.data(),
                           options.env ? env.data() : environ);
  if (number != 0) return Error::from_errno(number, "starting " + path);
  Result<Fd> pidfd = open_pidfd(pid);
  if (!pidfd.ok()) {
    // Without a pidfd nobody could wait for it: undo.
    ::kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return std::move(pidfd).error();
  }
  return Process(pid, std::move(pidfd).value());
}

Result<RunResult> run(const SpawnOptions& options, std::chrono::milliseconds limit) {
  Pipe pipe = TRY(make_pipe());
  SpawnOptions mine = options;
  mine.fds.emplace_back(pipe.write.get(), 1);
  mine.fds.emplace_back(pipe.write.get(), 2);
  Process process = TRY(spawn(mine));
  pipe.write.reset();

  auto deadline = std::chrono::steady_clock::now() + limit;
  RunResult result;
  char buffer[4096];
  // Until the program has ended: a daemon it leaves behind may hold the pipe for ever.
  while (true) {
    pollfd fds[2] = {{pipe.read.get(), POLLIN, 0}, {process.pidfd(), POLLIN, 0}};
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    int ready = ::poll(fds, 2, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      TRY(process.kill(SIGKILL));
      TRY(process.wait(std::chrono::seconds(5)));
      return Error::timeout("{} still ran after {} ms and was killed", options.args[0],
                            limit.count());
    }
    if (fds[0].revents != 0) {
      ssize_t count = ::read(pipe.read.get(), buffer, sizeof buffer);
      if (count > 0) {
        if (result.output.size() < kOutputBytesMax) {
          result.output.append(buffer, static_cast<size_t>(count));
        }
        continue;
      }
      if (fds[1].revents != 0) break;
      if (count == 0) {
        Result<ExitStatus> status =
            process.wait(std::chrono::milliseconds(std::max<int64_t>(left.count(), 1)));
        if (!status.ok()) {
          TRY(process.kill(SIGKILL));
          TRY(process.wait(std::chrono::seconds(5)));
          return std::move(status).error();
        }
        result.status = *status;
        return result;
      }
    } else if (fds[1].revents != 0) {
      break;
    }
  }
  result.status = TRY(process.wait(std::chrono::seconds(1)));
  return result;
}

Result<std::string> find_program(std::string_view name) {
  if (name.find('/') != std::string_view::npos) return std::string(name);
  const char* variable = std::getenv("PATH");
  std::string path = variable != nullptr ? variable : "";
  path += ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (std::string_view folder : split(path, ':')) {
    if (folder.empty()) continue;
    std::string candidate = std::string(folder) + "/" + std::string(name);
    if (access(candidate.c_str(), X_OK) == 0 && !is_directory(candidate)) return candidate;
  }
  return Error::not_found("program \"{}\" was not found on PATH", name);
}

Result<uint64_t> process_start_time(pid_t pid) {
  std::string text = TRY(read_file("/proc/" + std::to_string(pid) + "/stat"));
  // The name in field 2 may hold spaces and brackets; what follows the last ')' is regular.
  size_t close = text.rfind(')');
  if (close == std::string::npos) return Error::internal("unexpected /proc/{}/stat", pid);
  std::vector<std::string_view> fields = split(trim(std::string_view(text).substr(close + 1)), ' ');
  constexpr size_t kStartTime = 22 - 3;  // Field 3 is the first after the name.
  if (fields.size() <= kStartTime) return Error::internal("unexpected /proc/{}/stat", pid);
  auto value = parse_uint(fields[kStartTime]);
  if (!value) return Error::internal("unexpected /proc/{}/stat", pid);
  return *value;
}

Result<Fd> open_pidfd(pid_t pid) {
  Fd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (fd) return fd;
  if (errno == ESRCH) return Error::not_found("there is no process {}", pid);
  return Error::from_errno(errno, "pidfd_open");
}

Result<void> signal_pidfd(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return {};
  if (errno == ESRCH) return Error::not_found("the process has ended");
  return Error::from_errno(errno, "sending a signal");
}

Result<Fd> make_memfd(const std::string& name, std::string_view content) {
  Fd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return Error::from_errno(errno, "memfd_create");
  TRY(write_all(fd.get(), content));
  if (fchmod(fd.get(), 0500) != 0) return Error::from_errno(errno, "memfd");
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return Error::from_errno(errno, "sealing a memfd");
  }
  // Out of the way of the numbers that children want.
  Fd high(fcntl(fd.get(), F_DUPFD_CLOEXEC, 64));
  if (!high) return Error::from_errno(errno, "memfd");
  return high;
}

}  // namespace wherry::os
