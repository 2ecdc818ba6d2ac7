#include "http/crew.h"

#include <utility>

namespace wherry::http {
namespace {

// The watch goes to sleep after as many looks at a crew that has time.
constexpr int kQuietLooks = 50;

}  // namespace

Crew::Crew(unsigned size, std::function<bool(bool)> hire) : size_(size), hire_(std::move(hire)) {}

void Crew::begin() {
  {
    MutexLock lock(mutex_);
    up_ = size_;
  }
  for (unsigned i = 0; i < size_; ++i) (void)hire_(true);
}

void Crew::start(bool up) {
  if (up) return;
  MutexLock lock(mutex_);
  ++up_;
  rest();
}

bool Crew::listen() {
  MutexLock lock(mutex_);
  if (up_ > size_) rest();
  if (stopping_) return false;
  ++listening_;
  return true;
}

void Crew::took() {
  Need missing;
  {
    MutexLock lock(mutex_);
    --listening_;
    ++taken_;
    missing = need();
  }
  meet(missing);
}

void Crew::waits() {
  Need missing;
  {
    MutexLock lock(mutex_);
    --up_;
    missing = need();
  }
  meet(missing);
}

void Crew::goes_on() {
  MutexLock lock(mutex_);
  ++up_;
}

void Crew::stop() {
  MutexLock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

// Calls one that sleeps when there is one.
Crew::Need Crew::need() {
  if (!busy() || stopping_) return Need::kNone;
  if (up_ < size_) {
    ++up_;
    if (asleep_ <= calls_) return Need::kHand;
    ++calls_;
    changed_.notify_one();
    return Need::kNone;
  }
  if (watched_ || watch_hired_) return Need::kNone;
  if (asleep_ == 0) return watch_hired_ = true, Need::kWatch;
  changed_.notify_one();
  return Need::kNone;
}

void Crew::meet(Need need) {
  if (need == Need::kNone) return;
  if (hire_(need == Need::kHand) || need == Need::kWatch) return;
  MutexLock lock(mutex_);
  --up_;
}

void Crew::rest() {
  --up_;
  ++asleep_;
  watch_hired_ = false;
  while (calls_ == 0 && !stopping_) {
    changed_.wait(mutex_, std::stop_token(), [this]() NO_THREAD_SAFETY_ANALYSIS {
      return calls_ > 0 || stopping_ || (busy() && !watched_);
    });
    if (calls_ > 0 || stopping_) break;
    watched_ = true;
    if (watch()) ++calls_, ++up_;
    watched_ = false;
    // Somebody else's business from now on.
    if (busy() && asleep_ > 1) changed_.notify_one();
  }
  --asleep_;
  if (calls_ > 0) --calls_;
}

// True when nothing has been begun for a while though nobody listens.
bool Crew::watch() {
  for (int quiet = 0; quiet < kQuietLooks;) {
    uint64_t before = taken_;
    changed_.wait_for(mutex_, kPatience,
                      [this]() NO_THREAD_SAFETY_ANALYSIS { return calls_ > 0 || stopping_; });
    if (calls_ > 0 || stopping_) return false;
    if (busy() && taken_ == before) return true;
    quiet = busy() ? 0 : quiet + 1;
  }
  return false;
}

}  // namespace wherry::http
