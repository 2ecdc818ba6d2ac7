/* Container output: lines into the log in CRI format, and a copy to whoever is attached.
 *
 *   2024-05-06T07:08:09.123456789Z stdout F a whole line
 *   2024-05-06T07:08:09.123456789Z stdout P a part of a line, its end follows or never came
 *
 * A full disk loses log lines but never stops a container. An attached client that does not read
 * stops the stream it is attached to (as a terminal would); one that is gone is dropped. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim.h"

static char buffer[kLineMax];

int open_log(struct container* container) {
  int fd = open(container->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return -1;
  if (container->log_fd >= 0) close(container->log_fd);
  container->log_fd = fd;
  return 0;
}

static void write_line(struct stream* stream, char tag, const char* first, size_t first_bytes,
                       const char* second, size_t second_bytes) {
  char prefix[48];
  put_time(prefix, now_ns());
  size_t used = 30;
  prefix[used++] = ' ';
  used += put_text(prefix + used, stream->name);
  prefix[used++] = ' ';
  prefix[used++] = tag;
  prefix[used++] = ' ';
  char line_feed = '\n';
  struct iovec parts[4] = {
      {prefix, used}, {(void*)first, first_bytes}, {(void*)second, second_bytes}, {&line_feed, 1}};
  ssize_t written = writev(stream->container->log_fd, parts, 4);
  (void)written; /* The disk may be full. */
}

static void keep_partial(struct stream* stream, const char* text, size_t bytes) {
  if (bytes == 0) return;
  if (stream->partial == NULL) stream->partial = malloc(kLineMax);
  if (stream->partial == NULL) return;
  memcpy(stream->partial + stream->partial_bytes, text, bytes);
  stream->partial_bytes += bytes;
}

static void drop_partial(struct stream* stream) {
  free(stream->partial);
  stream->partial = NULL;
  stream->partial_bytes = 0;
}

static void log_bytes(struct stream* stream, const char* text, size_t bytes) {
  while (bytes > 0) {
    const char* end = memchr(text, '\n', bytes);
    size_t piece = end != NULL ? (size_t)(end - text) : bytes;
    size_t room = kLineMax - stream->partial_bytes;
    if (piece > room || (end == NULL && piece == room)) {
      write_line(stream, 'P', stream->partial, stream->partial_bytes, text, room);
      drop_partial(stream);
      text += room;
      bytes -= room;
    } else if (end != NULL) {
      write_line(stream, 'F', stream->partial, stream->partial_bytes, text, piece);
      drop_partial(stream);
      text += piece + 1;
      bytes -= piece + 1;
    } else {
      keep_partial(stream, text, piece);
      return;
    }
  }
}

static void resume(struct stream* stream) {
  for (struct tee* tee = stream->tees; tee != NULL; tee = tee->next) {
    if (tee->pending != NULL) return;
  }
  if (!stream->paused) return;
  stream->paused = 0;
  if (stream->source.fd < 0) return;
  watch_fd(&stream->source, EPOLLIN);
  if (stream->container->state == kExited) stream_drain(stream);
}

static void tee_free(struct tee* tee) {
  struct stream* stream = tee->stream;
  struct connection* connection = tee->connection;
  for (struct tee** at = &stream->tees; *at != NULL; at = &(*at)->next) {
    if (*at != tee) continue;
    *at = tee->next;
    break;
  }
  if (tee->registered) unwatch_fd(&tee->source);
  close(tee->source.fd);
  free(tee->pending);
  free(tee);
  resume(stream);
  attached_settled(stream->container, connection);
}

int has_tees(const struct container* container, const struct connection* connection) {
  for (const struct tee* tee = container->out.tees; tee != NULL; tee = tee->next) {
    if (tee->connection == connection) return 1;
  }
  for (const struct tee* tee = container->err.tees; tee != NULL; tee = tee->next) {
    if (tee->connection == connection) return 1;
  }
  return 0;
}

/* Writes what it can; gives 0 when the tee is gone. */
static int tee_write(struct tee* tee, const char* text, size_t bytes) {
  while (bytes > 0) {
    ssize_t count = write(tee->source.fd, text, bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count < 0) {
      tee_free(tee);
      return 0;
    }
    text += count;
    bytes -= (size_t)count;
  }
  if (bytes == 0) return 1;
  char* rest = malloc(bytes);
  if (rest == NULL) return 1;
  memcpy(rest, text, bytes);
  free(tee->pending);
  tee->pending = rest;
  tee->pending_bytes = bytes;
  if (!tee->registered) tee->registered = watch_fd(&tee->source, EPOLLOUT) == 0;
  return 1;
}

