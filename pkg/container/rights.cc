// Capabilities and signals by name, as containers are given them.

#include <signal.h>

#include <algorithm>

#include "base/strings.h"
#include "container/bundle.h"
#include "os/fd.h"

namespace wherry::container {
namespace {

// What container engines give by default: enough for setting up and dropping privileges.
constexpr std::string_view kDefaultCapabilities[] = {
    "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FOWNER",           "CAP_FSETID",
    "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
    "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",       "CAP_SYS_CHROOT"};

// By number, as linux/capability.h counts them.
constexpr std::string_view kCapabilities[] = {"CAP_CHOWN",
                                              "CAP_DAC_OVERRIDE",
                                              "CAP_DAC_READ_SEARCH",
                                              "CAP_FOWNER",
                                              "CAP_FSETID",
                                              "CAP_KILL",
                                              "CAP_SETGID",
                                              "CAP_SETUID",
                                              "CAP_SETPCAP",
                                              "CAP_LINUX_IMMUTABLE",
                                              "CAP_NET_BIND_SERVICE",
                                              "CAP_NET_BROADCAST",
                                              "CAP_NET_ADMIN",
                                              "CAP_NET_RAW",
                                              "CAP_IPC_LOCK",
                                              "CAP_IPC_OWNER",
                                              "CAP_SYS_MODULE",
                                              "CAP_SYS_RAWIO",
                                              "CAP_SYS_CHROOT",
                                              "CAP_SYS_PTRACE",
                                              "CAP_SYS_PACCT",
                                              "CAP_SYS_ADMIN",
                                              "CAP_SYS_BOOT",
                                              "CAP_SYS_NICE",
                                              "CAP_SYS_RESOURCE",
                                              "CAP_SYS_TIME",
                                              "CAP_SYS_TTY_CONFIG",
                                              "CAP_MKNOD",
                                              "CAP_LEASE",
                                              "CAP_AUDIT_WRITE",
                                              "CAP_AUDIT_CONTROL",
                                              "CAP_SETFCAP",
                                              "CAP_MAC_OVERRIDE",
                                              "CAP_MAC_ADMIN",
                                              "CAP_SYSLOG",
                                              "CAP_WAKE_ALARM",
                                              "CAP_BLOCK_SUSPEND",
                                              "CAP_AUDIT_READ",
                                              "CAP_PERFMON",
                                              "CAP_BPF",
                                              "CAP_CHECKPOINT_RESTORE"};

// Capabilities this kernel has: asking for one it lacks makes the runtime fail.
size_t capability_count() {
  static const size_t count = [] {
    Result<std::string> text = os::read_file("/proc/sys/kernel/cap_last_cap");
    size_t last = text.ok() ? parse_uint(trim(*text)).value_or(40) : 40;
    return std::min(last + 1, std::size(kCapabilities));
  }();
  return count;
}

// What this process may hand on: a server in a container itself has fewer.
uint64_t bounding_set() {
  static const uint64_t mask = [] {
    Result<std::string> text = os::read_file("/proc/self/status");
    if (!text.ok()) return ~uint64_t{0};
    for (std::string_view line : split(*text, '\n')) {
      if (!line.starts_with("CapBnd:")) continue;
      return static_cast<uint64_t>(
          std::strtoull(std::string(trim(line.substr(7))).c_str(), nullptr, 16));
    }
    return ~uint64_t{0};
  }();
  return mask;
}

std::set<std::string> all_capabilities() {
  std::set<std::string> out;
  for (size_t i = 0; i < capability_count(); ++i) {
    if ((bounding_set() >> i & 1) != 0) out.emplace(kCapabilities[i]);
  }
  return out;
}

// "NET_ADMIN" and "cap_net_admin" are both CAP_NET_ADMIN.
std::string capability_name(std::string_view name) {
  std::string upper = to_upper(name);
  return upper.starts_with("CAP_") ? upper : "CAP_" + upper;
}

}  // namespace

Result<std::set<std::string>> capability_set(const Security& security) {
  std::set<std::string> every = all_capabilities();
  if (security.privileged) return every;
  auto wants_all = [](const std::vector<std::string>& list) {
    return std::any_of(list.begin(), list.end(),
                       [](const std::string& name) { return capability_name(name) == "CAP_ALL"; });
  };
  std::set<std::string> out;
  for (std::string_view name : kDefaultCapabilities) {
    if (every.count(std::string(name)) != 0) out.emplace(name);
  }
  if (wants_all(security.drop_capabilities)) out.clear();
  if (wants_all(security.add_capabilities)) out = every;
  for (const std::string& name : security.add_capabilities) {
    std::string full = capability_name(name);
    if (full == "CAP_ALL") continue;
    bool exists = std::find(std::begin(kCapabilities), std::end(kCapabilities), full) !=
                  std::end(kCapabilities);
    if (!exists) return Error::invalid("unknown capability {} to add", quote(full));
    if (every.count(full) != 0) out.insert(full);
  }
  for (const std::string& name : security.drop_capabilities) {
    std::string full = capability_name(name);
    bool exists = full == "CAP_ALL" || std::find(std::begin(kCapabilities), std::end(kCapabilities),
                                                 full) != std::end(kCapabilities);
    if (!exists) return Error::invalid("unknown capability {} to drop", quote(full));
    out.erase(full);
  }
  return out;
}

Result<int> parse_signal(std::string_view text) {
  struct Row {
    std::string_view name;
    int number;
  };
  static constexpr Row kRows[] = {
      {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},     {"ILL", SIGILL},
      {"TRAP", SIGTRAP},     {"ABRT", SIGABRT}, {"IOT", SIGIOT},       {"BUS", SIGBUS},
      {"FPE", SIGFPE},       {"KILL", SIGKILL}, {"USR1", SIGUSR1},     {"SEGV", SIGSEGV},
      {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM},
      {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP},
      {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
      {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF},
      {"WINCH", SIGWINCH},   {"IO", SIGIO},     {"POLL", SIGPOLL},     {"PWR", SIGPWR},
      {"SYS", SIGSYS}};
  if (auto number = parse_int(text)) {
    if (*number >= 1 && *number <= 64) return static_cast<int>(*number);
    return Error::invalid("{} is not a signal", quote(text));
  }
  std::string upper = to_upper(text);
  std::string_view name = upper;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const Row& row : kRows) {
    if (row.name == name) return row.number;
  }
  // As images see them: the C library keeps the first two for itself.
  constexpr int kRealTimeMin = 34;
  constexpr int kRealTimeMax = 64;
  if (name == "RTMIN") return kRealTimeMin;
  if (name == "RTMAX") return kRealTimeMax;
  if (name.starts_with("RTMIN+")) {
    auto offset = parse_int(name.substr(6));
    if (offset && *offset >= 0 && *offset <= 30) return kRealTimeMin + static_cast<int>(*offset);
  }
  if (name.starts_with("RTMAX-")) {
    auto offset = parse_int(name.substr(6));
    if (offset && *offset >= 0 && *offset <= 30) return kRealTimeMax - static_cast<int>(*offset);
  }
  return Error::invalid("{} is not a signal", quote(text));
}

}  // namespace wherry::container
