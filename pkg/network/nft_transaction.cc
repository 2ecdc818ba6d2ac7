#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "network/nft.h"

namespace wherry::network {
namespace {

using os::NetlinkMessage;

// A list of elements is one attribute, whose length has 16 bits; this leaves room for one more
// element.
constexpr size_t kElementBytesMax = 60'000;
constexpr uint32_t kTypeBits = 6;  // Of each field in the number of a concatenated type.
constexpr uint32_t kVerdictType = 0xffffff00;  // NFT_DATA_VERDICT

uint16_t nft_type(uint16_t message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

uint32_t concatenated(const std::vector<NftType>& fields) {
  uint32_t type = 0;
  for (NftType field : fields) type = type << kTypeBits | static_cast<uint32_t>(field);
  return type;
}

// A value of one field has its own length; in a concatenation each fills whole registers.
uint32_t length_of(const std::vector<NftType>& fields) {
  if (fields.size() == 1) {
    if (fields[0] == NftType::kProtocol) return 1;
    if (fields[0] == NftType::kPort) return 2;
  }
  return static_cast<uint32_t>(fields.size() * 4);
}

void put_value(NetlinkMessage& message, uint16_t attribute, std::string_view bytes) {
  message.begin(attribute).put(NFTA_DATA_VALUE, bytes).end();
}

// Lets through only notices of removals: first messages of a datagram that add or remove elements,
// and announcements of a new generation, come with every change of our own and would wake us for
// nothing.
Result<void> filter_notices(int fd) {
  auto type = [](uint16_t message) { return static_cast<uint32_t>(htons(nft_type(message))); };
  constexpr uint16_t kTypeAt = 4;  // In nlmsghdr; the filter loads as if it were in network order.
  sock_filter program[] = {
      {BPF_LD | BPF_H | BPF_ABS, 0, 0, kTypeAt},
      {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, type(NFT_MSG_NEWSETELEM)},
      {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, type(NFT_MSG_DELSETELEM)},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, type(NFT_MSG_NEWGEN)},
      {BPF_RET | BPF_K, 0, 0, 0xffffffff},
      {BPF_RET | BPF_K, 0, 0, 0},
  };
  sock_fprog filter{.len = sizeof program / sizeof program[0], .filter = program};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
    return Error::from_errno(errno, "filter of nf_tables notices");
  }
  return {};
}

bool is_removal(uint16_t type) {
  return type == nft_type(NFT_MSG_DELTABLE) || type == nft_type(NFT_MSG_DELCHAIN) ||
         type == nft_type(NFT_MSG_DELRULE) || type == nft_type(NFT_MSG_DELSET);
}

}  // namespace

NetlinkMessage& NftTransaction::message(uint16_t type, uint16_t flags, uint16_t table_attribute) {
  close_elements();
  nfgenmsg family{.nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0, .res_id = 0};
  messages_.emplace_back(nft_type(type), flags, family);
  messages_.back().put_text(table_attribute, table_);
  return messages_.back();
}

void NftTransaction::add_table() {
  message(NFT_MSG_NEWTABLE, NLM_F_CREATE, NFTA_TABLE_NAME).put_be32(NFTA_TABLE_FLAGS, 0);
}

void NftTransaction::delete_table() {
  add_table();
  message(NFT_MSG_DELTABLE, 0, NFTA_TABLE_NAME);
}

void NftTransaction::replace_table() {
  delete_table();
  add_table();
}

void NftTransaction::add_chain(std::string_view name) {
  message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFTA_CHAIN_TABLE).put_text(NFTA_CHAIN_NAME, name);
}

void NftTransaction::add_chain(std::string_view name, const NftBase& base) {
  NetlinkMessage& m = message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFTA_CHAIN_TABLE);
  m.put_text(NFTA_CHAIN_NAME, name).put_text(NFTA_CHAIN_TYPE, base.type);
  m.put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT).begin(NFTA_CHAIN_HOOK);
  m.put_be32(NFTA_HOOK_HOOKNUM, base.hook);
  m.put_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(base.priority)).end();
}

void NftTransaction::add_rule(std::string_view chain, const NftRule& rule) {
  NetlinkMessage& m = message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFTA_RULE_TABLE);
  m.put_text(NFTA_RULE_CHAIN, chain);
  rule.encode(m);
}

