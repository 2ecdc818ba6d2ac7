#include "os/netlink_route.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>

#include "os/poll.h"

namespace wherry::os {
namespace {

constexpr uint8_t kOperational = 6;  // IF_OPER_UP, whose header does not go with net/if.h.

template <typename T>
std::string_view raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <typename Header>
Header header_of(const NetlinkReply& reply) {
  Header header{};
  std::memcpy(&header, reply.payload.data(), std::min(sizeof header, reply.payload.size()));
  return header;
}

// The settings are per family: IPv4's are an array of numbered values, IPv6's attributes of their
// own.
void put_settings(NetlinkMessage& message, const LinkSettings& settings) {
  bool ipv4 = settings.route_localnet || settings.strict_source || settings.forwarding;
  if (!ipv4 && !settings.quiet_ipv6) return;
  message.begin_plain(IFLA_AF_SPEC);
  if (ipv4) {
    message.begin_plain(AF_INET).begin_plain(IFLA_INET_CONF);
    if (settings.route_localnet) {
      message.put_u32(IPV4_DEVCONF_ROUTE_LOCALNET, *settings.route_localnet ? 1 : 0);
    }
    if (settings.strict_source) {
      message.put_u32(IPV4_DEVCONF_RP_FILTER, *settings.strict_source ? 1 : 0);
    }
    if (settings.forwarding) message.put_u32(IPV4_DEVCONF_FORWARDING, *settings.forwarding ? 1 : 0);
    message.end().end();
  }
  if (settings.quiet_ipv6) {
    message.begin_plain(AF_INET6).put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE).end();
  }
  message.end();
}

ifinfomsg link_header(int index, const LinkSettings& settings) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  if (settings.up) header.ifi_flags = header.ifi_change = IFF_UP;
  return header;
}

NetlinkMessage route_message(uint16_t type, uint16_t flags, const Route& route) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = static_cast<uint8_t>(route.prefix);
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE  // Whatever it has.
                     : route.via          ? RT_SCOPE_UNIVERSE
                                          : RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  if (route.onlink) header.rtm_flags = RTNH_F_ONLINK;
  NetlinkMessage message(type, flags, header);
  message.put_be32(RTA_DST, route.destination);
  if (route.link != 0) message.put_u32(RTA_OIF, static_cast<uint32_t>(route.link));
  if (route.via) message.put_be32(RTA_GATEWAY, *route.via);
  if (route.source) message.put_be32(RTA_PREFSRC, *route.source);
  return message;
}

NetlinkMessage address_message(uint16_t type, uint16_t flags, int link, uint32_t address,
                               int prefix) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = static_cast<uint8_t>(prefix);
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = static_cast<uint32_t>(link);
  NetlinkMessage message(type, flags, header);
  message.put_be32(IFA_LOCAL, address).put_be32(IFA_ADDRESS, address);
  return message;
}

Link link_from(const NetlinkReply& reply) {
  auto header = header_of<ifinfomsg>(reply);
  auto attributes = reply.attributes(sizeof header);
  Link link{
      .index = header.ifi_index, .name = {}, .up = (header.ifi_flags & IFF_UP) != 0, .mtu = 0};
  if (auto name = find_attribute(attributes, IFLA_IFNAME)) link.name = name->text();
  if (auto state = find_attribute(attributes, IFLA_OPERSTATE))
    link.sends = state->u8() == kOperational;
  if (auto mtu = find_attribute(attributes, IFLA_MTU)) link.mtu = static_cast<int>(mtu->u32());
  auto mac = find_attribute(attributes, IFLA_ADDRESS);
  if (mac && mac->data.size() == link.mac.size()) {
    std::memcpy(link.mac.data(), mac->data.data(), link.mac.size());
  }
  return link;
}

}  // namespace

NetlinkMessage create_veth(const Veth& veth) {
  NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0, {.up = true}));
  message.put_text(IFLA_IFNAME, veth.name).put(IFLA_ADDRESS, raw(veth.mac));
  if (veth.mtu > 0) message.put_u32(IFLA_MTU, static_cast<uint32_t>(veth.mtu));
  message.begin(IFLA_LINKINFO).put_text(IFLA_INFO_KIND, "veth").begin(IFLA_INFO_DATA);
  // The peer may not be asked to be up in the same message.
  message.begin_plain(VETH_INFO_PEER).append(raw(ifinfomsg{}));
  message.put_text(IFLA_IFNAME, veth.peer_name).put(IFLA_ADDRESS, raw(veth.peer_mac));
  if (veth.mtu > 0) message.put_u32(IFLA_MTU, static_cast<uint32_t>(veth.mtu));
  if (veth.peer_netns_fd >= 0) {
    message.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(veth.peer_netns_fd));
  }
  message.end().end().end();
  return message;
}

