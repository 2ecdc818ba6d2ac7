#pragma once
// FlowKeeper: keeps the priority levels and flow schemas that every cluster has (flow_defaults.h),
// and says in each FlowSchema's status whether the level that it names exists.
//
// Threads: "flow-keeper" 1, which sleeps until an object of either kind changes; keep() is run by
// the owner once before start(), and by that thread afterwards.

#include <memory>
#include <thread>

#include "api/flow_defaults.h"
#include "apiserver/machinery.h"
#include "base/mutex.h"

namespace wherry::apiserver {

class FlowKeeper {
 public:
  explicit FlowKeeper(Machinery& machinery);
  ~FlowKeeper();
  FlowKeeper(const FlowKeeper&) = delete;

  // One look at everything.
  Result<void> keep();
  Result<void> start();

 private:
  class Follower;

  Result<void> keep_defaults(std::string_view group_resource,
                             std::span<const api::FlowDefault> wanted);
  Result<void> keep_status(const ObjectPtr& schema);
  void run(const std::stop_token& stop) EXCLUDES(mutex_);
  void note_change() EXCLUDES(mutex_);

  Machinery& machinery_;
  Mutex mutex_;
  CondVar changed_;
  bool dirty_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<Follower> follower_;
  std::jthread thread_;  // Last: stops first.
};

}  // namespace wherry::apiserver
