#pragma once
// What the Service proxy programs: frontends (where clients send to) and the targets behind them.
// Pure values.

#include <compare>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "network/address.h"
#include "network/nft.h"

namespace wherry::proxy {

using network::Cidr;
using network::Ipv4;
using network::Protocol;

using ServiceKey = std::pair<std::string, std::string>;  // Namespace and name.

struct Frontend {
  Ipv4 address;  // 0.0.0.0: every address of this node (a node port).
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;
  bool node_port() const { return address.bits == 0; }
  auto operator<=>(const Frontend&) const = default;
};

struct Backend {
  Ipv4 address;
  uint16_t port = 0;
  auto operator<=>(const Backend&) const = default;
};

struct Target {
  std::vector<Backend> backends;  // Sorted, each once.
  uint32_t affinity_seconds = 0;  // 0: no session affinity.
  // The connection appears to come from the node: for clients outside, whose answers must pass
  // here.
  bool masquerade = false;
  bool operator==(const Target&) const = default;
};

struct Entry {
  Frontend frontend;
  Target target;
  bool operator==(const Entry&) const = default;
};

}  // namespace wherry::proxy
