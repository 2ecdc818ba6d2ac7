#pragma once
// WorkQueue: keys that want a pass, each at most once in the line and never worked on twice at the
// same time. A key added while it is being worked on runs again afterwards. Failed keys come back
// after a back-off that doubles with each failure (5 ms to 1000 s), as upstream's default rate
// limiter has it.
//
// Any thread may add; workers call get() and done().

#include <compare>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"

namespace wherry::controller {

struct ObjectKey {
  std::string ns;
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
};

class WorkQueue {
 public:
  explicit WorkQueue(const Clock& clock) : clock_(clock) {}

  void add(const ObjectKey& key) EXCLUDES(mutex_);
  // Not before `delay` has passed; an earlier due time that is set already stays.
  void add_after(const ObjectKey& key, Duration delay) EXCLUDES(mutex_);
  // After this key's back-off, which doubles.
  void add_failed(const ObjectKey& key) EXCLUDES(mutex_);
  void forget(const ObjectKey& key) EXCLUDES(mutex_);  // Clears the back-off.

  // The next key; waits for one. Empty once `stop` fires.
  std::optional<ObjectKey> get(const std::stop_token& stop) EXCLUDES(mutex_);
  // The next key that is due, or empty at once: for tests on a fake clock.
  std::optional<ObjectKey> try_get() EXCLUDES(mutex_);
  void done(const ObjectKey& key) EXCLUDES(mutex_);

  size_t size() const EXCLUDES(mutex_);
  std::optional<MonotonicTime> next_due() const EXCLUDES(mutex_);

 private:
  void add_locked(const ObjectKey& key) REQUIRES(mutex_);
  void take_due() REQUIRES(mutex_);
  ObjectKey pop() REQUIRES(mutex_);

  const Clock& clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<ObjectKey> line_ GUARDED_BY(mutex_);  // Waiting, in order.
  std::set<ObjectKey> dirty_
      GUARDED_BY(mutex_);  // Wants a pass (waiting, or again after this one).
  std::set<ObjectKey> in_progress_ GUARDED_BY(mutex_);
  std::map<ObjectKey, MonotonicTime> due_ GUARDED_BY(mutex_);
  std::set<std::pair<MonotonicTime, ObjectKey>> by_due_ GUARDED_BY(mutex_);
  std::map<ObjectKey, int> failures_ GUARDED_BY(mutex_);
};

}  // namespace wherry::controller
