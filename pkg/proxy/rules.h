#pragma once
// The proxy's nftables table: its chains, sets and elements. Pure: builds transactions, sends
// nothing. The sets are explained in plan.h.

#include "network/nft.h"
#include "proxy/plan.h"

namespace wherry::proxy {

struct RulesOptions {
  Ipv4 node;
  Cidr cluster;  // Pods of all nodes.
  Cidr services;
};

// The empty table, in place of what was there.
void put_table(network::NftTransaction& transaction, const RulesOptions& options);
void put_chain(network::NftTransaction& transaction, const PickChain& chain,
               const RulesOptions& options);
void put_change(network::NftTransaction& transaction, const Change& change);

}  // namespace wherry::proxy
