#include "http/parking.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace wherry::http {
namespace {

// What an event is about stands in its top bits: a connection's id, or a descriptor.
constexpr uint64_t kTimerMark = uint64_t{1} << 63;
constexpr uint64_t kStopMark = uint64_t{1} << 62;
constexpr uint64_t kListenerMark = uint64_t{1} << 61;
constexpr uint64_t kReadyMark = uint64_t{1} << 60;
constexpr std::chrono::seconds kReapInterval{1};

Result<void> add(int epoll, int fd, uint32_t events, uint64_t data) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = data;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    return Error::from_errno(errno, "epoll_ctl");
  return {};
}

}  // namespace

Parking::~Parking() {
  for (int fd : {epoll_, timer_, stop_event_, ready_event_}) {
    if (fd >= 0) close(fd);
  }
}

Result<void> Parking::start() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  stop_event_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ready_event_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (epoll_ < 0 || timer_ < 0 || stop_event_ < 0 || ready_event_ < 0) {
    return Error::from_errno(errno, "epoll");
  }
  TRY(add(epoll_, timer_, EPOLLIN | EPOLLET, kTimerMark));
  TRY(add(epoll_, ready_event_, EPOLLIN | EPOLLET, kReadyMark));
  return add(epoll_, stop_event_, EPOLLIN, kStopMark);
}

Result<void> Parking::add_listener(int fd) {
  return add(epoll_, fd, EPOLLIN | EPOLLONESHOT, kListenerMark | static_cast<uint64_t>(fd));
}

void Parking::rearm_listener(int fd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = kListenerMark | static_cast<uint64_t>(fd);
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

uint64_t Parking::park(std::unique_ptr<Connection> connection) {
  MutexLock lock(mutex_);
  if (stopping_) return 0;
  if (connection->id == 0) connection->id = next_id_++;
  epoll_event event{};
  event.events = connection->wanted_events() | EPOLLONESHOT;
  event.data.u64 = connection->id;
  // Under the lock: once it is in the map the reaper may close it, and its number may be reused.
  int operation = connection->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(epoll_, operation, connection->fd(), &event) != 0) return 0;
  connection->in_epoll = true;
  return hold(std::move(connection));
}

uint64_t Parking::keep(std::unique_ptr<Connection> connection) {
  MutexLock lock(mutex_);
  if (stopping_) return 0;
  if (connection->id == 0) connection->id = next_id_++;
  return hold(std::move(connection));
}

uint64_t Parking::hold(std::unique_ptr<Connection> connection) {
  uint64_t id = connection->id;
  if (connection->deadline < armed_) arm(connection->deadline);
  parked_.emplace(id, std::move(connection));
  return id;
}

void Parking::wake(uint64_t id) {
  MutexLock lock(mutex_);
  auto found = parked_.find(id);
  if (found == parked_.end()) return;
  bring(std::move(found->second));
  parked_.erase(found);
}

void Parking::bring(std::unique_ptr<Connection> connection) {
  ready_.push_back(std::move(connection));
  signal_ready();
}

// Workers that are busy look before they listen.
void Parking::signal_ready() {
  if (signalled_ || listening_ == 0) return;
  signalled_ = true;
  eventfd_write(ready_event_, 1);
}

void Parking::forget(const Connection& connection) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.fd(), nullptr);
}

void Parking::arm(MonotonicTime at) {
  at = std::max(at, reaped_ + kReapInterval);
  armed_ = at;
  auto since_boot = at.time_since_epoch();
  auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = std::max<int64_t>((since_boot - seconds).count(), 1);
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void Parking::reap() {
  std::vector<std::unique_ptr<Connection>> late;  // Closed outside the lock.
  MutexLock lock(mutex_);
  MonotonicTime now = std::chrono::steady_clock::now();
  reaped_ = now;
  armed_ = MonotonicTime::max();
  MonotonicTime next = MonotonicTime::max();
  for (auto at = parked_.begin(); at != parked_.end();) {
    if (at->second->deadline <= now && at->second->waiting != nullptr) {
      bring(std::move(at->second));
      at = parked_.erase(at);
    } else if (at->second->deadline <= now) {
      late.push_back(std::move(at->second));
      at = parked_.erase(at);
    } else {
      next = std::min(next, at->second->deadline);
      ++at;
    }
  }
  if (next != MonotonicTime::max()) arm(next);
}

bool Parking::evict_idle() {
  std::unique_ptr<Connection> oldest;
  MutexLock lock(mutex_);
  auto found = parked_.end();
  for (auto at = parked_.begin(); at != parked_.end(); ++at) {
    if (at->second->phase != Connection::Phase::kIdle) continue;
    if (found == parked_.end() || at->second->deadline < found->second->deadline) found = at;
  }
  if (found == parked_.end()) return false;
  oldest = std::move(found->second);
  parked_.erase(found);
  return true;
}

Parking::Event Parking::wait() {
  {
    MutexLock lock(mutex_);
    if (!ready_.empty()) return take_ready();
    ++listening_;
  }
  epoll_event event{};
  int count = epoll_wait(epoll_, &event, 1, -1);
  uint64_t data = count == 1 ? event.data.u64 : kReadyMark;
  MutexLock lock(mutex_);
  --listening_;
  if (data == kReadyMark) {
    if (count == 1) signalled_ = false;
    return ready_.empty() ? Event{} : take_ready();
  }
  if (data == kTimerMark) {
    uint64_t ignored = 0;
    (void)!read(timer_, &ignored, sizeof(ignored));
    return {Event::Kind::kDeadline};
  }
  if (data == kStopMark) return {Event::Kind::kStop};
  if ((data & kListenerMark) != 0) {
    return {Event::Kind::kAccept, nullptr, static_cast<int>(data & ~kListenerMark)};
  }
  auto found = parked_.find(data);
  if (found == parked_.end()) return {};  // Closed or woken while the event was under way.
  Event taken{Event::Kind::kConnection, std::move(found->second)};
  parked_.erase(found);
  return taken;
}

Parking::Event Parking::take_ready() {
  Event taken{Event::Kind::kConnection, std::move(ready_.front())};
  ready_.pop_front();
  if (!ready_.empty()) signal_ready();
  return taken;
}

std::vector<std::unique_ptr<Connection>> Parking::stop() {
  // Closed outside the lock: what a request lets go of may give another its turn, which wakes it.
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> all;
  std::deque<std::unique_ptr<Connection>> ready;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    all.swap(parked_);
    ready.swap(ready_);
    eventfd_write(stop_event_, 1);
  }
  std::vector<std::unique_ptr<Connection>> unfinished;
  for (auto& [id, connection] : all) {
    if (connection->output != nullptr) unfinished.push_back(std::move(connection));
  }
  return unfinished;
}

size_t Parking::count() {
  MutexLock lock(mutex_);
  return parked_.size() + ready_.size();
}

}  // namespace wherry::http
