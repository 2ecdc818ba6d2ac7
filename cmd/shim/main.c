/* The loop: signals of ended children, requests, output. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "protocol.h"
#include "shim.h"

static int epoll_fd = -1;

/* Events already fetched for a source that was since taken out must not reach it. */
static struct epoll_event events[16];
static int event_count;

int watch_fd(struct source* source, uint32_t wanted) {
  struct epoll_event event = {.events = wanted, .data = {.ptr = source}};
  return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, source->fd, &event);
}

void unwatch_fd(struct source* source) {
  epoll_ctl(epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
  for (int i = 0; i < event_count; ++i) {
    if (events[i].data.ptr == source) events[i].data.ptr = NULL;
  }
}

int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void child_ready(struct source* source, uint32_t ready) {
  (void)ready;
  struct signalfd_siginfo info;
  while (read(source->fd, &info, sizeof info) > 0) {
  }
  reap();
}

static void report(const char* failed, int number, pid_t init) {
  char text[512];
  size_t used = 0;
  if (failed == NULL) {
    used = put_text(text, "ok ");
    used += put_number(text + used, init);
  } else {
    used = put_text(text, "error ");
    used += put_text(text + used, failed);
    used += put_text(text + used, ": errno ");
    used += put_number(text + used, number);
  }
  ssize_t written = write(SHIM_REPORT, text, used);
  (void)written; /* The server may be gone; it finds us by our socket. */
  close(SHIM_REPORT);
}

static void protect_from_oom(void) {
  /* May be refused without CAP_SYS_RESOURCE; then we are as killable as any. */
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t written = write(fd, "-998", 4);
  (void)written;
  close(fd);
}

int main(int argc, char** argv) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "wherry-shim");
  umask(022);
  fcntl(SHIM_LISTENER, F_SETFD, FD_CLOEXEC);
  fcntl(SHIM_REPORT, F_SETFD, FD_CLOEXEC);
  fcntl(SHIM_FOLDER, F_SETFD, FD_CLOEXEC);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN); /* Only the server's "quit" (or SIGKILL) ends a pod. */
  protect_from_oom();

  pid_t init = 0;
  const char* failed = pod_setup(argc, argv, &init);
  if (failed != NULL) {
    report(failed, errno, 0);
    return 1;
  }

  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  fcntl(SHIM_LISTENER, F_SETFL, fcntl(SHIM_LISTENER, F_GETFL) | O_NONBLOCK);
  struct source listener = {.fd = SHIM_LISTENER, .ready = accept_ready};
  struct source child = {.fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK),
                         .ready = child_ready};
  if (epoll_fd < 0 || watch_fd(&listener, EPOLLIN) != 0 || watch_fd(&child, EPOLLIN) != 0) {
    report("epoll", errno, 0);
    return 1;
  }
  report(NULL, 0, init);

  while (running()) {
    event_count = epoll_wait(epoll_fd, events, 16, -1);
    for (int i = 0; i < event_count; ++i) {
      struct source* source = events[i].data.ptr;
      if (source != NULL) source->ready(source, events[i].events);
    }
    event_count = 0;
  }
  /* The init of a shared pid namespace dies with us, and with it all in there. */
  return 0;
}
