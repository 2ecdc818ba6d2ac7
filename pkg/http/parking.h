#pragma once
// Parking: the epoll in which connections wait for their next request (or the rest of one), with
// the listening sockets and one timer for all deadlines. The workers wait in it themselves: an
// event wakes one of them and makes it the connection's owner, with no queue or thread in between.
//
// Deadlines are kept to the second, by looking through what is parked when the earliest may have
// passed, at most once a second; with nothing parked there is no timer.
//
// Threads: any.

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "http/connection.h"

namespace wherry::http {

class Parking {
 public:
  struct Event {
    enum class Kind { kNone, kConnection, kAccept, kDeadline, kStop };
    Kind kind = Kind::kNone;
    std::unique_ptr<Connection> connection;
    int listener = -1;
  };

  Parking() = default;
  ~Parking();
  Parking(const Parking&) = delete;
  Parking& operator=(const Parking&) = delete;

  Result<void> start();
  Result<void> add_listener(int fd);
  void rearm_listener(int fd);
  // Waits for connection->wanted_events() until connection->deadline; then it is closed, or if its
  // request waits for its turn, brought before a worker. The number is for wake(); 0 when stopping.
  uint64_t park(std::unique_ptr<Connection> connection) EXCLUDES(mutex_);
  // The same without an eye on the connection: only wake() or the deadline brings it back.
  uint64_t keep(std::unique_ptr<Connection> connection) EXCLUDES(mutex_);
  // Brings a parked connection before a worker now.
  void wake(uint64_t id) EXCLUDES(mutex_);
  // The connection moves to another epoll.
  void forget(const Connection& connection);
  // Closes the parked idle connection that has been idle longest. False when there is none.
  bool evict_idle() EXCLUDES(mutex_);
  // kDeadline: reap() is due.
  Event wait() EXCLUDES(mutex_);
  void reap() EXCLUDES(mutex_);
  // From now on wait() answers kStop. What is parked is closed, but for connections that an answer
  // is still being sent on.
  std::vector<std::unique_ptr<Connection>> stop() EXCLUDES(mutex_);
  size_t count() EXCLUDES(mutex_);

 private:
  Event take_ready() REQUIRES(mutex_);
  uint64_t hold(std::unique_ptr<Connection> connection) REQUIRES(mutex_);
  void arm(MonotonicTime at) REQUIRES(mutex_);
  void bring(std::unique_ptr<Connection> connection) REQUIRES(mutex_);

  void signal_ready() REQUIRES(mutex_);

  int epoll_ = -1;
  int timer_ = -1;
  int stop_event_ = -1;
  int ready_event_ = -1;

  Mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> parked_ GUARDED_BY(mutex_);
  // Those that were woken: they need no event of their own, and one wakes a worker for all of them.
  std::deque<std::unique_ptr<Connection>> ready_ GUARDED_BY(mutex_);
  unsigned listening_ GUARDED_BY(mutex_) = 0;  // Workers in the epoll.
  bool signalled_ GUARDED_BY(mutex_) = false;  // ready_event_ was, and no worker has heard yet.
  uint64_t next_id_ GUARDED_BY(mutex_) = 1;
  MonotonicTime armed_ GUARDED_BY(mutex_) = MonotonicTime::max();
  MonotonicTime reaped_ GUARDED_BY(mutex_){};
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace wherry::http
