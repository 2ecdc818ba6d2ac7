/* Containers: created by the runtime as our child, watched to their end, recorded on disk. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim.h"

static struct container* containers;

struct container* container_find(const char* id) {
  for (struct container* at = containers; at != NULL; at = at->next) {
    if (strcmp(at->id, id) == 0) return at;
  }
  return NULL;
}

struct container* container_first(void) {
  return containers;
}

/* "c/ID/NAME". IDs are checked by the server; one that does not fit is cut and simply not found. */
static void container_path(char path[256], const char* id, const char* name) {
  size_t used = put_text(path, "c/");
  size_t bytes = strlen(id);
  if (bytes > 180) bytes = 180;
  memcpy(path + used, id, bytes);
  used += bytes;
  path[used++] = '/';
  put_text(path + used, name);
}

static void close_fd(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void container_free(struct container* container) {
  for (struct container** at = &containers; *at != NULL; at = &(*at)->next) {
    if (*at != container) continue;
    *at = container->next;
    break;
  }
  tees_drop(container, NULL);
  if (container->out.container != NULL) stream_close(&container->out);
  if (container->err.container != NULL) stream_close(&container->err);
  close_fd(&container->log_fd);
  close_fd(&container->stdin_fd);
  close_fd(&container->console_listener);
  free(container->id);
  free(container->log_path);
  free(container->pid_file);
  free(container);
}

static void container_ended(void* context, struct connection* connection, int code, int signal) {
  (void)connection;
  struct container* container = context;
  container->state = kExited;
  container->code = code;
  container->signal = signal;
  container->finished = now_ns();
  char text[80];
  size_t used = put_number(text, code);
  text[used++] = ' ';
  used += put_number(text + used, signal);
  text[used++] = ' ';
  used += put_number(text + used, container->finished);
  text[used++] = '\n';
  char path[256];
  container_path(path, container->id, "exit");
  write_small_file(path, text, used);
  if (container->out.container != NULL) stream_drain(&container->out);
  if (container->err.container != NULL) stream_drain(&container->err);
  close_fd(&container->stdin_fd);
  announce_exit(container);
}

/* The terminal that the runtime sends over c/ID/tty.sock; -1 when it has not. */
static int receive_terminal(struct container* container) {
  int peer = accept4(container->console_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (peer < 0) return -1;
  char data[256];
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {data, sizeof data};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  int terminal = -1;
  if (recvmsg(peer, &message, MSG_CMSG_CLOEXEC) > 0) {
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
      memcpy(&terminal, CMSG_DATA(header), sizeof terminal);
    }
  }
  close(peer);
  return terminal;
}

static void create_ended(void* context, struct connection* connection, int code, int signal) {
  (void)signal;
  struct container* container = context;
  int64_t answer = code;
  int terminal = -1;
  if (code == 0 && container->terminal) {
    terminal = receive_terminal(container);
    close_fd(&container->console_listener);
    if (terminal < 0) answer = 125;
  }
  if (answer == 0) container->pid = (pid_t)read_number_file(container->pid_file);
  if (answer == 0 && container->pid <= 1) answer = 125;
  if (answer != 0) {
    container_free(container);
    if (connection != NULL) reply_words(connection, "error", &answer, 1);
    return;
  }
  container->state = kCreated;
  if (container->terminal) {
    stream_open(&container->out, container, "stdout", terminal);
    container->stdin_fd = fcntl(terminal, F_DUPFD_CLOEXEC, 3);
  } else {
    /* Only now: what the runtime itself had to say about a failure is no output of the container.
     */
    watch_fd(&container->out.source, EPOLLIN);
    watch_fd(&container->err.source, EPOLLIN);
  }
  int64_t pid = container->pid;
  int end_code = 0;
  int end_signal = 0;
  if (was_reaped(container->pid, &end_code, &end_signal)) {
    container_ended(container, NULL, end_code, end_signal);
  } else {
    expect(container->pid, container_ended, container, NULL);
  }
  if (connection != NULL) reply_words(connection, "ok", &pid, 1);
}

static int listen_terminal(struct container* container) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char path[256];
  container_path(path, container->id, "tty.sock");
  if (strlen(path) >= sizeof address.sun_path) return -1;
  unlink(path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
    close(fd);
    return -1;
  }
  container->console_listener = fd;
  return 0;
}

