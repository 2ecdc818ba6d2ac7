// Runs a program whose wall clock is another one than the machine's.
//
//   shifted_clock FILE PROGRAM [ARGUMENT...]
//
// FILE holds by how many seconds the program's clock is ahead of (or, negative, behind) the
// machine's. SIGUSR1 has it read again, which to the program is a step of the clock: its timers of
// the wall clock wake up, as the kernel wakes them when the clock is set. SIGTERM and SIGINT are
// passed on.
//
// Neither a preloaded library (the program is static) nor a time namespace (those have no wall
// clock) can do this. So the program is traced: it finds no vDSO, asks the kernel for the time, and
// a seccomp filter stops it at these calls alone; the answers are changed on their way back.

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kThreadsMax = 1024, kTimersMax = 64 };

// A thread, and the call it is in whose answer is to be changed (0: none).
struct thread {
  pid_t id;
  long call;
  unsigned long to;
};
struct timer {
  pid_t process;
  int fd;
};

static const char* file;
static long shift_seconds;
static pid_t program;
static struct thread threads[kThreadsMax];
static struct timer timers[kTimersMax];
static volatile sig_atomic_t stepped, passed_on;

static void fail(const char* what) {
  fprintf(stderr, "shifted_clock: %s: %s\n", what, strerror(errno));
  if (program > 0) kill(program, SIGKILL);
  exit(125);
}

static void read_shift(void) {
  FILE* in = fopen(file, "r");
  if (in == NULL || fscanf(in, "%ld", &shift_seconds) != 1) fail(file);
  fclose(in);
}

static void on_signal(int number) {
  if (number == SIGUSR1)
    stepped = 1;
  else
    passed_on = number;
}

static int copy(pid_t from, unsigned long at, void* to, size_t size) {
  struct iovec here = {to, size}, there = {(void*)at, size};
  return process_vm_readv(from, &here, 1, &there, 1, 0) == (ssize_t)size;
}

static void put(pid_t into, unsigned long at, const void* what, size_t size) {
  struct iovec here = {(void*)what, size}, there = {(void*)at, size};
  if (process_vm_writev(into, &here, 1, &there, 1, 0) != (ssize_t)size) fail("process_vm_writev");
}

static struct thread* thread_of(pid_t id, int* is_new) {
  struct thread* empty = NULL;
  *is_new = 0;
  for (int i = 0; i < kThreadsMax; ++i) {
    if (threads[i].id == id) return &threads[i];
    if (threads[i].id == 0 && empty == NULL) empty = &threads[i];
  }
  if (empty == NULL) fail("too many threads");
  *is_new = 1;
  empty->id = id;
  empty->call = 0;
  return empty;
}

// ---- The program's side, until it is the program.

#define STOP_AT(call) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE)

static void become_program(char** arguments) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      STOP_AT(__NR_clock_gettime),
      STOP_AT(__NR_gettimeofday),
      STOP_AT(__NR_timerfd_settime),
#ifdef __NR_time
      STOP_AT(__NR_time),
#endif
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof code / sizeof *code, code};
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);  // Goes on when the tracer has said what it wants to see.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    fail("seccomp");
  }
  execvp(arguments[0], arguments);
  fail(arguments[0]);
}

// ---- What happens to it

static unsigned long stack_of(pid_t process) {
#ifdef __x86_64__
  struct user_regs_struct registers;
#else
  struct user_pt_regs registers;
#endif
  struct iovec out = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, process, NT_PRSTATUS, &out) != 0) fail("PTRACE_GETREGSET");
#ifdef __x86_64__
  return registers.rsp;
#else
  return registers.sp;
#endif
}

// Right after exec the stack holds argc, argv, NULL, the environment, NULL, the auxiliary vector.
static void hide_vdso(pid_t process) {
  unsigned long at = stack_of(process), word = 0;
  if (!copy(process, at, &word, sizeof word)) fail("the stack");
  at += (word + 2) * sizeof word;
  do {
    if (!copy(process, at, &word, sizeof word)) fail("the environment");
    at += sizeof word;
  } while (word != 0);
  for (;; at += 2 * sizeof word) {
    if (!copy(process, at, &word, sizeof word)) fail("the auxiliary vector");
    if (word == AT_NULL) return;
    unsigned long nothing = AT_IGNORE;
    if (word == AT_SYSINFO_EHDR) put(process, at, &nothing, sizeof nothing);
  }
}

static pid_t process_of(pid_t thread) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", thread);
  FILE* in = fopen(path, "r");
  int process = thread;
  while (in != NULL && fgets(line, sizeof line, in) != NULL) sscanf(line, "Tgid: %d", &process);
  if (in != NULL) fclose(in);
  return process;
}

