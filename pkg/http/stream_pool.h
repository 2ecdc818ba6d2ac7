#pragma once
// StreamPool: the bounded threads for upgraded and long-lived connections, one a connection.
// StreamGate is its counter, which a handler asks before it promises anything to its client.
//
// Threads: any may reserve, release and run; stop() is for the owner.

#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <unordered_set>

#include "base/mutex.h"
#include "base/result.h"
#include "http/connection.h"
#include "http/hub_thread.h"

namespace wherry::http {

class StreamGate {
 public:
  explicit StreamGate(unsigned limit) : limit_(limit) {}
  Result<void> reserve() EXCLUDES(mutex_);
  void release() EXCLUDES(mutex_);
  size_t taken() EXCLUDES(mutex_);

 private:
  const unsigned limit_;
  Mutex mutex_;
  unsigned taken_ GUARDED_BY(mutex_) = 0;
};

class StreamPool {
 public:
  explicit StreamPool(unsigned limit) : gate_(limit) {}
  ~StreamPool() { stop(); }

  StreamGate& gate() { return gate_; }
  // Runs `body` with the connection on a thread of its own; the connection closes when it returns.
  // The caller has reserved a place, which is released then.
  void run(std::unique_ptr<Connection> connection, std::function<void(Stream&)> body)
      EXCLUDES(mutex_);
  // Cuts every connection, so that bodies see the end of input, and waits for them.
  void stop() EXCLUDES(mutex_);

 private:
  struct Running {
    std::jthread thread;
    int fd = -1;
    bool done = false;
  };
  void reap() EXCLUDES(mutex_);

  StreamGate gate_;
  Mutex mutex_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::list<Running> running_ GUARDED_BY(mutex_);
};

}  // namespace wherry::http
