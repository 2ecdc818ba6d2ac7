/* Starting programs, and reaping whatever ends: our children and, as we are a sub-reaper, every
 * orphan of the pod. A container's first process may end before the runtime that made it has told
 * us its number, so the last unknown ones are remembered. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

enum { kRemembered = 64 };

struct child {
  struct child* next;
  pid_t pid;
  ended callback;
  void* context;
  struct connection* connection;
};

struct corpse {
  pid_t pid;
  int code;
  int signal;
};

static struct child* children;
static struct corpse corpses[kRemembered];
static unsigned corpse_next;

pid_t spawn(char* const* args, const int fds[3]) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  /* What we ignore and how we are shielded must not come through to containers. */
  static const int kIgnored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM};
  for (size_t i = 0; i < sizeof kIgnored / sizeof kIgnored[0]; ++i) signal(kIgnored[i], SIG_DFL);
  int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    ssize_t written = write(score, "0", 1);
    (void)written;
    close(score);
  }
  for (int i = 0; i < 3; ++i) {
    int fd = fds[i] >= 0 ? fds[i] : open("/dev/null", O_RDWR);
    dup2(fd, i); /* Ours are all above 2 and close on exec. */
  }
  execv(args[0], args);
  _exit(errno == ENOENT ? 127 : 126);
}

void expect(pid_t pid, ended callback, void* context, struct connection* connection) {
  struct child* child = calloc(1, sizeof *child);
  if (child == NULL) _exit(71);
  child->pid = pid;
  child->callback = callback;
  child->context = context;
  child->connection = connection;
  child->next = children;
  children = child;
}

void forget_connection(struct connection* connection) {
  for (struct child* child = children; child != NULL; child = child->next) {
    if (child->connection == connection) child->connection = NULL;
  }
}

int was_reaped(pid_t pid, int* code, int* signal) {
  for (unsigned i = 0; i < kRemembered; ++i) {
    if (corpses[i].pid != pid) continue;
    *code = corpses[i].code;
    *signal = corpses[i].signal;
    corpses[i].pid = 0;
    return 1;
  }
  return 0;
}

/* Gives how many were reaped. */
int reap(void) {
  int count = 0;
  while (1) {
    int status = 0;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return count;
    ++count;
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int code = signal != 0 ? 128 + signal : WEXITSTATUS(status);
    struct child* found = NULL;
    for (struct child** at = &children; *at != NULL; at = &(*at)->next) {
      if ((*at)->pid != pid) continue;
      found = *at;
      *at = found->next;
      break;
    }
    if (found == NULL) {
      corpses[corpse_next++ % kRemembered] = (struct corpse){pid, code, signal};
      continue;
    }
    found->callback(found->context, found->connection, code, signal);
    free(found);
  }
}