// An absolute time by the program's clock becomes the machine's.
static void set_timer(pid_t thread, const struct __ptrace_syscall_info* info) {
  unsigned long flags = info->seccomp.args[1], at = info->seccomp.args[2];
  struct itimerspec wanted;
  if ((flags & TFD_TIMER_CANCEL_ON_SET) == 0 || !copy(thread, at, &wanted, sizeof wanted)) return;
  if (wanted.it_value.tv_sec == 0) return;
  wanted.it_value.tv_sec -= shift_seconds;
  if (wanted.it_value.tv_sec < 1) wanted.it_value.tv_sec = 1;
  put(thread, at, &wanted, sizeof wanted);
  struct timer timer = {process_of(thread), (int)info->seccomp.args[0]};
  for (int i = 0; i < kTimersMax; ++i) {
    if (timers[i].process == timer.process && timers[i].fd == timer.fd) return;
    if (timers[i].process != 0) continue;
    timers[i] = timer;
    return;
  }
}

static void step(void) {
  stepped = 0;
  read_shift();
  struct itimerspec at_once = {{0, 0}, {1, 0}};
  for (int i = 0; i < kTimersMax && timers[i].process != 0; ++i) {
    int process = (int)syscall(SYS_pidfd_open, timers[i].process, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, timers[i].fd, 0);
    if (fd >= 0) timerfd_settime(fd, TFD_TIMER_ABSTIME, &at_once, NULL);
    if (fd >= 0) close(fd);
    if (process >= 0) close(process);
  }
}

// The call has begun: how the thread is to go on.
static int call_begins(struct thread* thread) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->id, sizeof info, &info) <= 0) return PTRACE_CONT;
  long call = (long)info.seccomp.nr;
  unsigned long first = info.seccomp.args[0];
  if (call == __NR_timerfd_settime) {
    set_timer(thread->id, &info);
    return PTRACE_CONT;
  }
  if (call == __NR_clock_gettime && first != CLOCK_REALTIME && first != CLOCK_REALTIME_COARSE) {
    return PTRACE_CONT;
  }
  thread->call = call;
  thread->to = call == __NR_clock_gettime ? info.seccomp.args[1] : first;
  return PTRACE_SYSCALL;
}

static void call_ends(struct thread* thread) {
  long seconds = 0;  // Both structures begin with them.
  if (thread->to != 0 && copy(thread->id, thread->to, &seconds, sizeof seconds)) {
    seconds += shift_seconds;
    put(thread->id, thread->to, &seconds, sizeof seconds);
  }
#ifdef __NR_time
  if (thread->call == __NR_time) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, thread->id, 0, &registers) != 0) fail("PTRACE_GETREGS");
    registers.rax += (unsigned long)shift_seconds;
    if (ptrace(PTRACE_SETREGS, thread->id, 0, &registers) != 0) fail("PTRACE_SETREGS");
  }
#endif
  thread->call = 0;
}

static void go_on(pid_t id, int state) {
  int is_new;
  struct thread* thread = thread_of(id, &is_new);
  int how = PTRACE_CONT, number = 0;
  if (state >> 16 == PTRACE_EVENT_SECCOMP) {
    how = call_begins(thread);
  } else if (state >> 16 == PTRACE_EVENT_EXEC) {
    hide_vdso(id);
  } else if (WSTOPSIG(state) == (SIGTRAP | 0x80)) {
    call_ends(thread);
  } else if (state >> 16 == 0 && !(is_new && WSTOPSIG(state) == SIGSTOP)) {
    number = WSTOPSIG(state);
  }
  // A thread that was killed meanwhile is not there any more, which the next wait tells.
  ptrace(how, id, 0, number);
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "shifted_clock FILE PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  file = argv[1];
  read_shift();
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  program = fork();  // tidy: allow(fork): it stands alone, and this is how tracing begins.
  if (program < 0) fail("fork");
  if (program == 0) become_program(argv + 2);
  int state, is_new, answer = 1;
  while (waitpid(program, &state, 0) < 0) {
  }
  thread_of(program, &is_new);
  long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                 PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD |
                 PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SETOPTIONS, program, 0, options) != 0) fail("PTRACE_SETOPTIONS");
  ptrace(PTRACE_CONT, program, 0, 0);
  for (;;) {
    pid_t id = waitpid(-1, &state, __WALL);
    if (stepped) step();
    if (passed_on) kill(program, passed_on);
    passed_on = 0;
    if (id < 0 && errno == EINTR) continue;
    if (id < 0) return answer;
    if (WIFSTOPPED(state)) {
      go_on(id, state);
      continue;
    }
    thread_of(id, &is_new)->id = 0;
    if (id == program) answer = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  }
}
