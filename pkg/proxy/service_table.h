#pragma once
// ServiceTable: the kernel's table of Services and what stands in it, changed element by element.
// Belongs to the proxy's thread.
//
// Invariant: what is remembered here is what was wanted last. After a failed change the kernel may
// lag behind; rebuild() makes them equal again, in one transaction.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/netlink.h"
#include "proxy/model.h"
#include "proxy/plan.h"
#include "proxy/rules.h"

namespace wherry::proxy {

class ServiceTable {
 public:
  ServiceTable(const RulesOptions& options, os::NetlinkSocket nft)
      : options_(options), nft_(std::move(nft)) {}

  using Wanted =
      std::map<ServiceKey, std::vector<Entry>>;  // A Service that is gone has no entries.

  // Takes over what these Services want. Two Services may claim one frontend (the same external
  // address): the one that has it keeps it. Returns Services that should be looked at again,
  // because a frontend they were refused is free now.
  std::set<ServiceKey> want(const Wanted& services);
  // Programs what was wanted since the last time; in one transaction. kNotFound after a flush.
  Result<void> program();
  // Programs everything anew, in one transaction.
  Result<void> rebuild();
  // Deletes UDP flows that still go to backends which a changed frontend has no more. After
  // program() or rebuild().
  Result<void> drop_stale_flows();

  uint32_t port() const { return nft_.port(); }
  size_t size() const { return programmed_.size(); }

 private:
  struct Owned {
    ServiceKey owner;
    Target target;
  };
  void change(const Frontend& frontend, const Target* before, const Target* after);
  void release(const Frontend& frontend, std::set<ServiceKey>& again);

  const RulesOptions options_;
  os::NetlinkSocket nft_;
  std::map<Frontend, Owned> programmed_;
  std::map<ServiceKey, std::set<Frontend>> held_;
  std::map<Frontend, std::set<ServiceKey>> refused_;  // Who wanted a frontend that another one has.
  std::vector<Change> pending_;
  std::set<PickChain> chains_;  // In the kernel; they stay until rebuild().
  std::set<Frontend> udp_changed_;
};

}  // namespace wherry::proxy
