#pragma once
// Clock: the seam for time. Intervals use monotonic(); now() is only for stamps that people and
// clients read, since the wall clock may step either way at any moment. Any thread.

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace wherry {

using Duration = std::chrono::nanoseconds;
using Time = std::chrono::sys_time<std::chrono::microseconds>;  // Wall clock, UTC.
using MonotonicTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  virtual MonotonicTime monotonic() const = 0;
};

class SystemClock final : public Clock {
 public:
  Time now() const override;
  MonotonicTime monotonic() const override { return std::chrono::steady_clock::now(); }
};

// For tests: stands still until moved. Any thread.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(Time start = Time(std::chrono::seconds(1'700'000'000))) : now_(start) {}
  Time now() const override { return now_.load(); }
  MonotonicTime monotonic() const override { return monotonic_.load(); }
  void advance(Duration by) {
    now_ = now_.load() + std::chrono::duration_cast<std::chrono::microseconds>(by);
    monotonic_ = monotonic_.load() + by;
  }
  // A clock step: the wall clock moves, intervals do not.
  void step(Duration by) {
    now_ = now_.load() + std::chrono::duration_cast<std::chrono::microseconds>(by);
  }

 private:
  std::atomic<Time> now_;
  std::atomic<MonotonicTime> monotonic_{MonotonicTime(std::chrono::hours(1))};
};

// meta/v1 Time on the wire: "2024-05-06T07:08:09Z", whole seconds.
std::string format_time(Time time);
// meta/v1 MicroTime: "2024-05-06T07:08:09.123456Z".
std::string format_micro_time(Time time);
// RFC 3339 with nine fractional digits, as in container logs.
std::string format_nano_time(std::chrono::sys_time<std::chrono::nanoseconds> time);
// RFC 3339 with any fraction and offset; empty when the text is not one.
std::optional<Time> parse_time(std::string_view text);

}  // namespace wherry
