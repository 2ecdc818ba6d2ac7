#pragma once
// Crew: how many of the server's workers are up at once. A kernel that may wake a worker for every
// event does, and then each request costs two switches between threads that are all after the same
// two or four processors. So no more workers are up than have processors to run on: each looks for
// its next request when it is done with one, and under load finds it there without having slept.
//
// Who waits for a disk or a peer (WaitScope), or sends a long answer, is not up meanwhile. Another
// worker is called when none that is up listens any more. Work that keeps all of them busy for
// long, or waits without saying so, does not keep the others out either: while none listens, one of
// those that sleep looks every kPatience whether anything was begun in that time, and if not, it
// comes up itself.
//
// Threads: any. hire() is called without a lock held.

#include <chrono>
#include <cstdint>
#include <functional>

#include "base/mutex.h"
#include "base/wait_scope.h"

namespace wherry::http {

class Crew final : public Lender {
 public:
  static constexpr std::chrono::milliseconds kPatience{1};

  // `size` are up. hire(up) starts one more worker, which goes on with start(up); false when there
  // are as many as there may be.
  Crew(unsigned size, std::function<bool(bool up)> hire);
  Crew(const Crew&) = delete;

  // Hires the first ones.
  void begin() EXCLUDES(mutex_);
  // A worker's first call. One that was not hired to be up sleeps until it is called.
  void start(bool up) EXCLUDES(mutex_);
  // Before a worker waits for an event, and with the event. listen() sleeps while too many are up;
  // false: the crew goes home.
  bool listen() EXCLUDES(mutex_);
  void took() EXCLUDES(mutex_);
  void stop() EXCLUDES(mutex_);

  // Lender: of workers between took() and listen().
  void waits() override EXCLUDES(mutex_);
  void goes_on() override EXCLUDES(mutex_);

 private:
  void rest() REQUIRES(mutex_);
  bool watch() REQUIRES(mutex_);
  bool busy() const REQUIRES(mutex_) { return listening_ == 0; }
  enum class Need { kNone, kHand, kWatch };
  Need need() REQUIRES(mutex_);
  void meet(Need need) EXCLUDES(mutex_);

  const unsigned size_;
  const std::function<bool(bool)> hire_;
  Mutex mutex_;
  CondVar changed_;
  unsigned up_ GUARDED_BY(mutex_) = 0;  // With those that were called and are on their way.
  unsigned listening_ GUARDED_BY(mutex_) = 0;
  unsigned asleep_ GUARDED_BY(mutex_) = 0;
  unsigned calls_ GUARDED_BY(mutex_) = 0;  // Not heard yet.
  uint64_t taken_ GUARDED_BY(mutex_) = 0;  // Events.
  bool watched_ GUARDED_BY(mutex_) = false;
  bool watch_hired_ GUARDED_BY(mutex_) = false;  // And not asleep yet.
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace wherry::http
