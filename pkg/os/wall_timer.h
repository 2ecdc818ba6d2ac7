#pragma once
// WallTimer: becomes readable when the wall clock reaches a time, and at once when somebody sets
// the clock, whichever way it steps. One thread.

#include "base/clock.h"
#include "base/result.h"
#include "os/fd.h"

namespace wherry::os {

class WallTimer {
 public:
  static Result<WallTimer> open();
  int fd() const { return fd_.get(); }
  Result<void> set(Time when);
  void clear();  // After it has become readable.

 private:
  explicit WallTimer(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace wherry::os
