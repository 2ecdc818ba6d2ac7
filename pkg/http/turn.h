#pragma once
// Turn: a request that has to wait before it is served. The handler makes one, gives it to the
// response (Response::wait_for) and returns; the connection is then parked with its request, which
// costs no thread. grant() makes some worker run the handler again, with Request::turn set. So does
// the deadline, after which granted() is still false. When the client leaves meanwhile, the
// connection lets go of the turn, and the handler hears no more of it.
//
// A brief turn comes soon whatever the client does: the write of a request that is on its way to
// the disk. The server does not look whether the client stays, and ends only when it has come.
//
// Threads: grant() and granted() any; the rest is the server's. A turn may be granted before the
// server has parked the connection; nothing is lost.

#include <functional>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"

namespace wherry::http {

class Turn {
 public:
  enum class Length { kLong, kBrief };
  explicit Turn(MonotonicTime deadline, Length length = Length::kLong)
      : deadline_(deadline), brief_(length == Length::kBrief) {}
  virtual ~Turn() = default;
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  void grant() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    granted_ = true;
    if (wake_ != nullptr) wake_();
  }
  bool granted() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return granted_;
  }

  // ---- For the server.
  MonotonicTime deadline() const { return deadline_; }
  bool brief() const { return brief_; }
  // `wake` is called under the turn's lock, at once when granted already.
  void arm(std::function<void()> wake) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    wake_ = std::move(wake);
    if (granted_) wake_();
  }
  // No more calls after this.
  void disarm() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    wake_ = nullptr;
  }

 private:
  const MonotonicTime deadline_;
  const bool brief_;
  mutable Mutex mutex_;
  bool granted_ GUARDED_BY(mutex_) = false;
  std::function<void()> wake_ GUARDED_BY(mutex_);
};

}  // namespace wherry::http
