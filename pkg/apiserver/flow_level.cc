#include "apiserver/flow_level.h"

#include <algorithm>

#include "base/check.h"

namespace wherry::apiserver {
namespace {

constexpr uint64_t kOneWaiting = uint64_t{1} << 32;
// What a request is charged when it starts; the rest, or less, when it ends.
constexpr double kGuessSeconds = 0.001;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Seat::Seat(std::shared_ptr<FlowLevel> level, unsigned width, int queue)
    : level_(std::move(level)), width_(width), queue_(queue), since_(level_->clock_.monotonic()) {}

Seat::~Seat() { level_->leave(width_, queue_, level_->clock_.monotonic() - since_); }

void FlowLevel::configure(const FlowLimits& limits, const FlowLevelList& all) {
  Granted granted;
  {
    MutexLock lock(mutex_);
    limits_ = limits;
    all_ = all;
    seats_ = limits.seats;
    lendable_ = std::min(limits.lendable, limits.seats);
    size_t queues = limits.queues_up ? std::max(limits.queues, 1U) : 1;
    // What waits in a queue that goes stays in the last one.
    while (queues_.size() > queues) {
      std::deque<std::weak_ptr<FlowTurn>> turns = std::move(queues_.back().turns);
      queues_.pop_back();
      for (auto& turn : turns) queues_.back().turns.push_back(std::move(turn));
    }
    queues_.resize(queues, Queue{{}, served_});
    dispatch(granted);
  }
  grant(granted);
}

bool FlowLevel::take(unsigned width, unsigned limit, bool past_queue) {
  uint64_t state = state_.load();
  do {
    if (!past_queue && waiting_of(state) > 0) return false;
    if (!fits(seats_of(state), width, limit)) return false;
  } while (!state_.compare_exchange_weak(state, state + width));
  return true;
}

unsigned FlowLevel::idle_lendable() const {
  unsigned seats = seats_.load(std::memory_order_relaxed);
  unsigned taken = in_use();
  return taken >= seats ? 0 : std::min(lendable_.load(std::memory_order_relaxed), seats - taken);
}

unsigned FlowLevel::borrowed() const {
  unsigned seats = seats_.load(std::memory_order_relaxed);
  unsigned taken = in_use();
  return taken > seats ? taken - seats : 0;
}

// With what others lend just now. A seat that its level wants back is given back when the request
// that sits on it ends.
unsigned FlowLevel::limit() {
  auto all = all_.lock();
  if (all == nullptr) return limits_.seats;
  unsigned lent = 0;
  unsigned borrowed_by_others = 0;
  for (const std::shared_ptr<FlowLevel>& level : *all) {
    if (level.get() == this) continue;
    lent += level->idle_lendable();
    borrowed_by_others += level->borrowed();
  }
  unsigned free = lent > borrowed_by_others ? lent - borrowed_by_others : 0;
  return limits_.seats + std::min(free, limits_.borrowable);
}

FlowLevel::Entry FlowLevel::enter(uint64_t flow, unsigned width) {
  unsigned seats = seats_.load(std::memory_order_relaxed);
  if (take(width, seats, false)) {
    return {std::make_shared<const Seat>(shared_from_this(), width, -1), nullptr};
  }
  Entry entry;
  Granted granted;
  {
    MutexLock lock(mutex_);
    if (take(width, limit(), false)) {
      entry.seat = std::make_shared<const Seat>(shared_from_this(), width, -1);
      return entry;
    }
    if (!limits_.queues_up) return entry;
    Queue& queue = queues_[static_cast<size_t>(choose_queue(flow))];
    if (queue.turns.size() >= limits_.queue_length) prune(queue);
    if (queue.turns.size() >= limits_.queue_length) return entry;
    if (queue.turns.empty()) queue.used = std::max(queue.used, served_);
    entry.turn = std::make_shared<FlowTurn>(clock_.monotonic() + kWaitMax, width);
    queue.turns.push_back(entry.turn);
    state_.fetch_add(kOneWaiting);
    // Seats given back since the look above saw nobody waiting.
    dispatch(granted);
  }
  grant(granted);
  return entry;
}

void FlowLevel::leave(unsigned width, int queue, Duration used) {
  uint64_t before = state_.fetch_sub(width);
  if (waiting_of(before) == 0 && queue < 0) return;
  Granted granted;
  {
    MutexLock lock(mutex_);
    if (queue >= 0 && static_cast<size_t>(queue) < queues_.size()) {
      queues_[static_cast<size_t>(queue)].used += width * (seconds(used) - kGuessSeconds);
    }
    dispatch(granted);
  }
  grant(granted);
}

// The flow's hand: `hand_size` different queues, dealt by the digits of its number. The shortest of
// them gets the request.
int FlowLevel::choose_queue(uint64_t flow) {
  constexpr size_t kHandMax = 16;
  size_t count = queues_.size();
  size_t hand_size = std::clamp<size_t>(limits_.hand_size, 1, std::min(count, kHandMax));
  size_t hand[kHandMax];
  size_t best = 0;
  for (size_t i = 0; i < hand_size; ++i) {
    size_t card = flow % (count - i);
    flow /= count - i;
    // The card-th of the queues that were not dealt yet; `hand` is kept in order.
    size_t at = 0;
    for (; at < i && hand[at] <= card; ++at) ++card;
    std::copy_backward(hand + at, hand + i, hand + i + 1);
    hand[at] = card;
    if (i == 0 || queues_[card].turns.size() < queues_[best].turns.size()) best = card;
  }
  return static_cast<int>(best);
}

// Forgets those whose client has left.
void FlowLevel::prune(Queue& queue) {
  size_t gone = std::erase_if(queue.turns, [](const auto& turn) { return turn.expired(); });
  state_.fetch_sub(gone * kOneWaiting);
}

void FlowLevel::dispatch(Granted& granted) {
  while (waiting_of(state_.load()) > 0) {
    Queue* next = nullptr;
    for (Queue& queue : queues_) {
      if (!queue.turns.empty() && (next == nullptr || queue.used < next->used)) next = &queue;
    }
    CHECK(next != nullptr);
    std::shared_ptr<FlowTurn> turn = next->turns.front().lock();
    if (turn != nullptr && !take(turn->width_, limit(), true)) return;
    next->turns.pop_front();
    state_.fetch_sub(kOneWaiting);
    if (turn == nullptr) continue;
    served_ = next->used;
    next->used += turn->width_ * kGuessSeconds;
    turn->seat_ = std::make_shared<const Seat>(shared_from_this(), turn->width_,
                                               static_cast<int>(next - queues_.data()));
    granted.push_back(std::move(turn));
  }
}

void FlowLevel::grant(const Granted& granted) {
  for (const std::shared_ptr<FlowTurn>& turn : granted) turn->grant();
}

}  // namespace wherry::apiserver
