#include "apiserver/turns.h"

#include <algorithm>

#include "base/wait_scope.h"

namespace wherry::apiserver {
namespace {

constexpr std::chrono::seconds kWaitMax{30};

}  // namespace

class Turns::Turn {
 public:
  Turn(Turns& turns, std::string key) : turns_(turns), key_(std::move(key)) {}
  ~Turn() { turns_.pass_on(key_); }
  Turn(const Turn&) = delete;

 private:
  Turns& turns_;
  const std::string key_;
};

Result<std::shared_ptr<void>> Turns::take(const std::string& key) {
  {
    MutexLock lock(mutex_);
    auto [queue, free] = held_.try_emplace(key);
    if (!free) {
      Waiter me;
      queue->second.push_back(&me);
      WaitScope wait;
      me.called.wait_for(mutex_, kWaitMax, [&me] { return me.has_turn; });
      if (!me.has_turn) {
        std::erase(held_.at(key), &me);
        return Error::timeout("too many writes wait for one another in {}", key);
      }
    }
  }
  return std::shared_ptr<void>(std::make_shared<Turn>(*this, key));
}

void Turns::pass_on(const std::string& key) {
  MutexLock lock(mutex_);
  auto queue = held_.find(key);
  if (queue->second.empty()) {
    held_.erase(queue);
    return;
  }
  Waiter* next = queue->second.front();
  queue->second.pop_front();
  next->has_turn = true;
  next->called.notify_one();  // Under the lock: the waiter goes as soon as it can see its turn.
}

}  // namespace wherry::apiserver
