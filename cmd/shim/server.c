/* Requests from the server: see protocol.h. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol.h"
#include "shim.h"

static struct connection* connections;
static int quitting;
static char request[SHIM_MESSAGE_MAX];

int running(void) { return !quitting; }

/* Never blocks: a server that does not read its answers loses them. */
void reply(struct connection* connection, const char* text, size_t bytes, int fd) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {(void*)text, bytes};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  }
  sendmsg(connection->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void reply_words(struct connection* connection, const char* first, const int64_t* numbers,
                 size_t count) {
  char text[256];
  size_t used = put_text(text, first) + 1;
  for (size_t i = 0; i < count; ++i) used += put_number(text + used, numbers[i]) + 1;
  reply(connection, text, used, -1);
}

static void hang_up(struct connection* connection) {
  for (struct connection** at = &connections; *at != NULL; at = &(*at)->next) {
    if (*at != connection) continue;
    *at = connection->next;
    break;
  }
  forget_connection(connection);
  if (connection->exec_pid > 0) kill(connection->exec_pid, SIGKILL);
  struct container* container = connection->attached;
  connection->attached = NULL;
  if (container != NULL) tees_drop(container, connection);
  unwatch_fd(&connection->source);
  close(connection->source.fd);
  free(connection);
}

void attached_settled(struct container* container, struct connection* connection) {
  if (container->state != kExited || connection->attached != container) return;
  if (has_tees(container, connection)) return;
  connection->attached = NULL;
  int64_t numbers[2] = {container->code, container->signal};
  reply_words(connection, "exit", numbers, 2);
}

void announce_exit(struct container* container) {
  char text[512];
  size_t used = put_text(text, "exit") + 1;
  size_t bytes = strlen(container->id);
  if (bytes > 256) bytes = 256;
  memcpy(text + used, container->id, bytes);
  used += bytes;
  text[used++] = 0;
  used += put_number(text + used, container->code) + 1;
  used += put_number(text + used, container->signal) + 1;
  used += put_number(text + used, container->finished) + 1;
  for (struct connection* at = connections; at != NULL; at = at->next) {
    if (at->watching) reply(at, text, used, -1);
    attached_settled(container, at);
  }
}

static void list(struct connection* connection) {
  static const char* const kStates[] = {"creating", "created", "running", "exited"};
  static char text[SHIM_MESSAGE_MAX];
  size_t used = put_text(text, "ok") + 1;
  for (struct container* at = container_first(); at != NULL; at = at->next) {
    if (used + strlen(at->id) + 128 > sizeof text) break;
    if (at->state == kCreating) continue;
    used += put_text(text + used, at->id) + 1;
    used += put_number(text + used, at->pid) + 1;
    used += put_text(text + used, kStates[at->state]) + 1;
    used += put_number(text + used, at->started) + 1;
    used += put_number(text + used, at->code) + 1;
    used += put_number(text + used, at->signal) + 1;
    used += put_number(text + used, at->finished) + 1;
  }
  reply(connection, text, used, -1);
}

static void run_ended(void* context, struct connection* connection, int code, int signal) {
  (void)context;
  (void)signal;
  int64_t answer = code;
  if (connection != NULL) reply_words(connection, code == 0 ? "ok" : "error", &answer, 1);
}

static void exec_process_ended(void* context, struct connection* connection, int code, int signal) {
  (void)context;
  if (connection == NULL) return;
  connection->exec_pid = 0;
  int64_t numbers[2] = {code, signal};
  reply_words(connection, "exit", numbers, 2);
}

static void exec_ended(void* context, struct connection* connection, int code, int signal) {
  (void)signal;
  char* pid_file = context;
  int64_t answer = code;
  int64_t pid = code == 0 ? read_number_file(pid_file) : 0;
  unlink(pid_file);
  free(pid_file);
  if (code == 0 && pid <= 1) answer = 125;
  if (answer != 0) {
    if (connection != NULL) reply_words(connection, "error", &answer, 1);
    return;
  }
  int end_code = 0;
  int end_signal = 0;
  int over = was_reaped((pid_t)pid, &end_code, &end_signal);
  if (connection != NULL) reply_words(connection, "pid", &pid, 1);
  if (over) {
    exec_process_ended(NULL, connection, end_code, end_signal);
    return;
  }
  if (connection != NULL) {
    connection->exec_pid = (pid_t)pid;
  } else {
    kill((pid_t)pid, SIGKILL); /* Hung up while the runtime was at work. */
  }
  expect((pid_t)pid, exec_process_ended, NULL, connection);
}

static void exec_program(struct connection* connection, const struct words* words, const int* fds,
                         size_t fd_count) {
  int theirs[3] = {-1, -1, -1};
  for (size_t i = 0; i < fd_count && i < 3; ++i) theirs[i] = fds[i];
  pid_t pid = words->count >= 3 ? spawn(words->word + 2, theirs) : -1;
  if (pid < 0) {
    int64_t failure = errno;
    reply_words(connection, "error", &failure, 1);
    return;
  }
  expect(pid, exec_ended, copy_text(words->word[1]), connection);
}

/* Takes over the descriptors it uses and marks them with -1. */
static void attach(struct connection* connection, const struct words* words, int* fds,
                   size_t fd_count) {
  struct container* container = words->count >= 3 ? container_find(words->word[1]) : NULL;
  if (container == NULL || container->state == kExited || container->state == kCreating) {
    int64_t failure = ENOENT;
    reply_words(connection, "error", &failure, 1);
    return;
  }
  connection->attached = container;
  const char* which = words->word[2];
  for (size_t i = 0; i < fd_count && which[i] != 0; ++i) {
    struct stream* stream = which[i] == 'o' ? &container->out : &container->err;
    if (stream->container == NULL) continue; /* A terminal has no standard error of its own. */
    if (tee_add(stream, connection, fds[i]) == 0) fds[i] = -1;
  }
  reply(connection, "ok", 3, container->stdin_fd);
}

static int number_of(const struct words* words, size_t index) {
  return words->count > index ? (int)read_number(words->word[index]) : 0;
}

static void answer_errno(struct connection* connection, int number) {
  int64_t value = number;
  reply_words(connection, number == 0 ? "ok" : "error", &value, number == 0 ? 0 : 1);
}

static void run_program(struct connection* connection, const struct words* words) {
  int none[3] = {-1, -1, -1};
  pid_t pid = words->count >= 2 ? spawn(words->word + 1, none) : -1;
  if (pid < 0) {
    answer_errno(connection, errno);
  } else {
    expect(pid, run_ended, NULL, connection);
  }
}

static void serve(struct connection* connection, const struct words* words, int* fds,
                  size_t fd_count) {
  const char* verb = words->word[0];
  struct container* container = words->count > 1 ? container_find(words->word[1]) : NULL;
  if (strcmp(verb, "watch") == 0) {
    connection->watching = 1;
    answer_errno(connection, 0);
  } else if (strcmp(verb, "list") == 0) {
    list(connection);
  } else if (strcmp(verb, "create") == 0) {
    container_create(connection, words);
  } else if (strcmp(verb, "start") == 0) {
    container_start(connection, words);
  } else if (strcmp(verb, "run") == 0) {
    run_program(connection, words);
  } else if (strcmp(verb, "exec") == 0) {
    exec_program(connection, words, fds, fd_count);
  } else if (strcmp(verb, "attach") == 0) {
    attach(connection, words, fds, fd_count);
  } else if (strcmp(verb, "kill") == 0 && words->count > 2) {
    answer_errno(connection, container_kill(words->word[1], number_of(words, 2)));
  } else if (strcmp(verb, "reopen") == 0) {
    answer_errno(connection, container == NULL ? ENOENT : open_log(container) == 0 ? 0 : errno);
  } else if (strcmp(verb, "close-stdin") == 0) {
    if (container != NULL && container->stdin_fd >= 0 && !container->terminal) {
      close(container->stdin_fd);
      container->stdin_fd = -1;
    }
    answer_errno(connection, 0);
  } else if (strcmp(verb, "forget") == 0 && words->count > 1) {
    container_forget(words->word[1]);
    answer_errno(connection, 0);
  } else if (strcmp(verb, "mount") == 0 && words->count > 3) {
    const char* type = words->word[1];
    unsigned long flags = strcmp(type, "tmpfs") == 0 ? MS_NOSUID | MS_NODEV : 0;
    int failed = mount(type, words->word[2], type, flags, words->word[3]);
    answer_errno(connection, failed == 0 ? 0 : errno);
  } else if (strcmp(verb, "unmount") == 0 && words->count > 1) {
    int failed = umount2(words->word[1], MNT_DETACH);
    answer_errno(connection, failed == 0 ? 0 : errno);
  } else if (strcmp(verb, "quit") == 0) {
    quitting = 1;
  } else {
    answer_errno(connection, ENOSYS);
  }
}

static void connection_ready(struct source* source, uint32_t events) {
  (void)events;
  struct connection* connection = (struct connection*)source;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * 8)];
  } control;
  struct iovec part = {request, sizeof request - 1};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  ssize_t bytes = recvmsg(source->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes <= 0) {
    hang_up(connection);
    return;
  }
  int fds[8];
  size_t fd_count = 0;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(header), fd_count * sizeof(int));
  }
  request[bytes] = 0;
  static struct words words;
  words.count = 0;
  for (char* at = request; at < request + bytes; at += strlen(at) + 1) {
    if (words.count + 1 == sizeof words.word / sizeof words.word[0]) break;
    words.word[words.count++] = at;
  }
  words.word[words.count] = NULL;
  serve(connection, &words, fds, fd_count);
  for (size_t i = 0; i < fd_count; ++i) {
    if (fds[i] >= 0) close(fds[i]);
  }
}

void accept_ready(struct source* source, uint32_t events) {
  (void)events;
  int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  struct connection* connection = calloc(1, sizeof *connection);
  if (connection == NULL) {
    close(fd);
    return;
  }
  connection->source.fd = fd;
  connection->source.ready = connection_ready;
  connection->next = connections;
  connections = connection;
  watch_fd(&connection->source, EPOLLIN);
}
