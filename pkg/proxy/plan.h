#pragma once
// plan: which elements of the proxy's nftables sets must change for one frontend. Pure.
//
// A connection is sent to a backend in two look-ups, whatever the number of Services:
//
//     services    address . protocol . port          : goto PickChain
//     endpoints   address . protocol . port . slot   : address . port
//
// The PickChain draws the slot, below the number of backends, so there is one chain for each number
// that occurs. A node port stands in both under the address 0.0.0.0, which its chains load in place
// of the packet's. With session affinity the chain first looks at
//
//     affinity    client . address . protocol . port : address . port
//     affine      address . protocol . port . address . port
//
// Rules fill the first, whose elements expire; the second holds the backends that exist still. And
// `refused` holds the frontends outside the Service range that have no backends.

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/model.h"

namespace wherry::proxy {

struct PickChain {
  enum class From : uint8_t { kCluster, kNode };  // The packet's own address, or 0.0.0.0.
  From from = From::kCluster;
  uint32_t backends = 1;
  uint32_t affinity_seconds = 0;
  bool masquerade = false;
  std::string name() const;  // "cluster-3", "node-2-masquerade-10800s".
  auto operator<=>(const PickChain&) const = default;
};

struct Change {
  enum class Set : uint8_t { kServices, kEndpoints, kAffine, kRefused };
  Set set;
  bool add;
  Frontend frontend;
  uint32_t slot = 0;     // kEndpoints.
  Backend backend = {};  // kEndpoints and kAffine.
  PickChain chain = {};  // kServices, added.
  bool operator==(const Change&) const = default;
};

// `before` is what is programmed and `after` what is wanted; null is nothing. Removals come first:
// within a transaction an element can be replaced only by removing the old one.
std::vector<Change> plan(const Frontend& frontend, const Target* before, const Target* after,
                         const Cidr& service_range);

}  // namespace wherry::proxy
