#include "network/host_rules.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

#include <functional>
#include <optional>

namespace wherry::network {
namespace {

constexpr std::string_view kOneself = "oneself";             // Pairs of one pod's address.
constexpr std::string_view kPorts = "host-ports";            // protocol, port to pod.
constexpr std::string_view kAddressPorts = "host-ip-ports";  // address, protocol, port to pod.

const Cidr kLoopback{{127u << 24}, 8};

std::optional<Protocol> protocol_of(std::string_view name) {
  if (name == "TCP") return Protocol::kTcp;
  if (name == "UDP") return Protocol::kUdp;
  if (name == "SCTP") return Protocol::kSctp;
  return std::nullopt;
}

// Calls each(set, key, value) for every element that stands for the pod.
void for_each_element(
    const PodAddress& pod,
    const std::function<void(std::string_view, const std::string&, const std::string&)>& each) {
  auto address = Ipv4::parse(pod.ip);
  if (!address) return;
  std::string own = nft_address(*address);
  each(kOneself, own + own, {});
  for (const HostPort& port : pod.host_ports) {
    auto protocol = protocol_of(port.protocol);
    if (!protocol) continue;
    std::string key = nft_protocol(*protocol) + nft_port(port.host_port);
    std::string value = own + nft_port(port.container_port);
    if (port.host_ip.empty() || port.host_ip == "0.0.0.0" || port.host_ip == "::") {
      each(kPorts, key, value);
    } else if (auto host = Ipv4::parse(port.host_ip)) {
      each(kAddressPorts, nft_address(*host) + key, value);
    }
  }
}

void put_host_ports(NftTransaction& transaction) {
  transaction.add_chain("host-ports");
  transaction.add_rule(
      "host-ports",
      NftRule().destination(0).protocol(1).destination_port(2).map(kAddressPorts, 0, 4).dnat(4, 5));
  transaction.add_rule("host-ports", NftRule()
                                         .destination_is_local()
                                         .protocol(0)
                                         .destination_port(1)
                                         .map(kPorts, 0, 4)
                                         .dnat(4, 5));
  transaction.add_chain("prerouting", {"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST});
  transaction.add_rule("prerouting", NftRule().jump("host-ports"));
  transaction.add_chain("output", {"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST});
  transaction.add_rule("output", NftRule().jump("host-ports"));
}

void put_sources(NftTransaction& transaction, const HostRulesOptions& options) {
  std::string node = nft_address(options.node);
  transaction.add_chain("postrouting", {"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC});
  // A pod that reaches itself through a Service or host port would drop a packet from its own
  // address.
  transaction.add_rule(
      "postrouting",
      NftRule().source(0).destination(1).in_set(kOneself, 0).constant(2, node).snat(2));
  // From 127.0.0.1 to a host or node port: the answer must find its way back.
  transaction.add_rule(
      "postrouting",
      NftRule().output_link_is_not("lo").source_in(kLoopback).constant(2, node).snat(2));
  transaction.add_rule(
      "postrouting",
      NftRule().source_in(options.pods).destination_not_in(options.cluster).masquerade());
}

}  // namespace

void put_host_rules(NftTransaction& transaction, const HostRulesOptions& options) {
  transaction.replace_table();
  transaction.add_set(
      {.name = std::string(kOneself), .key = {NftType::kAddress, NftType::kAddress}});
  transaction.add_set({.name = std::string(kPorts),
                       .key = {NftType::kProtocol, NftType::kPort},
                       .value = {NftType::kAddress, NftType::kPort}});
  transaction.add_set({.name = std::string(kAddressPorts),
                       .key = {NftType::kAddress, NftType::kProtocol, NftType::kPort},
                       .value = {NftType::kAddress, NftType::kPort}});
  put_host_ports(transaction);
  put_sources(transaction, options);
  // The pods' links may route 127.0.0.0/8, for host ports on the node's own loopback; a pod that
  // sends to such an address itself would otherwise reach what listens there for the host alone.
  transaction.add_chain("guard", {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW});
  transaction.add_rule("guard", NftRule().input_link_begins("wv").destination_in(kLoopback).drop());
}

void put_pod(NftTransaction& transaction, const PodAddress& pod) {
  for_each_element(pod,
                   [&](std::string_view set, const std::string& key, const std::string& value) {
                     transaction.add_element(set, key, value);
                   });
}

void remove_pod(NftTransaction& transaction, const PodAddress& pod) {
  for_each_element(pod, [&](std::string_view set, const std::string& key, const std::string&) {
    transaction.delete_element(set, key);
  });
}

}  // namespace wherry::network
