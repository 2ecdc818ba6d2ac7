#pragma once
/* The shim: one small process per pod that owns its namespaces, is parent of its containers, writes
 * their logs and exit codes, and outlives the server. Single-threaded, no stdio, one epoll loop;
 * what it does not need it does not hold. Its current folder is the pod's, so container files are
 * "c/ID/...". */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { kLineMax = 16384 }; /* CRI: longer lines are logged in parts. */

/* Something epoll reports on. `ready` may free the structure that holds the source. */
struct source {
  int fd;
  void (*ready)(struct source*, uint32_t events);
};

struct connection {
  struct source source; /* First: ready() casts. */
  struct connection* next;
  int watching;
  pid_t exec_pid; /* Killed when the other side hangs up. */
  struct container* attached;
};

/* Where a stream's output goes besides the log. */
struct tee {
  struct source source;
  struct tee* next;
  struct connection* connection;
  struct stream* stream;
  char* pending;
  size_t pending_bytes;
  int registered;
};

/* Standard output, standard error or terminal of a container. */
struct stream {
  struct source source;
  struct container* container;
  const char* name; /* "stdout" or "stderr". */
  char* partial;    /* The line so far; kLineMax bytes once there is one. */
  size_t partial_bytes;
  struct tee* tees;
  int paused;
};

enum state { kCreating, kCreated, kRunning, kExited };

struct container {
  struct container* next;
  char* id;
  char* log_path;
  char* pid_file;
  int log_fd;
  int terminal;
  int stdin_fd; /* Write end, or the terminal; -1 when closed. */
  int console_listener;
  struct stream out;
  struct stream err;
  enum state state;
  pid_t pid;
  int code;
  int signal;
  int64_t started; /* Nanoseconds since 1970. */
  int64_t finished;
};

struct words {
  char* word[512];
  size_t count;
};

/* main.c */
int watch_fd(struct source* source, uint32_t events);
void unwatch_fd(struct source* source);
int64_t now_ns(void);

/* text.c */
size_t put_number(char* to, int64_t value);
size_t put_text(char* to, const char* text);
void put_time(char* to, int64_t ns); /* 30 characters, RFC 3339. */
int64_t read_number(const char* text);
int64_t read_number_file(const char* path);
void write_small_file(const char* path, const char* text, size_t bytes);
char* copy_text(const char* text);

/* output.c */
void stream_open(struct stream* stream, struct container* container, const char* name, int fd);
void stream_drain(struct stream* stream);
void stream_close(struct stream* stream);
int open_log(struct container* container);
int tee_add(struct stream* stream, struct connection* connection, int fd);
void tees_drop(struct container* container, struct connection* connection);
int has_tees(const struct container* container, const struct connection* connection);

/* children.c */
typedef void (*ended)(void* context, struct connection* connection, int code, int signal);
pid_t spawn(char* const* args, const int fds[3]);
void expect(pid_t pid, ended callback, void* context, struct connection* connection);
void forget_connection(struct connection* connection);
int reap(void);
int was_reaped(pid_t pid, int* code, int* signal);

/* container.c */
struct container* container_find(const char* id);
struct container* container_first(void);
void container_create(struct connection* connection, const struct words* words);
void container_start(struct connection* connection, const struct words* words);
int container_kill(const char* id, int signal);
void container_forget(const char* id);

/* server.c */
void accept_ready(struct source* source, uint32_t events);
void reply(struct connection* connection, const char* text, size_t bytes, int fd);
void reply_words(struct connection* connection, const char* first, const int64_t* numbers,
                 size_t count);
void announce_exit(struct container* container);
void attached_settled(struct container* container, struct connection* connection);
int running(void);

/* pod.c: namespaces and the shared init; gives the text of what failed, or null. */
const char* pod_setup(int argc, char** argv, pid_t* init);
