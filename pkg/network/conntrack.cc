#include "network/conntrack.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <string>
#include <vector>

#include "os/netlink.h"

namespace wherry::network {
namespace {

using os::find_attribute;
using os::NetlinkMessage;

NetlinkMessage conntrack_message(uint16_t type) {
  nfgenmsg family{.nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0, .res_id = 0};
  return NetlinkMessage(static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type), 0, family);
}

struct Tuple {
  Ipv4 source, destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;
};

Tuple parse_tuple(std::string_view data) {
  Tuple tuple;
  auto parts = os::parse_attributes(data);
  if (auto ip = find_attribute(parts, CTA_TUPLE_IP)) {
    auto fields = os::parse_attributes(ip->data);
    if (auto field = find_attribute(fields, CTA_IP_V4_SRC)) tuple.source.bits = field->be32();
    if (auto field = find_attribute(fields, CTA_IP_V4_DST)) tuple.destination.bits = field->be32();
  }
  if (auto proto = find_attribute(parts, CTA_TUPLE_PROTO)) {
    auto fields = os::parse_attributes(proto->data);
    if (auto field = find_attribute(fields, CTA_PROTO_NUM)) tuple.protocol = field->u8();
    if (auto field = find_attribute(fields, CTA_PROTO_SRC_PORT)) tuple.source_port = field->be16();
    if (auto field = find_attribute(fields, CTA_PROTO_DST_PORT)) {
      tuple.destination_port = field->be16();
    }
  }
  return tuple;
}

}  // namespace

Result<size_t> delete_flows(const std::function<bool(const Flow&)>& stale) {
  os::NetlinkSocket socket = TRY(os::NetlinkSocket::open(NETLINK_NETFILTER));
  std::vector<NetlinkMessage> deletes;
  NetlinkMessage request = conntrack_message(IPCTNL_MSG_CT_GET);
  // An interrupted dump would only miss flows that have just begun, and those follow the new rules.
  TRY(socket.dump_each(request, "list connections", [&](const os::NetlinkReply& reply) {
    auto attributes = reply.attributes(sizeof(nfgenmsg));
    auto original = find_attribute(attributes, CTA_TUPLE_ORIG);
    auto answer = find_attribute(attributes, CTA_TUPLE_REPLY);
    if (!original || !answer) return;
    Tuple there = parse_tuple(original->data);
    Tuple back = parse_tuple(answer->data);
    Flow flow{static_cast<Protocol>(there.protocol),
              there.source,
              there.destination,
              there.source_port,
              there.destination_port,
              back.source,
              back.source_port};
    if (!stale(flow)) return;
    NetlinkMessage message = conntrack_message(IPCTNL_MSG_CT_DELETE);
    message.begin(CTA_TUPLE_ORIG).append(original->data).end();
    if (auto id = find_attribute(attributes, CTA_ID)) message.put(CTA_ID, id->data);
    deletes.push_back(std::move(message));
  }));
  // One by one: an entry that has ended meanwhile is refused, which is as good.
  for (NetlinkMessage& message : deletes) TRY(socket.try_send(std::span(&message, 1)));
  return deletes.size();
}

}  // namespace wherry::network
