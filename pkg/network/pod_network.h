#pragma once
// PodNetwork: gives pods their addresses, interfaces and host ports. Routed /32 veths, no bridge:
// eth0 in the pod holds address/32 and a default route through 169.254.1.1, which is the host's end
// of the pair; the host holds one /32 route per pod. Neighbour entries are permanent at both ends,
// so there is no ARP, no proxy_arp and no need of br_netfilter.
//
// Any thread; attach and detach of different pods run side by side. What is made on the host is
// written to the ledger folder first, so that a restarted server and `uninstall` find it:
//
//     <ledger_dir>/boot       the kernel's boot id; after a reboot the rest is void
//     <ledger_dir>/host       lines: sysctl PATH OLD-VALUE, table NAME, route CIDR, address IP
//     <ledger_dir>/pods/<ip>  JSON: uid, interface and host ports of the pod with that address

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "network/address.h"

namespace wherry::network {

struct HostPort {
  std::string protocol = "TCP";  // "TCP", "UDP" or "SCTP".
  std::string host_ip;           // Empty or "0.0.0.0": every address of the node.
  uint16_t host_port = 0;
  uint16_t container_port = 0;
  bool operator==(const HostPort&) const = default;
};

struct PodAddress {
  std::string uid;
  std::string ip;         // "10.42.0.5".
  std::string interface;  // The host's end, such as "wv0a2a0005".
  std::vector<HostPort> host_ports;
};

struct AttachRequest {
  std::string uid;
  int netns_fd = -1;  // Of the sandbox; only used during the call.
  // Names as in a pod's securityContext ("net.ipv4.tcp_syncookies"); others than net.* are ignored.
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::vector<HostPort> host_ports;
};

// Another node of the cluster.
struct PeerNode {
  std::string name;
  std::string ip;        // Of the node.
  std::string pod_cidr;  // Its pods'.
  bool operator==(const PeerNode&) const = default;
};

class PodNetwork {
 public:
  virtual ~PodNetwork() = default;

  // Brings up lo and eth0 in the namespace and programs the host ports. A uid that is attached
  // already (its sandbox died) gets a new address. On failure nothing stays. kConflict: "host port
  // 8080/TCP is taken by pod <uid>"; kUnavailable: no free address in the node's range.
  virtual Result<PodAddress> attach(const AttachRequest& request) = 0;
  // Frees address and host ports; the veth goes with its namespace. Unknown uids are no error.
  virtual Result<void> detach(std::string_view uid) = 0;
  // What the ledger holds, after a restart too. The caller detaches those whose pods are gone.
  virtual std::vector<PodAddress> addresses() const = 0;
  virtual std::optional<PodAddress> find(std::string_view uid) const = 0;
  // The other nodes, all of them: routes to their pods. Those of nodes that are gone are removed.
  // The routes stay when the process ends. kUnavailable names the nodes that are not on a link of
  // this one; the others are reached nevertheless.
  virtual Result<void> set_peers(const std::vector<PeerNode>& peers) = 0;
};

struct PodNetworkOptions {
  std::string node_ip;       // Must be an address of this machine.
  std::string pod_cidr;      // This node's slice, such as 10.42.0.0/24.
  std::string cluster_cidr;  // 10.42.0.0/16: traffic within it keeps its source.
  std::string service_cidr;  // 10.43.0.0/16: has a route, also where there is no default route.
  std::string ledger_dir;    // <data-dir>/agent/network.
  int mtu = 0;               // 0: that of the link that holds the node's address.
};

// The source of what the node itself sends to pods. A machine without any network has only loopback
// addresses, to which no pod could answer; it takes the first address of its pod range.
Ipv4 node_source(Ipv4 node, const Cidr& pods);

// Forwarding, the pods' nftables table, the Service route; then reads the ledger back and programs
// what pods of an earlier run hold. Needs CAP_NET_ADMIN (setup) and CAP_SYS_ADMIN (attach).
Result<std::unique_ptr<PodNetwork>> set_up_pod_network(const PodNetworkOptions& options);

// For uninstall: removes all that the ledger names (tables, routes, veths, sysctls back to what
// they were) and the ledger. No error when there is none; goes on past failures and returns the
// first.
Result<void> tear_down_pod_network(const std::string& ledger_dir);

}  // namespace wherry::network
