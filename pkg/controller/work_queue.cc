#include "controller/work_queue.h"

#include <algorithm>

namespace wherry::controller {
namespace {

constexpr Duration kBackoffFirst = std::chrono::milliseconds(5);
constexpr Duration kBackoffMax = std::chrono::seconds(1000);
// Longer waits are cut: a look too many in a year, and no sum that overflows into the past.
constexpr Duration kDelayMax = std::chrono::hours(24 * 365);
constexpr int kDoublingsMax = 18;

}  // namespace

void WorkQueue::add(const ObjectKey& key) {
  {
    MutexLock lock(mutex_);
    add_locked(key);
  }
  changed_.notify_one();
}

void WorkQueue::add_locked(const ObjectKey& key) {
  if (!dirty_.insert(key).second) return;
  if (!in_progress_.contains(key)) line_.push_back(key);
}

void WorkQueue::add_after(const ObjectKey& key, Duration delay) {
  if (delay <= Duration::zero()) {
    add(key);
    return;
  }
  {
    MutexLock lock(mutex_);
    MonotonicTime at = clock_.monotonic() + std::min(delay, kDelayMax);
    auto [found, fresh] = due_.try_emplace(key, at);
    if (!fresh) {
      if (found->second <= at) return;
      by_due_.erase({found->second, key});
      found->second = at;
    }
    by_due_.insert({at, key});
  }
  changed_.notify_one();
}

void WorkQueue::add_failed(const ObjectKey& key) {
  Duration delay = kBackoffFirst;
  {
    MutexLock lock(mutex_);
    int failures = failures_[key]++;
    for (int i = 0; i < std::min(failures, kDoublingsMax); ++i) delay *= 2;
  }
  add_after(key, std::min(delay, kBackoffMax));
}

void WorkQueue::forget(const ObjectKey& key) {
  MutexLock lock(mutex_);
  failures_.erase(key);
}

void WorkQueue::take_due() {
  MonotonicTime now = clock_.monotonic();
  while (!by_due_.empty() && by_due_.begin()->first <= now) {
    ObjectKey key = by_due_.begin()->second;
    by_due_.erase(by_due_.begin());
    due_.erase(key);
    add_locked(key);
  }
}

ObjectKey WorkQueue::pop() {
  ObjectKey key = std::move(line_.front());
  line_.pop_front();
  dirty_.erase(key);
  in_progress_.insert(key);
  return key;
}

std::optional<ObjectKey> WorkQueue::get(const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    take_due();
    if (!line_.empty()) return pop();
    size_t timers = by_due_.size();
    auto ready = [this, timers]() NO_THREAD_SAFETY_ANALYSIS {
      return !line_.empty() || by_due_.size() != timers;
    };
    if (by_due_.empty()) {
      changed_.wait(mutex_, stop, ready);
    } else {
      Duration left = by_due_.begin()->first - clock_.monotonic();
      changed_.wait_for(mutex_, stop, std::max(left, Duration::zero()), ready);
    }
  }
  return std::nullopt;
}

std::optional<ObjectKey> WorkQueue::try_get() {
  MutexLock lock(mutex_);
  take_due();
  if (line_.empty()) return std::nullopt;
  return pop();
}

void WorkQueue::done(const ObjectKey& key) {
  {
    MutexLock lock(mutex_);
    in_progress_.erase(key);
    if (!dirty_.contains(key)) return;
    line_.push_back(key);
  }
  changed_.notify_one();
}

size_t WorkQueue::size() const {
  MutexLock lock(mutex_);
  return line_.size();
}

std::optional<MonotonicTime> WorkQueue::next_due() const {
  MutexLock lock(mutex_);
  if (by_due_.empty()) return std::nullopt;
  return by_due_.begin()->first;
}

}  // namespace wherry::controller
