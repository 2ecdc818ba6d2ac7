#pragma once
// Proxy: keeps the node's nftables table in step with Services and EndpointSlices. Cache notices
// only mark Services as changed; one thread of its own looks them up, plans and programs, all that
// changed meanwhile in one transaction. A table that somebody flushes is put back.
//
// Construct (it subscribes), start the cache, start(). Rules stay when it stops, so that Services
// go on while the server is down; removing them is tear_down_pod_network()'s business.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "base/result.h"
#include "client/client.h"
#include "network/nft.h"
#include "os/poll.h"
#include "proxy/model.h"
#include "proxy/service_table.h"

namespace wherry::proxy {

struct ProxyOptions {
  std::string node_name;
  std::string node_ip;
  std::string pod_cidr;  // This node's slice of the cluster's range.
  std::string cluster_cidr;
  std::string service_cidr;
};

class Proxy {
 public:
  Proxy(ProxyOptions options, client::Cache& cache);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // After the cache has started, so that the first table is complete: an earlier run's table is
  // replaced by it in one step. Returns once it stands.
  Result<void> start();
  void stop();

 private:
  void service_changed(const client::Change& change) EXCLUDES(mutex_);
  void slice_changed(const client::Change& change) EXCLUDES(mutex_);
  void mark(const ServiceKey& key) REQUIRES(mutex_);

  void run(const std::stop_token& stop);
  // True when everything stands as wanted.
  bool synchronise(bool lost);
  void drop_stale_flows();
  void take_changes(std::set<ServiceKey> keys);
  std::vector<Entry> look_up(const ServiceKey& key);

  const ProxyOptions options_;
  const client::Lister& services_;
  const client::Lister& slices_;

  std::optional<os::EventFd> wake_;
  std::optional<network::NftMonitor> monitor_;  // This and the table: the thread's once it runs.
  std::optional<ServiceTable> table_;

  Mutex mutex_;
  std::set<ServiceKey> changed_ GUARDED_BY(mutex_);
  std::map<ServiceKey, std::set<std::string>> slices_of_ GUARDED_BY(mutex_);  // By name.

  std::jthread thread_;
};

}  // namespace wherry::proxy