NetlinkMessage delete_link(std::string_view name) {
  NetlinkMessage message(RTM_DELLINK, 0, ifinfomsg{});
  message.put_text(IFLA_IFNAME, name);
  return message;
}

NetlinkMessage set_link(int index, const LinkSettings& settings) {
  NetlinkMessage message(RTM_NEWLINK, 0, link_header(index, settings));
  put_settings(message, settings);
  return message;
}

NetlinkMessage set_link(std::string_view name, const LinkSettings& settings) {
  NetlinkMessage message(RTM_NEWLINK, 0, link_header(0, settings));
  message.put_text(IFLA_IFNAME, name);
  put_settings(message, settings);
  return message;
}

NetlinkMessage add_address(int link, uint32_t address, int prefix) {
  return address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, link, address, prefix);
}

NetlinkMessage delete_address(int link, uint32_t address, int prefix) {
  return address_message(RTM_DELADDR, 0, link, address, prefix);
}

NetlinkMessage add_route(const Route& route) {
  return route_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

NetlinkMessage delete_route(const Route& route) { return route_message(RTM_DELROUTE, 0, route); }

NetlinkMessage add_neighbour(int link, uint32_t address, const MacAddress& mac) {
  ndmsg header{};
  header.ndm_family = AF_INET;
  header.ndm_ifindex = link;
  header.ndm_state = NUD_PERMANENT;
  NetlinkMessage message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, header);
  message.put_be32(NDA_DST, address).put(NDA_LLADDR, raw(mac));
  return message;
}

Result<Link> find_link(NetlinkSocket& socket, std::string_view name) {
  NetlinkMessage message(RTM_GETLINK, 0, ifinfomsg{});
  message.put_text(IFLA_IFNAME, name);
  return link_from(TRY(socket.get(std::move(message), fmt::format("interface {}", name))));
}

Result<void> wait_until_it_sends(std::string_view name, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  NetlinkSocket asks = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  // Newer kernels (6.8 on) take note at the latest when they are asked.
  if (TRY(find_link(asks, name)).sends) return {};
  NetlinkSocket notices = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  TRY(notices.subscribe(RTNLGRP_LINK));
  while (!TRY(find_link(asks, name)).sends) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !TRY(wait_for(notices.fd(), POLLIN, left)))
      return Error::unavailable("interface {} does not send after {} ms", name, limit.count());
    (void)notices.receive();  // Of which link does not matter; nor does a notice that was lost.
  }
  return {};
}

Result<std::vector<Link>> list_links(NetlinkSocket& socket) {
  auto replies = TRY(socket.dump(NetlinkMessage(RTM_GETLINK, 0, ifinfomsg{}), "list interfaces"));
  std::vector<Link> links;
  for (const NetlinkReply& reply : replies) {
    if (reply.type == RTM_NEWLINK) links.push_back(link_from(reply));
  }
  return links;
}

Result<std::vector<LinkAddress>> list_addresses(NetlinkSocket& socket) {
  ifaddrmsg wanted{};
  wanted.ifa_family = AF_INET;
  auto replies = TRY(socket.dump(NetlinkMessage(RTM_GETADDR, 0, wanted), "list addresses"));
  std::vector<LinkAddress> addresses;
  for (const NetlinkReply& reply : replies) {
    auto header = header_of<ifaddrmsg>(reply);
    if (reply.type != RTM_NEWADDR || header.ifa_family != AF_INET) continue;
    auto local = find_attribute(reply.attributes(sizeof header), IFA_LOCAL);
    if (!local) continue;
    addresses.push_back({static_cast<int>(header.ifa_index), local->be32(), header.ifa_prefixlen});
  }
  return addresses;
}

Result<RouteChoice> choose_route(NetlinkSocket& socket, uint32_t destination) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = 32;
  NetlinkMessage message(RTM_GETROUTE, 0, header);
  message.put_be32(RTA_DST, destination);
  NetlinkReply reply = TRY(socket.get(std::move(message), "choose a route"));
  auto attributes = reply.attributes(sizeof header);
  RouteChoice choice;
  if (auto link = find_attribute(attributes, RTA_OIF)) choice.link = static_cast<int>(link->u32());
  if (auto source = find_attribute(attributes, RTA_PREFSRC)) choice.source = source->be32();
  return choice;
}

}  // namespace wherry::os
