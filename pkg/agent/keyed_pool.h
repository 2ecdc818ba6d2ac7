#pragma once
// KeyedPool: a few threads that work on keys. A key is worked on by one thread at a time; wakes
// that come while it waits or runs fold into one more run; a run may ask to be called again later.
// There is no timer thread: one idle worker waits for the earliest moment. Any thread may call wake
// and forget.

#include <condition_variable>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

namespace wherry::agent {

class KeyedPool {
 public:
  // Gives when the key wants to run again by itself, if it does.
  using Handler = std::function<std::optional<MonotonicTime>(const std::string& key)>;

  KeyedPool(std::string name, const Clock& clock, Handler handler);
  ~KeyedPool();

  void start(int threads);
  void stop();  // Waits for what runs; the rest is dropped.

  void wake(std::string_view key) EXCLUDES(mutex_);
  void wake_after(std::string_view key, Duration delay) EXCLUDES(mutex_);
  void forget(std::string_view key)
      EXCLUDES(mutex_);  // Drops its timer and its place in the queue.

  // For tests, instead of start(): runs on this thread what is due, and what that wakes. Gives the
  // count.
  int run_due() EXCLUDES(mutex_);

 private:
  void loop(const std::stop_token& stop);
  bool take(const std::stop_token& stop, std::string* key) EXCLUDES(mutex_);
  void run(const std::string& key) EXCLUDES(mutex_);
  void wake_locked(std::string_view key) REQUIRES(mutex_);
  void arm_locked(std::string_view key, MonotonicTime at) REQUIRES(mutex_);
  void release_due_locked() REQUIRES(mutex_);

  const std::string name_;
  const Clock& clock_;
  const Handler handler_;

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> ready_ GUARDED_BY(mutex_);  // First in, first out.
  std::set<std::string, std::less<>> queued_ GUARDED_BY(mutex_);
  std::set<std::string, std::less<>> running_ GUARDED_BY(mutex_);
  std::set<std::string, std::less<>> again_ GUARDED_BY(mutex_);  // Woken while running.
  std::map<std::string, MonotonicTime, std::less<>> due_ GUARDED_BY(mutex_);
  std::set<std::pair<MonotonicTime, std::string>> timers_ GUARDED_BY(mutex_);
  bool timekeeper_ GUARDED_BY(mutex_) = false;  // Somebody waits with a deadline.

  std::vector<std::jthread> threads_;
};

// TaskRunner: runs functions that may block (probes, hooks, pulls) on threads made on demand, up to
// a limit; more wait in line. The seam lets tests run them by hand.
class TaskRunner {
 public:
  virtual ~TaskRunner() = default;
  virtual void run(std::function<void(const std::stop_token&)> task) = 0;
};

class ThreadTaskRunner final : public TaskRunner {
 public:
  ThreadTaskRunner(std::string name, int threads_max)
      : name_(std::move(name)), threads_max_(threads_max) {}
  ~ThreadTaskRunner() override { stop(); }
  void run(std::function<void(const std::stop_token&)> task) override EXCLUDES(mutex_);
  void stop() EXCLUDES(mutex_);  // Asks the running ones to stop and waits; drops the rest.

 private:
  void loop(const std::stop_token& stop) EXCLUDES(mutex_);

  const std::string name_;
  const int threads_max_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::function<void(const std::stop_token&)>> waiting_ GUARDED_BY(mutex_);
  int idle_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_ GUARDED_BY(mutex_);
};

}  // namespace wherry::agent
