#pragma once
// DnsServer: answers the cluster's names itself and asks the host's resolvers for all others. It
// listens on the node's address at a port of the kernel's choice; the Service kube-system/kube-dns,
// which it keeps pointing there, gives it the cluster DNS address. Only pods and this machine are
// answered, so that no one on the outside network finds an open resolver.
//
// One thread, "dns", waits on all sockets; nothing wakes up while nobody asks.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "client/client.h"
#include "dns/zone.h"
#include "os/fd.h"
#include "os/poll.h"

namespace wherry::dns {

struct DnsOptions {
  std::string node_ip;
  std::string cluster_cidr;  // Who may ask.
  std::string cluster_dns;   // The address of the Service.
  std::string domain = "cluster.local";
  std::string resolv_conf = "/etc/resolv.conf";
};

class DnsServer {
 public:
  DnsServer(DnsOptions options, client::Client& client, client::Cache& cache, const Clock& clock);
  ~DnsServer() { stop(); }
  DnsServer(const DnsServer&) = delete;

  // After the cache was started: binds, publishes the Service, begins to answer.
  Result<void> start();
  void stop();

 private:
  struct Asker {  // Whom an answer from outside goes to.
    bool tcp = false;
    uint64_t connection = 0;
    std::string address;  // sockaddr, for UDP.
    std::string query;
    size_t resolver = 0;  // Which one was asked.
    MonotonicTime since;
  };
  struct Connection {
    os::Fd fd;
    std::string in;
    MonotonicTime since;
  };

  Result<void> bind_sockets();
  Result<void> publish();
  Result<void> ensure(std::string_view resource, const json::Draft& wanted);
  void run(const std::stop_token& stop);
  bool allowed(std::string_view address) const;
  void read_udp();
  void accept_tcp();
  void read_tcp(uint64_t id);
  void read_upstream(uint64_t id);
  void handle(std::string_view message, Asker asker);
  void forward(Asker asker, size_t resolver);
  void reply(const Asker& asker, std::string_view message);
  void expire();
  std::vector<std::string> resolvers() const;

  void node_changed(const client::Change& change) EXCLUDES(mutex_);

  const DnsOptions options_;
  client::Client& client_;
  const Clock& clock_;
  const Zone zone_;

  uint32_t cluster_net_ = 0, cluster_mask_ = 0;
  os::Fd udp_, tcp_;
  uint16_t port_ = 0;
  std::unique_ptr<os::Epoll> epoll_;
  std::unique_ptr<os::EventFd> wake_;
  uint64_t next_id_ = 16;
  std::map<uint64_t, Connection> connections_;
  std::map<uint64_t, std::pair<os::Fd, Asker>> asked_;  // Questions put to a resolver.

  // Nodes ask for their pods: what leaves a node for this address bears that node's own.
  mutable Mutex mutex_;
  std::map<std::string, uint32_t> nodes_ GUARDED_BY(mutex_);  // InternalIP by name.

  std::jthread thread_;
};

// The addresses of the "nameserver" lines.
std::vector<std::string> parse_resolv_conf(std::string_view text);

}  // namespace wherry::dns