/* Pipes for the streams; gives the ends for the runtime in `theirs`. */
static int open_streams(struct container* container, int with_input, int theirs[3]) {
  int ends[2];
  for (int i = 1; i <= 2; ++i) {
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    struct stream* stream = i == 1 ? &container->out : &container->err;
    stream_open(stream, container, i == 1 ? "stdout" : "stderr", ends[0]);
    unwatch_fd(&stream->source); /* Watched once the runtime has succeeded. */
    theirs[i] = ends[1];
  }
  if (!with_input) return 0;
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  theirs[0] = ends[0];
  container->stdin_fd = ends[1];
  return 0;
}

void container_create(struct connection* connection, const struct words* words) {
  int64_t failure = EINVAL;
  if (words->count < 6 || container_find(words->word[1]) != NULL) {
    reply_words(connection, "error", &failure, 1);
    return;
  }
  struct container* container = calloc(1, sizeof *container);
  if (container == NULL) _exit(71);
  container->log_fd = container->stdin_fd = container->console_listener = -1;
  container->out.source.fd = container->err.source.fd = -1;
  container->id = copy_text(words->word[1]);
  container->log_path = copy_text(words->word[3]);
  container->pid_file = copy_text(words->word[4]);
  container->terminal = strchr(words->word[2], 't') != NULL;
  container->next = containers;
  containers = container;

  int theirs[3] = {-1, -1, -1};
  int opened = open_log(container) == 0 &&
               (container->terminal
                    ? listen_terminal(container) == 0
                    : open_streams(container, strchr(words->word[2], 'i') != NULL, theirs) == 0);
  failure = errno;
  pid_t pid = opened ? spawn(words->word + 5, theirs) : -1;
  for (int i = 0; i < 3; ++i) close_fd(&theirs[i]);
  if (pid < 0) {
    container_free(container);
    reply_words(connection, "error", &failure, 1);
    return;
  }
  expect(pid, create_ended, container, connection);
}

static void start_ended(void* context, struct connection* connection, int code, int signal) {
  (void)signal;
  char* id = context;
  struct container* container = container_find(id);
  int64_t answer = code;
  if (code == 0 && container != NULL) {
    container->started = now_ns();
    if (container->state == kCreated) container->state = kRunning;
    char text[64];
    size_t used = put_number(text, container->pid);
    text[used++] = ' ';
    used += put_number(text + used, container->started);
    text[used++] = '\n';
    char path[256];
    container_path(path, id, "started");
    write_small_file(path, text, used);
    answer = container->started;
  }
  if (connection != NULL) reply_words(connection, code == 0 ? "ok" : "error", &answer, 1);
  free(id);
}

void container_start(struct connection* connection, const struct words* words) {
  int64_t failure = ENOENT;
  if (words->count < 3 || container_find(words->word[1]) == NULL) {
    reply_words(connection, "error", &failure, 1);
    return;
  }
  int none[3] = {-1, -1, -1};
  pid_t pid = spawn(words->word + 2, none);
  if (pid < 0) {
    failure = errno;
    reply_words(connection, "error", &failure, 1);
    return;
  }
  expect(pid, start_ended, copy_text(words->word[1]), connection);
}

/* Safe from reused numbers: a process that is not reaped keeps its own. */
int container_kill(const char* id, int signal) {
  struct container* container = container_find(id);
  if (container == NULL || container->pid <= 1) return ENOENT;
  if (container->state == kExited) return ESRCH;
  return kill(container->pid, signal) == 0 ? 0 : errno;
}

void container_forget(const char* id) {
  struct container* container = container_find(id);
  if (container != NULL && container->state == kExited) container_free(container);
}
