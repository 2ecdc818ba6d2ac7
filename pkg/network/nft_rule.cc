#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include <cstring>

#include "network/nft.h"

namespace wherry::network {
namespace {

using os::NetlinkMessage;

constexpr int kScratch = 15;        // For conditions; keys and values stay below.
constexpr int kLinkScratch = 12;    // A link's name fills four registers.
constexpr uint32_t kSourceAt = 12;  // In the IPv4 header.
constexpr uint32_t kDestinationAt = 16;
constexpr uint32_t kPortAt = 2;              // In TCP, UDP and SCTP alike.
constexpr uint32_t kConnectionNew = 1 << 3;  // NF_CT_STATE_BIT(IP_CT_NEW)

uint32_t register_at(int number) {
  CHECK(number >= 0 && number <= 15);
  return NFT_REG32_00 + static_cast<uint32_t>(number);
}

void put_data(NetlinkMessage& message, uint16_t attribute, std::string_view bytes) {
  message.begin(attribute).put(NFTA_DATA_VALUE, bytes).end();
}

}  // namespace

std::string nft_number(uint32_t number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}
std::string nft_address(Ipv4 address) { return nft_number(__builtin_bswap32(address.bits)); }
std::string nft_protocol(Protocol protocol) {
  return {static_cast<char>(protocol), '\0', '\0', '\0'};
}
std::string nft_port(uint16_t port) {
  return {static_cast<char>(port >> 8), static_cast<char>(port & 255), '\0', '\0'};
}

NftRule& NftRule::add(std::string name, Encoder encoder) {
  expressions_.push_back({std::move(name), std::move(encoder)});
  return *this;
}

void NftRule::encode(NetlinkMessage& message) const {
  message.begin(NFTA_RULE_EXPRESSIONS);
  for (const Expression& expression : expressions_) {
    message.begin(NFTA_LIST_ELEM).put_text(NFTA_EXPR_NAME, expression.name);
    message.begin(NFTA_EXPR_DATA);
    expression.encoder(message);
    message.end().end();
  }
  message.end();
}

// ---- Loads

NftRule& NftRule::payload(int to, uint32_t base, uint32_t offset, uint32_t length) {
  return add("payload", [=](NetlinkMessage& m) {
    m.put_be32(NFTA_PAYLOAD_DREG, register_at(to)).put_be32(NFTA_PAYLOAD_BASE, base);
    m.put_be32(NFTA_PAYLOAD_OFFSET, offset).put_be32(NFTA_PAYLOAD_LEN, length);
  });
}

NftRule& NftRule::meta(int to, uint32_t key) {
  return add("meta", [=](NetlinkMessage& m) {
    m.put_be32(NFTA_META_DREG, register_at(to)).put_be32(NFTA_META_KEY, key);
  });
}

NftRule& NftRule::source(int to) { return payload(to, NFT_PAYLOAD_NETWORK_HEADER, kSourceAt, 4); }
NftRule& NftRule::destination(int to) {
  return payload(to, NFT_PAYLOAD_NETWORK_HEADER, kDestinationAt, 4);
}
NftRule& NftRule::destination_port(int to) {
  return payload(to, NFT_PAYLOAD_TRANSPORT_HEADER, kPortAt, 2);
}
NftRule& NftRule::protocol(int to) { return meta(to, NFT_META_L4PROTO); }

NftRule& NftRule::constant(int to, std::string_view bytes) {
  return add("immediate", [to, value = std::string(bytes)](NetlinkMessage& m) {
    m.put_be32(NFTA_IMMEDIATE_DREG, register_at(to));
    put_data(m, NFTA_IMMEDIATE_DATA, value);
  });
}

NftRule& NftRule::random(int to, uint32_t below) {
  return add("numgen", [=](NetlinkMessage& m) {
    m.put_be32(NFTA_NG_DREG, register_at(to)).put_be32(NFTA_NG_MODULUS, below);
    m.put_be32(NFTA_NG_TYPE, NFT_NG_RANDOM).put_be32(NFTA_NG_OFFSET, 0);
  });
}

// ---- Conditions

NftRule& NftRule::compare(int what, uint32_t operation, std::string bytes) {
  return add("cmp", [=, value = std::move(bytes)](NetlinkMessage& m) {
    m.put_be32(NFTA_CMP_SREG, register_at(what)).put_be32(NFTA_CMP_OP, operation);
    put_data(m, NFTA_CMP_DATA, value);
  });
}

NftRule& NftRule::mask(int what, std::string keep, std::string flip) {
  return add("bitwise", [=, keep = std::move(keep), flip = std::move(flip)](NetlinkMessage& m) {
    m.put_be32(NFTA_BITWISE_SREG, register_at(what)).put_be32(NFTA_BITWISE_DREG, register_at(what));
    m.put_be32(NFTA_BITWISE_LEN, static_cast<uint32_t>(keep.size()));
    put_data(m, NFTA_BITWISE_MASK, keep);
    put_data(m, NFTA_BITWISE_XOR, flip);
  });
}

NftRule& NftRule::protocol_is(Protocol wanted) {
  return protocol(kScratch).compare(kScratch, NFT_CMP_EQ, nft_protocol(wanted).substr(0, 1));
}

NftRule& NftRule::source_in(const Cidr& range) {
  return source(kScratch)
      .mask(kScratch, nft_address({range.mask()}), nft_number(0))
      .compare(kScratch, NFT_CMP_EQ, nft_address(range.base));
}
NftRule& NftRule::source_not_in(const Cidr& range) {
  return source(kScratch)
      .mask(kScratch, nft_address({range.mask()}), nft_number(0))
      .compare(kScratch, NFT_CMP_NEQ, nft_address(range.base));
}
NftRule& NftRule::destination_in(const Cidr& range) {
  return destination(kScratch)
      .mask(kScratch, nft_address({range.mask()}), nft_number(0))
      .compare(kScratch, NFT_CMP_EQ, nft_address(range.base));
}
NftRule& NftRule::destination_not_in(const Cidr& range) {
  return destination(kScratch)
      .mask(kScratch, nft_address({range.mask()}), nft_number(0))
      .compare(kScratch, NFT_CMP_NEQ, nft_address(range.base));
}

NftRule& NftRule::address_type(uint32_t flag, uint32_t operation) {
  add("fib", [=](NetlinkMessage& m) {
    m.put_be32(NFTA_FIB_DREG, register_at(kScratch)).put_be32(NFTA_FIB_FLAGS, flag);
    m.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
  });
  return compare(kScratch, operation, nft_number(RTN_LOCAL));
}

NftRule& NftRule::source_is_local() { return address_type(NFTA_FIB_F_SADDR, NFT_CMP_EQ); }
NftRule& NftRule::source_is_not_local() { return address_type(NFTA_FIB_F_SADDR, NFT_CMP_NEQ); }
NftRule& NftRule::destination_is_local() { return address_type(NFTA_FIB_F_DADDR, NFT_CMP_EQ); }
NftRule& NftRule::destination_is_not_local() { return address_type(NFTA_FIB_F_DADDR, NFT_CMP_NEQ); }

NftRule& NftRule::input_link_begins(std::string_view prefix) {
  return meta(kLinkScratch, NFT_META_IIFNAME)
      .compare(kLinkScratch, NFT_CMP_EQ, std::string(prefix));
}

NftRule& NftRule::output_link_is_not(std::string_view name) {
  return meta(kLinkScratch, NFT_META_OIFNAME)
      .compare(kLinkScratch, NFT_CMP_NEQ, std::string(name) + '\0');
}

NftRule& NftRule::marked(uint32_t bit) {
  return meta(kScratch, NFT_META_MARK)
      .mask(kScratch, nft_number(bit), nft_number(0))
      .compare(kScratch, NFT_CMP_NEQ, nft_number(0));
}

NftRule& NftRule::new_connection() {
  add("ct", [](NetlinkMessage& m) {
    m.put_be32(NFTA_CT_DREG, register_at(kScratch)).put_be32(NFTA_CT_KEY, NFT_CT_STATE);
  });
  return mask(kScratch, nft_number(kConnectionNew), nft_number(0))
      .compare(kScratch, NFT_CMP_NEQ, nft_number(0));
}

NftRule& NftRule::in_set(std::string_view set, int key) {
  return add("lookup", [set = std::string(set), key](NetlinkMessage& m) {
    m.put_text(NFTA_LOOKUP_SET, set).put_be32(NFTA_LOOKUP_SREG, register_at(key));
  });
}

NftRule& NftRule::map(std::string_view set, int key, int to) {
  return add("lookup", [set = std::string(set), key, to](NetlinkMessage& m) {
    m.put_text(NFTA_LOOKUP_SET, set).put_be32(NFTA_LOOKUP_SREG, register_at(key));
    m.put_be32(NFTA_LOOKUP_DREG, register_at(to));
  });
}

// ---- Actions

NftRule& NftRule::verdict_of(std::string_view set, int key) {
  return add("lookup", [set = std::string(set), key](NetlinkMessage& m) {
    m.put_text(NFTA_LOOKUP_SET, set).put_be32(NFTA_LOOKUP_SREG, register_at(key));
    m.put_be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
  });
}

NftRule& NftRule::change_mark(uint32_t keep, uint32_t flip) {
  meta(kScratch, NFT_META_MARK).mask(kScratch, nft_number(keep), nft_number(flip));
  return add("meta", [](NetlinkMessage& m) {
    m.put_be32(NFTA_META_KEY, NFT_META_MARK).put_be32(NFTA_META_SREG, register_at(kScratch));
  });
}
NftRule& NftRule::add_mark(uint32_t bit) { return change_mark(~bit, bit); }
NftRule& NftRule::clear_mark(uint32_t bit) { return change_mark(~bit, 0); }

NftRule& NftRule::remember(std::string_view set, int key, int value, std::chrono::seconds time) {
  return add("dynset", [set = std::string(set), key, value, time](NetlinkMessage& m) {
    m.put_text(NFTA_DYNSET_SET_NAME, set).put_be32(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
    m.put_be32(NFTA_DYNSET_SREG_KEY, register_at(key));
    m.put_be32(NFTA_DYNSET_SREG_DATA, register_at(value));
    m.put_be64(NFTA_DYNSET_TIMEOUT, static_cast<uint64_t>(time.count()) * 1000);
  });
}

NftRule& NftRule::dnat(int address, int port) {
  return add("nat", [=](NetlinkMessage& m) {
    m.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT).put_be32(NFTA_NAT_FAMILY, NFPROTO_IPV4);
    m.put_be32(NFTA_NAT_REG_ADDR_MIN, register_at(address));
    m.put_be32(NFTA_NAT_REG_PROTO_MIN, register_at(port));
  });
}

NftRule& NftRule::snat(int address) {
  return add("nat", [=](NetlinkMessage& m) {
    m.put_be32(NFTA_NAT_TYPE, NFT_NAT_SNAT).put_be32(NFTA_NAT_FAMILY, NFPROTO_IPV4);
    m.put_be32(NFTA_NAT_REG_ADDR_MIN, register_at(address));
  });
}

NftRule& NftRule::masquerade() {
  // Another client may hold the source port already: without this the kernel tries neighbours
  // first, and two simultaneous connections can pick the same one.
  return add("masq", [](NetlinkMessage& m) {
    m.put_be32(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
  });
}

NftRule& NftRule::reject_reset() {
  return add("reject", [](NetlinkMessage& m) {
    m.put_be32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST).put_u8(NFTA_REJECT_ICMP_CODE, 0);
  });
}

NftRule& NftRule::reject_unreachable() {
  constexpr uint8_t kPortUnreachable = 3;
  return add("reject", [](NetlinkMessage& m) {
    m.put_be32(NFTA_REJECT_TYPE, NFT_REJECT_ICMP_UNREACH);
    m.put_u8(NFTA_REJECT_ICMP_CODE, kPortUnreachable);
  });
}

NftRule& NftRule::verdict(int32_t code, std::string chain) {
  return add("immediate", [code, chain = std::move(chain)](NetlinkMessage& m) {
    m.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    m.begin(NFTA_IMMEDIATE_DATA).begin(NFTA_DATA_VERDICT);
    m.put_be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
    if (!chain.empty()) m.put_text(NFTA_VERDICT_CHAIN, chain);
    m.end().end();
  });
}
NftRule& NftRule::drop() { return verdict(NF_DROP, {}); }
NftRule& NftRule::jump(std::string_view chain) { return verdict(NFT_JUMP, std::string(chain)); }
NftRule& NftRule::leave() { return verdict(NFT_RETURN, {}); }

}  // namespace wherry::network
