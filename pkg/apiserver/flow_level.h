#pragma once
// FlowLevels: the seats of the priority levels, and who waits for one.
//
// A level has a nominal number of seats out of the server's, by its shares. A request takes as many
// as its width says, for as long as it is worked on. When a level has no seat left it may sit on
// those that the other levels lend and do not use. Beyond that a request waits in one of the
// level's queues, or is refused. A flow's requests go to the shortest of the few queues that the
// flow is dealt (shuffle sharding), and the queues are served by the time they have used, so that a
// flow that asks for much waits for itself and not the others for it. What did not have to wait is
// not charged.
//
// A waiting request is an http::Turn: its connection is parked, and no thread waits with it.
//
// Threads: any. While a level has free seats, entering and leaving is one atomic operation each. No
// lock is held while a turn is granted.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "http/turn.h"

namespace wherry::apiserver {

class FlowLevel;

// Taken seats; given back when the last holder lets go.
class Seat {
 public:
  Seat(std::shared_ptr<FlowLevel> level, unsigned width, int queue);
  ~Seat();
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

 private:
  const std::shared_ptr<FlowLevel> level_;
  const unsigned width_;
  const int queue_;  // -1: it did not wait.
  const MonotonicTime since_;
};
using SeatPtr = std::shared_ptr<const Seat>;

class FlowTurn final : public http::Turn {
 public:
  FlowTurn(MonotonicTime deadline, unsigned width) : Turn(deadline), width_(width) {}
  // Once it is granted.
  SeatPtr take_seat() { return std::exchange(seat_, nullptr); }

 private:
  friend class FlowLevel;
  const unsigned width_;
  SeatPtr seat_;  // Written before grant().
};

struct FlowLimits {
  unsigned seats = 0;
  unsigned lendable = 0;
  unsigned borrowable = UINT32_MAX;
  bool queues_up = false;  // Else what finds no seat is refused.
  unsigned queues = 1;
  unsigned hand_size = 1;
  unsigned queue_length = 1;
};

// The levels that there are; see FlowControl, which replaces the list as a whole.
using FlowLevelList = std::shared_ptr<const std::vector<std::shared_ptr<FlowLevel>>>;

class FlowLevel : public std::enable_shared_from_this<FlowLevel> {
 public:
  // How long requests wait at most.
  static constexpr std::chrono::seconds kWaitMax{15};

  explicit FlowLevel(const Clock& clock) : clock_(clock) {}
  void configure(const FlowLimits& limits, const FlowLevelList& all) EXCLUDES(mutex_);

  struct Entry {
    SeatPtr seat;                    // It may run,
    std::shared_ptr<FlowTurn> turn;  // or it waits;
    // neither: it is refused.
  };
  Entry enter(uint64_t flow, unsigned width) EXCLUDES(mutex_);

  unsigned in_use() const { return seats_of(state_.load(std::memory_order_relaxed)); }
  unsigned waiting() const { return waiting_of(state_.load(std::memory_order_relaxed)); }

 private:
  friend class Seat;
  struct Queue {
    std::deque<std::weak_ptr<FlowTurn>> turns;
    double used = 0;  // Seat-seconds, never less than those of the queue served last.
  };
  using Granted = std::vector<std::shared_ptr<FlowTurn>>;

  static unsigned seats_of(uint64_t state) { return static_cast<unsigned>(state); }
  static unsigned waiting_of(uint64_t state) { return static_cast<unsigned>(state >> 32); }
  static bool fits(unsigned in_use, unsigned width, unsigned limit) {
    return in_use == 0 || in_use + width <= limit;
  }

  void leave(unsigned width, int queue, Duration used) EXCLUDES(mutex_);
  bool take(unsigned width, unsigned limit, bool past_queue);
  unsigned limit() REQUIRES(mutex_);
  unsigned idle_lendable() const;
  unsigned borrowed() const;
  int choose_queue(uint64_t flow) REQUIRES(mutex_);
  void prune(Queue& queue) REQUIRES(mutex_);
  void dispatch(Granted& granted) REQUIRES(mutex_);
  static void grant(const Granted& granted);

  const Clock& clock_;
  // Seats taken in the low half, requests waiting in the high one.
  std::atomic<uint64_t> state_{0};
  std::atomic<unsigned> seats_{0};
  std::atomic<unsigned> lendable_{0};

  Mutex mutex_;
  FlowLimits limits_ GUARDED_BY(mutex_);
  std::weak_ptr<const std::vector<std::shared_ptr<FlowLevel>>> all_ GUARDED_BY(mutex_);
  std::vector<Queue> queues_ GUARDED_BY(mutex_);
  double served_ GUARDED_BY(mutex_) = 0;  // `used` of the queue served last.
};

}  // namespace wherry::apiserver
