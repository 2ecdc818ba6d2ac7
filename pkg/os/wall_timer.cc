#include "os/wall_timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

namespace wherry::os {

Result<WallTimer> WallTimer::open() {
  Fd fd(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!fd) return Error::from_errno(errno, "timerfd_create");
  return WallTimer(std::move(fd));
}

Result<void> WallTimer::set(Time when) {
  // Zero would disarm it.
  int64_t seconds = std::max<int64_t>(
      1, std::chrono::ceil<std::chrono::seconds>(when.time_since_epoch()).count());
  itimerspec wanted{};
  wanted.it_value.tv_sec = static_cast<time_t>(seconds);
  if (timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &wanted, nullptr) !=
      0) {
    return Error::from_errno(errno, "timerfd_settime");
  }
  return {};
}

void WallTimer::clear() {
  uint64_t count = 0;
  // Fails with ECANCELED after a step of the clock; either way it was read.
  [[maybe_unused]] ssize_t got = read(fd_.get(), &count, sizeof count);
}

}  // namespace wherry::os
