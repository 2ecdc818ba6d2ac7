#include "agent/keyed_pool.h"

#include <algorithm>

#include "base/thread.h"

namespace wherry::agent {

KeyedPool::KeyedPool(std::string name, const Clock& clock, Handler handler)
    : name_(std::move(name)), clock_(clock), handler_(std::move(handler)) {}

KeyedPool::~KeyedPool() { stop(); }

void KeyedPool::start(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.push_back(start_thread(name_, [this](const std::stop_token& stop) { loop(stop); }));
  }
}

void KeyedPool::stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void KeyedPool::wake(std::string_view key) {
  MutexLock lock(mutex_);
  wake_locked(key);
}

void KeyedPool::wake_after(std::string_view key, Duration delay) {
  MutexLock lock(mutex_);
  arm_locked(key, clock_.monotonic() + delay);
}

void KeyedPool::forget(std::string_view key) {
  MutexLock lock(mutex_);
  if (auto found = due_.find(key); found != due_.end()) {
    timers_.erase({found->second, found->first});
    due_.erase(found);
  }
  if (auto found = queued_.find(key); found != queued_.end()) {
    queued_.erase(found);
    std::erase(ready_, key);
  }
  if (auto found = again_.find(key); found != again_.end()) again_.erase(found);
}

void KeyedPool::wake_locked(std::string_view key) {
  if (running_.contains(key)) {
    again_.emplace(key);
    return;
  }
  if (!queued_.emplace(key).second) return;
  ready_.emplace_back(key);
  changed_.notify_one();
}

// Only the earliest wish of a key is kept: a run decides anew what it wants.
void KeyedPool::arm_locked(std::string_view key, MonotonicTime at) {
  auto found = due_.find(key);
  if (found != due_.end()) {
    if (found->second <= at) return;
    timers_.erase({found->second, found->first});
    found->second = at;
  } else {
    due_.emplace(key, at);
  }
  auto armed = timers_.emplace(at, std::string(key)).first;
  if (armed == timers_.begin()) changed_.notify_all();  // Whoever keeps the time must look again.
}

void KeyedPool::release_due_locked() {
  MonotonicTime now = clock_.monotonic();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    std::string key = timers_.begin()->second;
    timers_.erase(timers_.begin());
    due_.erase(key);
    wake_locked(key);
  }
}

bool KeyedPool::take(const std::stop_token& stop, std::string* key) {
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    release_due_locked();
    if (!ready_.empty()) {
      *key = std::move(ready_.front());
      ready_.erase(ready_.begin());
      queued_.erase(*key);
      running_.insert(*key);
      return true;
    }
    if (timekeeper_ || timers_.empty()) {
      bool kept = timekeeper_;
      changed_.wait(mutex_, stop, [&]() NO_THREAD_SAFETY_ANALYSIS {
        return !ready_.empty() || kept != timekeeper_ || (!timekeeper_ && !timers_.empty());
      });
      continue;
    }
    timekeeper_ = true;
    MonotonicTime first = timers_.begin()->first;
    changed_.wait_for(mutex_, stop, first - clock_.monotonic(), [&]() NO_THREAD_SAFETY_ANALYSIS {
      return !ready_.empty() || timers_.empty() || timers_.begin()->first < first;
    });
    timekeeper_ = false;
    if (!timers_.empty()) changed_.notify_one();  // Hands the clock on.
  }
  return false;
}

void KeyedPool::run(const std::string& key) {
  std::optional<MonotonicTime> again = handler_(key);
  MutexLock lock(mutex_);
  running_.erase(key);
  if (again) arm_locked(key, *again);
  if (auto found = again_.find(key); found != again_.end()) {
    again_.erase(found);
    wake_locked(key);
  }
}

void KeyedPool::loop(const std::stop_token& stop) {
  std::string key;
  while (take(stop, &key)) run(key);
}

int KeyedPool::run_due() {
  int count = 0;
  while (true) {
    std::string key;
    {
      MutexLock lock(mutex_);
      release_due_locked();
      if (ready_.empty()) return count;
      key = ready_.front();
      ready_.erase(ready_.begin());
      queued_.erase(key);
      running_.insert(key);
    }
    run(key);
    ++count;
  }
}

void ThreadTaskRunner::run(std::function<void(const std::stop_token&)> task) {
  MutexLock lock(mutex_);
  if (stopped_) return;
  waiting_.push_back(std::move(task));
  if (idle_ >= static_cast<int>(waiting_.size())) {
    changed_.notify_one();
  } else if (static_cast<int>(threads_.size()) < threads_max_) {
    threads_.push_back(start_thread(name_, [this](const std::stop_token& stop) { loop(stop); }));
  }
}

void ThreadTaskRunner::stop() {
  std::vector<std::jthread> threads;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    waiting_.clear();
    threads.swap(threads_);
  }
  for (std::jthread& thread : threads) thread.request_stop();
}

void ThreadTaskRunner::loop(const std::stop_token& stop) {
  while (true) {
    std::function<void(const std::stop_token&)> task;
    {
      MutexLock lock(mutex_);
      ++idle_;
      bool work = changed_.wait(mutex_, stop,
                                [this]() NO_THREAD_SAFETY_ANALYSIS { return !waiting_.empty(); });
      --idle_;
      if (!work || stop.stop_requested()) return;
      task = std::move(waiting_.front());
      waiting_.erase(waiting_.begin());
    }
    task(stop);
  }
}

}  // namespace wherry::agent
