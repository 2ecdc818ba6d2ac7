#pragma once
// Turns: one holder at a time for each key, in the order in which they came. Taken across a check
// and the write that depends on it. Any thread.

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result.h"

namespace wherry::apiserver {

class Turns {
 public:
  // Holds `key` until the last copy of what it returns is gone; kTimeout when the turn does not
  // come in time.
  Result<std::shared_ptr<void>> take(const std::string& key) EXCLUDES(mutex_);

 private:
  struct Waiter {
    CondVar called;
    bool has_turn = false;
  };
  class Turn;

  void pass_on(const std::string& key) EXCLUDES(mutex_);

  Mutex mutex_;
  // Keys that are held, with who waits for them.
  std::map<std::string, std::deque<Waiter*>> held_ GUARDED_BY(mutex_);
};

}  // namespace wherry::apiserver
