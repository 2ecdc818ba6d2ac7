#pragma once
// The parts that make this machine a node: images, container driver, pod network, agent, Service
// proxy, name server. Made before the cache is started (they subscribe), started after. One thread,
// the main one.

#include <memory>
#include <string>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/result.h"
#include "client/client.h"
#include "client/node_api.h"
#include "container/image.h"
#include "container/sandbox.h"
#include "dns/server.h"
#include "flags.h"
#include "images_door.h"
#include "network/pod_network.h"
#include "proxy/proxy.h"

namespace wherry::command {

// Answers for the one node in this process, from the moment its agent exists. Any thread.
class LocalNode final : public client::NodeDirectory {
 public:
  void set(std::string name, client::NodeApi* api);
  client::NodeApi* find(std::string_view node_name) override;

 private:
  Mutex mutex_;
  std::string name_ GUARDED_BY(mutex_);
  client::NodeApi* api_ GUARDED_BY(mutex_) = nullptr;
};

// The server's own slice: the first /24 of the cluster's range, or all of it when it is smaller.
std::string first_slice(const std::string& cluster_cidr);
std::map<std::string, std::string> labels_of(const std::vector<std::string>& flags);

class NodeParts {
 public:
  struct Role {
    bool control_plane = false;
    std::string pod_cidr;  // This node's.
    bool dns = false;      // Answers for the cluster's names.
  };
  // Needs root. Errors name the fix.
  static Result<std::unique_ptr<NodeParts>> make(const ServerFlags& flags, const Role& role,
                                                 client::Client& client, client::Cache& cache,
                                                 const Clock& clock);
  ~NodeParts();
  // Without a synced cache (the server is away) the pods on disk run, and Services stay as the
  // kernel has them, until on_synced().
  Result<void> start(bool cache_synced = true);
  Result<void> on_synced();
  client::NodeApi& api() { return agent_->node_api(); }

 private:
  NodeParts() = default;
  std::unique_ptr<container::ImageStore> images_;
  std::unique_ptr<container::Driver> driver_;
  std::unique_ptr<network::PodNetwork> network_;
  std::unique_ptr<agent::Agent> agent_;
  std::unique_ptr<proxy::Proxy> proxy_;
  std::unique_ptr<dns::DnsServer> dns_;  // Null with --disable dns.
  std::unique_ptr<Door> images_door_;
};

}  // namespace wherry::command
