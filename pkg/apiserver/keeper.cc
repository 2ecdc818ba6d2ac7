#include "apiserver/keeper.h"

#include <algorithm>

#include "base/log.h"
#include "base/thread.h"

namespace wherry::apiserver {
namespace {

// The first attempt may meet what a deletion has yet to give back, such as the Service's address.
constexpr std::chrono::milliseconds kFirstRetry{50}, kLastRetry{10000};

}  // namespace

class Keeper::Follower final : public store::Watcher {
 public:
  explicit Follower(Keeper& keeper) : keeper_(keeper) {}

  Result<void> follow(store::Store& store) {
    api::Revision revision = store.revision();
    for (std::string_view resource : keeper_.options_.resources) {
      watches_.push_back(TRY(store.watch(resource, revision, *this)));
    }
    return {};
  }
  void on_events(std::span<const store::EventPtr> events) override { keeper_.note(events); }

 private:
  Keeper& keeper_;
  std::vector<std::unique_ptr<store::Subscription>> watches_;
};

Keeper::Keeper(store::Store& store, Options options)
    : store_(store), options_(std::move(options)) {}
Keeper::~Keeper() = default;

Result<void> Keeper::start() {
  follower_ = std::make_unique<Follower>(*this);
  TRY(follower_->follow(store_));
  thread_ = start_thread(options_.name, [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void Keeper::note(std::span<const store::EventPtr> events) {
  bool concerned = options_.concerns == nullptr ||
                   std::any_of(events.begin(), events.end(),
                               [this](const auto& event) { return options_.concerns(*event); });
  if (!concerned) return;
  MutexLock lock(mutex_);
  dirty_ = true;
  changed_.notify_one();
}

void Keeper::run(const std::stop_token& stop) {
  std::chrono::milliseconds retry = kFirstRetry;
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mutex_);
      changed_.wait(mutex_, stop, [this]() NO_THREAD_SAFETY_ANALYSIS { return dirty_; });
      if (stop.stop_requested()) return;
      dirty_ = false;
    }
    Result<void> kept = options_.keep();
    if (kept.ok()) {
      retry = kFirstRetry;
      continue;
    }
    if (retry > kFirstRetry) log::warn("{}: {}", options_.name, kept.error().message());
    MutexLock lock(mutex_);
    changed_.wait_for(mutex_, stop, retry, [] { return false; });
    retry = std::min(retry * 4, kLastRetry);
    dirty_ = true;
  }
}

}  // namespace wherry::apiserver
