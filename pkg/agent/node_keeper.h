#pragma once
// NodeKeeper: keeps this node's Node object and Lease alive. Both run as keys of the agent's chore
// pool: the Lease every ten seconds, the status when something has changed, else every five
// minutes.

#include <optional>
#include <string>

#include "agent/events.h"
#include "agent/image_source.h"
#include "agent/node_status.h"
#include "base/clock.h"
#include "client/client.h"

namespace wherry::agent {

class NodeKeeper {
 public:
  static constexpr Duration kLeaseEvery = std::chrono::seconds(10);
  static constexpr Duration kStatusEvery = std::chrono::minutes(5);
  static constexpr Duration kLookEvery = std::chrono::minutes(1);

  NodeKeeper(client::Client& client, const client::Lister& nodes, ImageSource& images,
             EventSink& events, const Clock& clock, std::string data_dir, NodeFacts facts);

  // Each gives when it wants to run again. Not both at once: one pool key each, one thread at a
  // time.
  MonotonicTime keep_status();
  MonotonicTime keep_lease();
  const NodeFacts& facts() const { return facts_; }

 private:
  Result<client::ObjectPtr> ensure_node();
  Result<void> renew_lease();

  client::Client& client_;
  const client::Lister& nodes_;
  ImageSource& images_;
  EventSink& events_;
  const Clock& clock_;
  const std::string data_dir_;
  NodeFacts facts_;                              // Of keep_status.
  std::optional<MonotonicTime> last_heartbeat_;  // Of keep_status.
  bool announced_ = false;                       // Of keep_status.
  bool status_complaint_ = false;                // Of keep_status.
  const std::string node_name_;
  bool lease_there_ = false;      // Of keep_lease.
  bool lease_complaint_ = false;  // Of keep_lease: says a fault once.
};

}  // namespace wherry::agent
