#pragma once
// Keeper: runs a function again whenever objects that it looks after change, so that what every
// cluster has is repaired as soon as somebody deletes or spoils it. The function must settle: run
// on what it has made itself it changes nothing.
//
// Threads: one with the keeper's name, which sleeps until an event concerns it. After a failure it
// tries again, soon at first, at last every ten seconds.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "store/store.h"

namespace wherry::apiserver {

class Keeper {
 public:
  struct Options {
    std::string name;                         // Of the thread and in the log.
    std::vector<std::string_view> resources;  // "services", "flowschemas.flowcontrol..."
    // Which events matter; all when empty. On the store's publishing thread: quick.
    bool (*concerns)(const store::Event& event) = nullptr;
    std::function<Result<void>()> keep;
  };

  Keeper(store::Store& store, Options options);
  ~Keeper();
  Keeper(const Keeper&) = delete;

  Result<void> start();

 private:
  class Follower;

  void run(const std::stop_token& stop) EXCLUDES(mutex_);
  void note(std::span<const store::EventPtr> events) EXCLUDES(mutex_);

  store::Store& store_;
  const Options options_;
  Mutex mutex_;
  CondVar changed_;
  bool dirty_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<Follower> follower_;
  std::jthread thread_;  // Last: stops first.
};

}  // namespace wherry::apiserver
