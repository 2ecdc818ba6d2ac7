#pragma once
// WaitScope: around what makes a thread wait for something, a disk or a peer, it tells the pool
// that lent the thread, so that another of its threads takes over meanwhile. Costs nothing on
// threads of no pool. Scopes may nest.

namespace wherry {

// A pool that wants to know when its threads wait.
class Lender {
 public:
  virtual void waits() = 0;
  virtual void goes_on() = 0;

 protected:
  ~Lender() = default;
};

class WaitScope {
 public:
  WaitScope() {
    if (lender != nullptr && depth_++ == 0) lender->waits();
  }
  ~WaitScope() {
    if (lender != nullptr && --depth_ == 0) lender->goes_on();
  }
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;

  // Whose this thread is; for the pool to set.
  static inline thread_local Lender* lender = nullptr;

 private:
  static inline thread_local int depth_ = 0;
};

}  // namespace wherry
