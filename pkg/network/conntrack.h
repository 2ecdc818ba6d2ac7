#pragma once
// Flows: connection tracking entries, over ctnetlink. A UDP flow keeps going to the address that
// its first packet was sent to, so entries must go when that address does. Any thread.

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "network/address.h"
#include "network/nft.h"

namespace wherry::network {

struct Flow {
  Protocol protocol = Protocol::kUdp;
  Ipv4 source, destination;  // As the client sends.
  uint16_t source_port = 0, destination_port = 0;
  Ipv4 server;  // Who answers: the destination after translation.
  uint16_t server_port = 0;
};

// Deletes the IPv4 flows of which `stale` says so; returns how many there were.
Result<size_t> delete_flows(const std::function<bool(const Flow&)>& stale);

}  // namespace wherry::network