static void tee_ready(struct source* source, uint32_t events) {
  struct tee* tee = (struct tee*)source;
  if ((events & EPOLLOUT) == 0) {
    tee_free(tee);
    return;
  }
  char* text = tee->pending;
  size_t bytes = tee->pending_bytes;
  tee->pending = NULL;
  int alive = tee_write(tee, text, bytes);
  free(text);
  if (!alive || tee->pending != NULL) return;
  unwatch_fd(&tee->source);
  tee->registered = 0;
  resume(tee->stream);
}

int tee_add(struct stream* stream, struct connection* connection, int fd) {
  struct tee* tee = calloc(1, sizeof *tee);
  if (tee == NULL) return -1;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  tee->source.fd = fd;
  tee->source.ready = tee_ready;
  tee->connection = connection;
  tee->stream = stream;
  tee->next = stream->tees;
  stream->tees = tee;
  return 0;
}

static void tees_drop_stream(struct stream* stream, struct connection* connection) {
  struct tee* next = NULL;
  for (struct tee* tee = stream->tees; tee != NULL; tee = next) {
    next = tee->next;
    if (connection == NULL || tee->connection == connection) tee_free(tee);
  }
}

void tees_drop(struct container* container, struct connection* connection) {
  tees_drop_stream(&container->out, connection);
  tees_drop_stream(&container->err, connection);
}

/* Gives 0 at the end of the stream or when there is nothing to read now. */
static int read_some(struct stream* stream) {
  ssize_t bytes = read(stream->source.fd, buffer, sizeof buffer);
  if (bytes < 0 && errno == EINTR) return 1;
  if (bytes < 0 && errno == EAGAIN) return 0;
  if (bytes <= 0) { /* A terminal whose other side is closed says EIO. */
    stream_close(stream);
    return 0;
  }
  log_bytes(stream, buffer, (size_t)bytes);
  struct tee* next = NULL;
  int waiting = 0;
  for (struct tee* tee = stream->tees; tee != NULL; tee = next) {
    next = tee->next;
    if (tee_write(tee, buffer, (size_t)bytes) && tee->pending != NULL) waiting = 1;
  }
  if (waiting && !stream->paused) {
    /* Not just without EPOLLIN: a closed pipe is reported all the same, again and again. */
    stream->paused = 1;
    unwatch_fd(&stream->source);
  }
  return !waiting;
}

static void stream_ready(struct source* source, uint32_t events) {
  (void)events;
  /* One piece a turn: a chatty container must not starve the others. */
  struct stream* stream = (struct stream*)source;
  if (!stream->paused) read_some(stream);
}

void stream_open(struct stream* stream, struct container* container, const char* name, int fd) {
  memset(stream, 0, sizeof *stream);
  stream->container = container;
  stream->name = name;
  stream->source.fd = fd;
  stream->source.ready = stream_ready;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  watch_fd(&stream->source, EPOLLIN);
}

/* Tees that have nothing to deliver any more. */
static void free_idle_tees(struct stream* stream) {
  struct tee* next = NULL;
  for (struct tee* tee = stream->tees; tee != NULL; tee = next) {
    next = tee->next;
    if (tee->pending == NULL) tee_free(tee);
  }
}

/* Takes what has been written so far, at the end of the container's first process. */
void stream_drain(struct stream* stream) {
  for (int rounds = 0; rounds < 1024 && stream->source.fd >= 0 && !stream->paused; ++rounds) {
    if (!read_some(stream)) break;
  }
  if (stream->paused) return; /* A slow client holds it up; resume() comes back here. */
  if (stream->partial_bytes > 0) {
    write_line(stream, 'P', stream->partial, stream->partial_bytes, NULL, 0);
    drop_partial(stream);
  }
  free_idle_tees(stream);
}

void stream_close(struct stream* stream) {
  if (stream->partial_bytes > 0)
    write_line(stream, 'P', stream->partial, stream->partial_bytes, NULL, 0);
  drop_partial(stream);
  if (stream->source.fd >= 0) {
    if (!stream->paused) unwatch_fd(&stream->source);
    close(stream->source.fd);
  }
  stream->source.fd = -1;
  /* What a slow client has not taken yet still goes to it. */
  free_idle_tees(stream);
}