void NftTransaction::add_set(const NftSet& set) {
  uint32_t flags = 0;
  if (set.verdicts || !set.value.empty()) flags |= NFT_SET_MAP;
  if (set.filled_by_rules) flags |= NFT_SET_TIMEOUT | NFT_SET_EVAL;
  NetlinkMessage& m = message(NFT_MSG_NEWSET, NLM_F_CREATE, NFTA_SET_TABLE);
  m.put_text(NFTA_SET_NAME, set.name).put_be32(NFTA_SET_FLAGS, flags);
  m.put_be32(NFTA_SET_KEY_TYPE, concatenated(set.key))
      .put_be32(NFTA_SET_KEY_LEN, length_of(set.key));
  if (set.verdicts) {
    m.put_be32(NFTA_SET_DATA_TYPE, kVerdictType).put_be32(NFTA_SET_DATA_LEN, 16);
  } else if (!set.value.empty()) {
    m.put_be32(NFTA_SET_DATA_TYPE, concatenated(set.value));
    m.put_be32(NFTA_SET_DATA_LEN, length_of(set.value));
  }
  m.put_be32(NFTA_SET_ID, ++sets_);
}

NetlinkMessage& NftTransaction::element_message(uint16_t type, std::string_view set) {
  if (open_set_ != set || open_type_ != type || messages_.back().size() > kElementBytesMax) {
    uint16_t flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
    NetlinkMessage& m = message(type, flags, NFTA_SET_ELEM_LIST_TABLE);
    m.put_text(NFTA_SET_ELEM_LIST_SET, set).begin(NFTA_SET_ELEM_LIST_ELEMENTS);
    open_set_ = set;
    open_type_ = type;
  }
  return messages_.back();
}

void NftTransaction::close_elements() {
  if (open_set_.empty()) return;
  messages_.back().end();
  open_set_.clear();
}

void NftTransaction::add_element(std::string_view set, std::string_view key,
                                 std::string_view value) {
  NetlinkMessage& m = element_message(NFT_MSG_NEWSETELEM, set).begin(NFTA_LIST_ELEM);
  put_value(m, NFTA_SET_ELEM_KEY, key);
  if (!value.empty()) put_value(m, NFTA_SET_ELEM_DATA, value);
  m.end();
}

void NftTransaction::add_verdict(std::string_view set, std::string_view key,
                                 std::string_view chain) {
  NetlinkMessage& m = element_message(NFT_MSG_NEWSETELEM, set).begin(NFTA_LIST_ELEM);
  put_value(m, NFTA_SET_ELEM_KEY, key);
  m.begin(NFTA_SET_ELEM_DATA).begin(NFTA_DATA_VERDICT);
  m.put_be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(NFT_GOTO))
      .put_text(NFTA_VERDICT_CHAIN, chain);
  m.end().end().end();
}

void NftTransaction::delete_element(std::string_view set, std::string_view key) {
  NetlinkMessage& m = element_message(NFT_MSG_DELSETELEM, set).begin(NFTA_LIST_ELEM);
  put_value(m, NFTA_SET_ELEM_KEY, key);
  m.end();
}

Result<void> NftTransaction::commit(os::NetlinkSocket& socket, std::string_view what) {
  close_elements();
  auto failure = TRY(socket.try_transaction(messages_));
  messages_.clear();
  if (failure) return os::to_error(*failure, what);
  return {};
}

Result<NftMonitor> NftMonitor::open() {
  os::NetlinkSocket socket = TRY(os::NetlinkSocket::open(NETLINK_NETFILTER));
  TRY(filter_notices(socket.fd()));
  TRY(socket.subscribe(NFNLGRP_NFTABLES));
  return NftMonitor(std::move(socket));
}

Result<bool> NftMonitor::lost(std::string_view table, uint32_t own_port) {
  bool found = false;
  for (;;) {
    auto notices = socket_.receive();
    if (!notices.ok()) {
      if (notices.error().is(Code::kTimeout)) return found;  // Nothing more to read.
      if (!notices.error().is(Code::kUnavailable)) return std::move(notices).error();
      found = true;  // Notices were dropped: assume the worst.
      continue;
    }
    for (const os::NetlinkReply& notice : *notices) {
      if (!is_removal(notice.type) || notice.port == own_port) continue;
      // The table's name is the first attribute of all four.
      auto name = os::find_attribute(notice.attributes(sizeof(nfgenmsg)), NFTA_TABLE_NAME);
      if (name && name->text() == table) found = true;
    }
  }
}

}  // namespace wherry::network
