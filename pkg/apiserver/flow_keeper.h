#pragma once
// FlowKeeper: keeps the priority levels and flow schemas that every cluster has (flow_defaults.h),
// and says in each FlowSchema's status whether the level that it names exists.
//
// Threads: keep() is run by the owner once before start(), and by the Keeper's thread afterwards.

#include "api/flow_defaults.h"
#include "apiserver/keeper.h"
#include "apiserver/machinery.h"

namespace wherry::apiserver {

class FlowKeeper {
 public:
  explicit FlowKeeper(Machinery& machinery);
  FlowKeeper(const FlowKeeper&) = delete;

  // One look at everything.
  Result<void> keep();
  Result<void> start() { return keeper_.start(); }

 private:
  Result<void> keep_defaults(std::string_view group_resource,
                             std::span<const api::FlowDefault> wanted);
  Result<void> keep_status(const ObjectPtr& schema);

  Machinery& machinery_;
  Keeper keeper_;  // Last: stops first.
};

}  // namespace wherry::apiserver
