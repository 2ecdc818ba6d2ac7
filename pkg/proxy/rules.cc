#include "proxy/rules.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

#include <string_view>

namespace wherry::proxy {
namespace {

using network::NftRule;
using network::NftTransaction;
using network::NftType;

constexpr std::string_view kServices = "services";
constexpr std::string_view kEndpoints = "endpoints";
constexpr std::string_view kAffinity = "affinity";
constexpr std::string_view kAffine = "affine";
constexpr std::string_view kRefused = "refused";
constexpr std::string_view kDispatch = "dispatch";
constexpr std::string_view kUnserved = "unserved";

// On a packet: its connection's source becomes the node. Cleared where that has been done.
constexpr uint32_t kMasqueradeMark = 0x4000;

std::string key_of(const Frontend& frontend) {
  return network::nft_address(frontend.address) + network::nft_protocol(frontend.protocol) +
         network::nft_port(frontend.port);
}

std::string value_of(const Backend& backend) {
  return network::nft_address(backend.address) + network::nft_port(backend.port);
}

std::string_view set_name(Change::Set set) {
  switch (set) {
    case Change::Set::kServices: return kServices;
    case Change::Set::kEndpoints: return kEndpoints;
    case Change::Set::kAffine: return kAffine;
    case Change::Set::kRefused: return kRefused;
  }
  return {};
}

// Registers `at` to at + 2: address (or 0.0.0.0), protocol, port.
NftRule& load_frontend(NftRule& rule, PickChain::From from, int at) {
  if (from == PickChain::From::kNode) {
    rule.constant(at, network::nft_address({}));
  } else {
    rule.destination(at);
  }
  return rule.protocol(at + 1).destination_port(at + 2);
}

void put_sets(NftTransaction& transaction) {
  constexpr auto kAddress = NftType::kAddress;
  constexpr auto kProtocol = NftType::kProtocol;
  constexpr auto kPort = NftType::kPort;
  transaction.add_set(
      {.name = std::string(kServices), .key = {kAddress, kProtocol, kPort}, .verdicts = true});
  transaction.add_set({.name = std::string(kEndpoints),
                       .key = {kAddress, kProtocol, kPort, NftType::kNumber},
                       .value = {kAddress, kPort}});
  transaction.add_set({.name = std::string(kAffinity),
                       .key = {kAddress, kAddress, kProtocol, kPort},
                       .value = {kAddress, kPort},
                       .filled_by_rules = true});
  transaction.add_set(
      {.name = std::string(kAffine), .key = {kAddress, kProtocol, kPort, kAddress, kPort}});
  transaction.add_set({.name = std::string(kRefused), .key = {kAddress, kProtocol, kPort}});
}

void put_refusals(NftTransaction& transaction, const RulesOptions& options) {
  auto both = [&](const NftRule& condition) {
    transaction.add_rule(kUnserved, NftRule(condition).protocol_is(Protocol::kTcp).reject_reset());
    transaction.add_rule(kUnserved, NftRule(condition).reject_unreachable());
  };
  transaction.add_chain(kUnserved);
  // What still has a Service address here was not sent to any backend, so nobody serves it.
  both(NftRule().destination_in(options.services).destination_is_not_local());
  both(NftRule().new_connection().destination(0).protocol(1).destination_port(2).in_set(kRefused,
                                                                                        0));
  transaction.add_chain("forward", {"filter", NF_INET_FORWARD, NF_IP_PRI_FILTER});
  transaction.add_rule("forward", NftRule().jump(kUnserved));
  transaction.add_chain("filter-output", {"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER});
  transaction.add_rule("filter-output", NftRule().jump(kUnserved));
}

// One client keeps its backend, as long as that exists, and each new connection renews the time.
void put_sticky_rules(NftTransaction& transaction, const PickChain& chain) {
  std::chrono::seconds time(chain.affinity_seconds);
  // Registers: 0 client, 1-3 frontend, then the backend found.
  NftRule known;
  load_frontend(known.source(0), chain.from, 1);
  known.map(kAffinity, 0, 4).in_set(kAffine, 1).remember(kAffinity, 0, 4, time).dnat(4, 5);
  transaction.add_rule(chain.name(), known);
  NftRule fresh;
  load_frontend(fresh.source(0), chain.from, 1);
  fresh.random(4, chain.backends).map(kEndpoints, 1, 5).remember(kAffinity, 0, 5, time).dnat(5, 6);
  transaction.add_rule(chain.name(), fresh);
}

}  // namespace

void put_table(NftTransaction& transaction, const RulesOptions& options) {
  transaction.replace_table();
  put_sets(transaction);
  transaction.add_chain(kDispatch);
  transaction.add_chain("prerouting", {"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST});
  transaction.add_rule("prerouting", NftRule().jump(kDispatch));
  transaction.add_chain("output", {"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST});
  transaction.add_rule("output", NftRule().jump(kDispatch));
  NftRule by_address, by_node_port;
  load_frontend(by_address, PickChain::From::kCluster, 0).verdict_of(kServices, 0);
  load_frontend(by_node_port.destination_is_local(), PickChain::From::kNode, 0)
      .verdict_of(kServices, 0);
  transaction.add_rule(kDispatch, by_address);
  transaction.add_rule(kDispatch, by_node_port);

  transaction.add_chain("postrouting", {"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC});
  transaction.add_rule("postrouting", NftRule()
                                          .marked(kMasqueradeMark)
                                          .clear_mark(kMasqueradeMark)
                                          .constant(0, network::nft_address(options.node))
                                          .snat(0));
  put_refusals(transaction, options);
}

void put_chain(NftTransaction& transaction, const PickChain& chain, const RulesOptions& options) {
  std::string name = chain.name();
  transaction.add_chain(name);
  if (chain.masquerade) {
    transaction.add_rule(name, NftRule().add_mark(kMasqueradeMark));
  } else if (chain.from == PickChain::From::kCluster) {
    // A client outside that routes the Service range to this node gets its answers through it.
    transaction.add_rule(
        name,
        NftRule().source_not_in(options.cluster).source_is_not_local().add_mark(kMasqueradeMark));
  }
  if (chain.affinity_seconds > 0) put_sticky_rules(transaction, chain);
  // Also where a client cannot be remembered, because the set is full.
  NftRule pick;
  load_frontend(pick, chain.from, 0);
  pick.random(3, chain.backends).map(kEndpoints, 0, 4).dnat(4, 5);
  transaction.add_rule(name, pick);
}

void put_change(NftTransaction& transaction, const Change& change) {
  std::string key = key_of(change.frontend);
  std::string value;
  if (change.set == Change::Set::kEndpoints) {
    key += network::nft_number(change.slot);
    value = value_of(change.backend);
  }
  if (change.set == Change::Set::kAffine) key += value_of(change.backend);
  if (!change.add) return transaction.delete_element(set_name(change.set), key);
  if (change.set == Change::Set::kServices) {
    return transaction.add_verdict(kServices, key, change.chain.name());
  }
  transaction.add_element(set_name(change.set), key, value);
}

}  // namespace wherry::proxy
