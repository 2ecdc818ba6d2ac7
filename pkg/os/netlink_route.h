#pragma once
// Links, addresses, routes and neighbours over rtnetlink. The first group of functions builds
// requests, of which several may go in one NetlinkSocket::send; the second asks the kernel. IPv4
// addresses are in host order.

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/netlink.h"

namespace wherry::os {

using MacAddress = std::array<uint8_t, 6>;

struct Veth {
  std::string name;
  MacAddress mac{};
  std::string peer_name;
  MacAddress peer_mac{};
  int peer_netns_fd = -1;
  int mtu = 0;  // 0: the kernel's default.
};

struct LinkSettings {
  bool up = false;
  bool quiet_ipv6 = false;             // No link-local address, so no router or neighbour traffic.
  std::optional<bool> route_localnet;  // 127.0.0.0/8 may be routed over this link.
  std::optional<bool> strict_source;   // rp_filter.
  std::optional<bool> forwarding;
};

struct Route {
  uint32_t destination = 0;
  int prefix = 0;
  int link = 0;                 // Interface index; 0 with delete_route(): any.
  std::optional<uint32_t> via;  // Gateway; without one the destination is on the link.
  std::optional<uint32_t> source;
  bool onlink = false;  // The gateway is reached over `link` although no route says so.
};

NetlinkMessage create_veth(const Veth& veth);
NetlinkMessage delete_link(std::string_view name);
NetlinkMessage set_link(int index, const LinkSettings& settings);
NetlinkMessage set_link(std::string_view name, const LinkSettings& settings);
NetlinkMessage add_address(int link, uint32_t address, int prefix);
NetlinkMessage delete_address(int link, uint32_t address, int prefix);
NetlinkMessage add_route(const Route& route);  // Replaces one to the same destination.
NetlinkMessage delete_route(const Route& route);
NetlinkMessage add_neighbour(int link, uint32_t address, const MacAddress& mac);  // Permanent.

struct Link {
  int index = 0;
  std::string name;
  bool up = false;
  bool sends = false;  // It is up, something is at its other end, and the kernel has taken note.
  int mtu = 0;
  MacAddress mac{};
};

// A link by name, kNotFound when there is none.
Result<Link> find_link(NetlinkSocket& socket, std::string_view name);
// Returns once the link sends. The kernel learns a moment after both ends of a wire are up that
// there is somebody to send to, and drops what goes there until then.
Result<void> wait_until_it_sends(std::string_view name, std::chrono::milliseconds limit);
Result<std::vector<Link>> list_links(NetlinkSocket& socket);
// The IPv4 addresses of this namespace, with the index of the link that holds each.
struct LinkAddress {
  int link = 0;
  uint32_t address = 0;
  int prefix = 0;
};
Result<std::vector<LinkAddress>> list_addresses(NetlinkSocket& socket);
// The source address and link the kernel would take to reach `destination`; kNotFound without a
// route.
struct RouteChoice {
  int link = 0;
  uint32_t source = 0;
};
Result<RouteChoice> choose_route(NetlinkSocket& socket, uint32_t destination);

}  // namespace wherry::os
