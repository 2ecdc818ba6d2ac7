#include "container/seccomp.h"

#include <seccomp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace wherry::container {
namespace {

// What ordinary programs need, by what it is about. A name that this machine's architecture lacks
// is left out. Not here on purpose: kernel keys, modules, kexec, clock setting, swap, reboot,
// mount, namespaces, bpf, perf, ptrace of others' memory, userfaultfd, io_uring, vm86, obsolete
// calls.
// clang-format off
constexpr std::string_view kAllowed[] = {
    // Files and folders.
    "access", "chdir", "chmod", "chown", "chown32", "close", "close_range", "copy_file_range",
    "creat", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fadvise64_64",
    "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
    "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr",
    "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
    "ftruncate64", "futimesat", "getcwd", "getdents", "getdents64", "getxattr", "getxattrat",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "ioctl", "lchown",
    "lchown32", "lgetxattr", "link", "linkat", "listxattr", "listxattrat", "llistxattr",
    "lremovexattr", "lseek", "_llseek", "lsetxattr", "lstat", "lstat64", "mkdir", "mkdirat",
    "mknod", "mknodat", "name_to_handle_at", "newfstatat", "open", "openat", "openat2", "pread64",
    "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink",
    "readlinkat", "readv", "removexattr", "removexattrat", "rename", "renameat", "renameat2",
    "rmdir", "sendfile", "sendfile64", "setxattr", "setxattrat", "splice", "stat", "stat64",
    "statfs", "statfs64", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs",
    "tee", "truncate", "truncate64", "umask", "unlink", "unlinkat", "utime", "utimensat",
    "utimensat_time64", "utimes", "vmsplice", "write", "writev", "cachestat", "file_getattr",
    "file_setattr", "statmount", "listmount", "map_shadow_stack",
    // Memory.
    "brk", "madvise", "membarrier", "memfd_create", "memfd_secret", "mincore", "mlock", "mlock2",
    "mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall",
    "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect", "process_mrelease", "remap_file_pages",
    // Processes, threads, scheduling.
    "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork", "futex",
    "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "get_robust_list",
    "get_thread_area", "getcpu", "getegid", "getegid32", "geteuid", "geteuid32", "getgid",
    "getgid32", "getgroups", "getgroups32", "getpgid", "getpgrp", "getpid", "getppid",
    "getpriority", "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit",
    "getrusage", "getsid", "gettid", "getuid", "getuid32", "ioprio_get", "ioprio_set", "kill",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "pidfd_open",
    "pidfd_send_signal", "prctl", "prlimit64", "ptrace", "process_vm_readv", "process_vm_writev",
    "restart_syscall", "rseq", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr",
    "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "set_robust_list",
    "set_thread_area", "set_tid_address", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32",
    "setgid", "setgid32", "setgroups", "setgroups32", "setpgid", "setpriority", "setregid",
    "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32",
    "setrlimit", "setsid", "setuid", "setuid32", "tgkill", "tkill", "ugetrlimit", "vfork", "wait4",
    "waitid", "waitpid", "uretprobe",
    // Signals.
    "pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo",
    "sigaltstack", "signalfd", "signalfd4", "sigprocmask", "sigreturn",
    // Waiting and time.
    "_newselect", "adjtimex", "alarm", "clock_adjtime", "clock_adjtime64", "clock_getres",
    "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2",
    "getitimer", "gettimeofday", "nanosleep", "poll", "ppoll", "ppoll_time64", "pselect6",
    "pselect6_time64", "select", "setitimer", "time", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64",
    "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
    "timerfd_settime64", "times",
    // Network and local communication.
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "ipc",
    "listen", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64",
    "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd",
    "pipe", "pipe2", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "semctl",
    "semget", "semop", "semtimedop", "semtimedop_time64", "send", "sendmmsg", "sendmsg", "sendto",
    "setsockopt", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "socketcall", "socketpair",
    // The rest.
    "arch_prctl", "arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls",
    "getrandom", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
    "io_pgetevents_time64", "io_setup", "io_submit", "modify_ldt", "sysinfo", "uname",
    "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "riscv_hwprobe",
    "riscv_flush_icache",
};
// clang-format on

struct WithCapability {
  std::string_view capability;
  std::string_view names[24];
};

constexpr WithCapability kWithCapability[] = {
    {"CAP_SYS_ADMIN",
     {"bpf",           "clone",       "clone3",        "fanotify_init",   "fsconfig",
      "fsmount",       "fsopen",      "fspick",        "lookup_dcookie",  "mount",
      "mount_setattr", "move_mount",  "open_tree",     "perf_event_open", "pivot_root",
      "quotactl",      "quotactl_fd", "setdomainname", "sethostname",     "setns",
      "umount",        "umount2",     "unshare",       "syslog"}},
    {"CAP_DAC_READ_SEARCH", {"open_by_handle_at"}},
    {"CAP_SYS_BOOT", {"reboot", "kexec_load", "kexec_file_load"}},
    {"CAP_SYS_CHROOT", {"chroot"}},
    {"CAP_SYS_MODULE", {"delete_module", "init_module", "finit_module", "query_module"}},
    {"CAP_SYS_PACCT", {"acct"}},
    {"CAP_SYS_PTRACE", {"kcmp", "pidfd_getfd", "process_madvise"}},
    {"CAP_SYS_RAWIO", {"iopl", "ioperm"}},
    {"CAP_SYS_TIME", {"settimeofday", "stime", "clock_settime", "clock_settime64"}},
    {"CAP_SYS_TTY_CONFIG", {"vhangup"}},
    {"CAP_SYS_NICE", {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"}},
    {"CAP_SYSLOG", {"syslog"}},
    {"CAP_BPF", {"bpf"}},
    {"CAP_PERFMON", {"perf_event_open"}},
};

// CLONE_NEW* but for NEWTIME, which shares its bit with the exit signal: new namespaces need
// SYS_ADMIN.
constexpr int64_t kCloneNamespaces = 0x7E020000;

bool known(std::string_view name) {
  return seccomp_syscall_resolve_name(std::string(name).c_str()) >= 0;
}

const char* native_architecture() {
  switch (seccomp_arch_native()) {
    case SCMP_ARCH_X86_64: return "SCMP_ARCH_X86_64";
    case SCMP_ARCH_AARCH64: return "SCMP_ARCH_AARCH64";
    case SCMP_ARCH_ARM: return "SCMP_ARCH_ARM";
    case SCMP_ARCH_RISCV64: return "SCMP_ARCH_RISCV64";
    default: return "SCMP_ARCH_X86";
  }
}

// The short names that Localhost profiles use in includes.arches.
std::string_view short_architecture() {
  switch (seccomp_arch_native()) {
    case SCMP_ARCH_X86_64: return "amd64";
    case SCMP_ARCH_AARCH64: return "arm64";
    case SCMP_ARCH_ARM: return "arm";
    case SCMP_ARCH_RISCV64: return "riscv64";
    default: return "x86";
  }
}

json::Node add_rule(const json::Node& rules, std::string_view action) {
  json::Node rule = rules.push_object();
  rule.set_array("names");
  rule.set("action", action);
  return rule;
}

void add_argument(const json::Node& rule, int64_t index, int64_t value, std::string_view op) {
  json::Node argument = rule.ensure_array("args").push_object();
  argument.set("index", index);
  argument.set("value", value);
  argument.set("op", op);
}

bool holds(json::Value list, const std::set<std::string>& capabilities) {
  for (json::Value one : list.items()) {
    if (capabilities.count(std::string(one.as_string())) == 0) return false;
  }
  return true;
}

bool names_architecture(json::Value list) {
  for (json::Value one : list.items()) {
    if (one.as_string() == short_architecture()) return true;
  }
  return false;
}

// Whether a rule of an engine-style profile applies here.
bool applies(json::Value rule, const std::set<std::string>& capabilities) {
  json::Value includes = rule["includes"];
  json::Value excludes = rule["excludes"];
  if (!includes["arches"].empty() && !names_architecture(includes["arches"])) return false;
  if (!excludes["arches"].empty() && names_architecture(excludes["arches"])) return false;
  if (!includes["caps"].empty() && !holds(includes["caps"], capabilities)) return false;
  for (json::Value one : excludes["caps"].items()) {
    if (capabilities.count(std::string(one.as_string())) != 0) return false;
  }
  return true;
}

}  // namespace

void default_seccomp(const json::Node& target, const std::set<std::string>& capabilities) {
  target.set("defaultAction", "SCMP_ACT_ERRNO");
  target.set("defaultErrnoRet", EPERM);
  // The native one alone: each further one costs every start some milliseconds of compiling.
  target.set_array("architectures").push(native_architecture());
  json::Node rules = target.set_array("syscalls");

  json::Node allowed = add_rule(rules, "SCMP_ACT_ALLOW")["names"];
  std::set<std::string_view> seen;  // Two capabilities may bring the same one.
  auto allow = [&](std::string_view name) {
    if (!name.empty() && known(name) && seen.insert(name).second) allowed.push(name);
  };
  for (std::string_view name : kAllowed) allow(name);
  for (const WithCapability& row : kWithCapability) {
    if (capabilities.count(std::string(row.capability)) == 0) continue;
    for (std::string_view name : row.names) allow(name);
  }

  // Any socket family but AF_VSOCK, which reaches the hypervisor past all networking.
  json::Node sockets = add_rule(rules, "SCMP_ACT_ALLOW");
  sockets["names"].push("socket");
  add_argument(sockets, 0, AF_VSOCK, "SCMP_CMP_NE");

  json::Node personality;
  for (int64_t value : {0x0LL, 0x8LL, 0x20000LL, 0x20008LL, 0xffffffffLL}) {
    personality = add_rule(rules, "SCMP_ACT_ALLOW");
    personality["names"].push("personality");
    add_argument(personality, 0, value, "SCMP_CMP_EQ");
  }

  if (capabilities.count("CAP_SYS_ADMIN") != 0) return;
  json::Node clone = add_rule(rules, "SCMP_ACT_ALLOW");
  clone["names"].push("clone");
  json::Node argument = clone.set_array("args").push_object();
  argument.set("index", 0);
  argument.set("value", kCloneNamespaces);
  argument.set("valueTwo", 0);
  argument.set("op", "SCMP_CMP_MASKED_EQ");
  // Its flags lie in memory, where a filter cannot look: with ENOSYS libraries fall back to clone.
  json::Node clone3 = add_rule(rules, "SCMP_ACT_ERRNO");
  clone3["names"].push("clone3");
  clone3.set("errnoRet", ENOSYS);
}

Result<void> load_seccomp(const json::Node& target, std::string_view text,
                          const std::set<std::string>& capabilities) {
  json::Document document = TRY(json::Document::parse(text));
  json::Value profile = document.root();
  if (!profile["defaultAction"].is_string()) {
    return Error::invalid("seccomp profile: defaultAction is missing");
  }
  for (const char* key :
       {"defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata"}) {
    if (profile[key]) target.set(key, profile[key]);
  }
  if (profile["architectures"]) {
    target.set("architectures", profile["architectures"]);
  } else {
    json::Node architectures = target.set_array("architectures");
    architectures.push(native_architecture());
    for (json::Value row : profile["archMap"].items()) {
      if (row["architecture"].as_string() != native_architecture()) continue;
      for (json::Value sub : row["subArchitectures"].items()) architectures.push(sub.as_string());
    }
  }
  json::Node rules = target.set_array("syscalls");
  for (json::Value rule : profile["syscalls"].items()) {
    if (!rule["action"].is_string() || (rule["names"].empty() && !rule["name"].is_string())) {
      return Error::invalid("seccomp profile: a rule without names or action");
    }
    if (!applies(rule, capabilities)) continue;
    json::Node made = add_rule(rules, rule["action"].as_string());
    if (rule["name"].is_string()) made["names"].push(rule["name"].as_string());
    for (json::Value name : rule["names"].items()) made["names"].push(name.as_string());
    if (!rule["args"].empty()) made.set("args", rule["args"]);
    if (rule["errnoRet"].is_int()) made.set("errnoRet", rule["errnoRet"]);
  }
  json::Document made = TRY(json::Document::parse(target.dump()));
  return check_seccomp(made.root());
}

}  // namespace wherry::container
