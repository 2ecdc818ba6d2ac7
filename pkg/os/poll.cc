#include "os/poll.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace wherry::os {
namespace {

int milliseconds_left(std::optional<std::chrono::steady_clock::time_point> deadline) {
  if (!deadline) return -1;
  auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1 << 30));
}

std::optional<std::chrono::steady_clock::time_point> deadline_of(
    std::optional<std::chrono::milliseconds> limit) {
  if (!limit) return std::nullopt;
  return std::chrono::steady_clock::now() + *limit;
}

void drain_counter(int fd) {
  uint64_t value = 0;
  while (::read(fd, &value, sizeof value) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<Epoll> Epoll::open() {
  Fd fd(epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return Error::from_errno(errno, "epoll_create1");
  return Epoll(std::move(fd));
}

Result<void> Epoll::add(int fd, uint32_t events, uint64_t tag) {
  epoll_event event{.events = events, .data = {.u64 = tag}};
  if (epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return Error::from_errno(errno, "epoll_ctl");
  return {};
}

Result<void> Epoll::change(int fd, uint32_t events, uint64_t tag) {
  epoll_event event{.events = events, .data = {.u64 = tag}};
  if (epoll_ctl(fd_.get(), EPOLL_CTL_MOD, fd, &event) != 0)
    return Error::from_errno(errno, "epoll_ctl");
  return {};
}

void Epoll::remove(int fd) { epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, nullptr); }

Result<std::vector<Epoll::Event>> Epoll::wait(std::optional<std::chrono::milliseconds> limit) {
  epoll_event ready[64];
  auto deadline = deadline_of(limit);
  int count = 0;
  do {
    count = epoll_wait(fd_.get(), ready, 64, milliseconds_left(deadline));
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Error::from_errno(errno, "epoll_wait");
  std::vector<Event> out;
  for (int i = 0; i < count; ++i)
    out.push_back(Event{.tag = ready[i].data.u64, .events = ready[i].events});
  return out;
}

Result<EventFd> EventFd::open() {
  Fd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return Error::from_errno(errno, "eventfd");
  return EventFd(std::move(fd));
}

void EventFd::signal() {
  uint64_t one = 1;
  while (::write(fd_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void EventFd::clear() { drain_counter(fd_.get()); }

Result<TimerFd> TimerFd::open() {
  Fd fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) return Error::from_errno(errno, "timerfd_create");
  return TimerFd(std::move(fd));
}

Result<void> TimerFd::set(std::chrono::nanoseconds after) {
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(after.count() / 1'000'000'000);
  spec.it_value.tv_nsec = static_cast<long>(after.count() % 1'000'000'000);
  if (timerfd_settime(fd_.get(), 0, &spec, nullptr) != 0)
    return Error::from_errno(errno, "timerfd_settime");
  return {};
}

void TimerFd::clear() { drain_counter(fd_.get()); }

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe");
  Pipe pipe;
  pipe.read = Fd(ends[0]);
  pipe.write = Fd(ends[1]);
  return pipe;
}

Result<void> set_nonblocking(int fd, bool on) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return Error::from_errno(errno, "fcntl");
  flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (fcntl(fd, F_SETFL, flags) != 0) return Error::from_errno(errno, "fcntl");
  return {};
}

Result<bool> wait_for(int fd, short events, std::optional<std::chrono::milliseconds> limit) {
  auto deadline = deadline_of(limit);
  while (true) {
    pollfd entry{fd, events, 0};
    int count = ::poll(&entry, 1, milliseconds_left(deadline));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "poll");
    return count > 0;
  }
}

}  // namespace wherry::os
