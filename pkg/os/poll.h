#pragma once
// Descriptors for waiting: epoll, eventfd, timerfd, pipes. An Epoll is waited on by one thread;
// add, change and remove may come from any. EventFd::signal may come from any thread.

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "os/fd.h"

namespace wherry::os {

class Epoll {
 public:
  static Result<Epoll> open();
  Result<void> add(int fd, uint32_t events, uint64_t tag);
  Result<void> change(int fd, uint32_t events, uint64_t tag);
  void remove(int fd);

  struct Event {
    uint64_t tag;
    uint32_t events;
  };
  // Empty after the limit; without one it waits for ever. Interrupted waits go on.
  Result<std::vector<Event>> wait(std::optional<std::chrono::milliseconds> limit);
  int fd() const { return fd_.get(); }

 private:
  explicit Epoll(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

class EventFd {
 public:
  static Result<EventFd> open();
  int fd() const { return fd_.get(); }
  void signal();
  void clear();

 private:
  explicit EventFd(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

class TimerFd {
 public:
  static Result<TimerFd> open();
  int fd() const { return fd_.get(); }
  Result<void> set(std::chrono::nanoseconds after);  // Zero disarms.
  void clear();

 private:
  explicit TimerFd(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

struct Pipe {
  Fd read;
  Fd write;
};
Result<Pipe> make_pipe();  // Close-on-exec, blocking.
Result<void> set_nonblocking(int fd, bool on);
// Waits for POLLIN and the like; false after the limit.
Result<bool> wait_for(int fd, short events, std::optional<std::chrono::milliseconds> limit);

}  // namespace wherry::os
