#pragma once
// Mutex, MutexLock and CondVar with clang thread-safety annotations (checked by `make lint`,
// ignored by GCC).

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

#if defined(__clang__)
#define WHERRY_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define WHERRY_THREAD_ANNOTATION(x)
#endif
#define CAPABILITY(x) WHERRY_THREAD_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY WHERRY_THREAD_ANNOTATION(scoped_lockable)
#define GUARDED_BY(x) WHERRY_THREAD_ANNOTATION(guarded_by(x))
#define PT_GUARDED_BY(x) WHERRY_THREAD_ANNOTATION(pt_guarded_by(x))
#define REQUIRES(...) WHERRY_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) WHERRY_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) WHERRY_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define EXCLUDES(...) WHERRY_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS WHERRY_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace wherry {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits happen with the mutex held (REQUIRES) and return with it held. Each takes a stop token or a
// deadline, so that no wait outlives its owner. The wait with a predicate returns the predicate.
class CondVar {
 public:
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

  template <typename Predicate>
  bool wait(Mutex& mutex, const std::stop_token& stop, Predicate predicate)
      REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    return condition_.wait(mutex, stop, predicate);
  }
  template <typename Rep, typename Period, typename Predicate>
  bool wait_for(Mutex& mutex, const std::stop_token& stop, std::chrono::duration<Rep, Period> limit,
                Predicate predicate) REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    return condition_.wait_for(mutex, stop, limit, predicate);
  }
  template <typename Rep, typename Period, typename Predicate>
  bool wait_for(Mutex& mutex, std::chrono::duration<Rep, Period> limit, Predicate predicate)
      REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    return condition_.wait_for(mutex, limit, predicate);
  }

 private:
  std::condition_variable_any condition_;
};

}  // namespace wherry
