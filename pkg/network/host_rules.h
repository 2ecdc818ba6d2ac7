#pragma once
// The nftables table of the pod network: host ports, sources of what leaves the node, and a guard
// on the host's loopback addresses. Pure: builds transactions, sends nothing.

#include <string_view>

#include "network/address.h"
#include "network/nft.h"
#include "network/pod_network.h"

namespace wherry::network {

inline constexpr std::string_view kPodTable = "wherry-pods";
inline constexpr std::string_view kServiceTable = "wherry-services";  // The Service proxy's.

struct HostRulesOptions {
  Ipv4 node;
  Cidr pods;     // This node's range.
  Cidr cluster;  // All nodes' ranges.
};

// Everything but the pods' own elements, in place of what the table held.
void put_host_rules(NftTransaction& transaction, const HostRulesOptions& options);
void put_pod(NftTransaction& transaction, const PodAddress& pod);
void remove_pod(NftTransaction& transaction, const PodAddress& pod);

}  // namespace wherry::network
