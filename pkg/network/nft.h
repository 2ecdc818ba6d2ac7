#pragma once
// Rules, sets and transactions of nf_tables, encoded as netlink messages; IPv4 ("ip" family) tables
// only. NftRule is a list of expressions, NftTransaction a list of changes to one table that take
// effect together or not at all. Both belong to one thread.
//
// An expression works on registers, numbered here 0 to 15, of four bytes each; a longer value fills
// the following ones. Values are in network order, but marks and slot numbers, which are in host
// order. A rule must load what it reads: kernels refuse to see registers filled by an earlier rule.

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "network/address.h"
#include "os/netlink.h"

namespace wherry::network {

enum class Protocol : uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17, kSctp = 132 };

// Values as registers and set keys hold them: a whole number of registers each.
std::string nft_address(Ipv4 address);
std::string nft_protocol(Protocol protocol);
std::string nft_port(uint16_t port);
std::string nft_number(uint32_t number);  // Host order.

class NftRule {
 public:
  // Loads.
  NftRule& source(int to);
  NftRule& destination(int to);
  NftRule& destination_port(int to);  // The rule ends here for what has no ports.
  NftRule& protocol(int to);
  NftRule& constant(int to, std::string_view bytes);
  NftRule& random(int to, uint32_t below);

  // Conditions: the rule ends where one does not hold.
  NftRule& protocol_is(Protocol protocol);
  NftRule& source_in(const Cidr& range);
  NftRule& source_not_in(const Cidr& range);
  NftRule& destination_in(const Cidr& range);
  NftRule& destination_not_in(const Cidr& range);
  NftRule& source_is_local();  // An address of this machine.
  NftRule& source_is_not_local();
  NftRule& destination_is_local();
  NftRule& destination_is_not_local();
  NftRule& input_link_begins(std::string_view prefix);
  NftRule& output_link_is_not(std::string_view name);
  NftRule& marked(uint32_t bit);
  NftRule& new_connection();
  NftRule& in_set(std::string_view set, int key);
  NftRule& map(std::string_view set, int key, int to);

  // Actions.
  NftRule& verdict_of(std::string_view set, int key);  // The rule ends when there is no such key.
  NftRule& add_mark(uint32_t bit);
  NftRule& clear_mark(uint32_t bit);
  // Puts key and value into the set, or renews their time.
  NftRule& remember(std::string_view set, int key, int value, std::chrono::seconds time);
  NftRule& dnat(int address, int port);
  NftRule& snat(int address);
  NftRule& masquerade();
  NftRule& reject_reset();        // TCP only.
  NftRule& reject_unreachable();  // ICMP port unreachable.
  NftRule& drop();
  NftRule& jump(std::string_view chain);
  NftRule& leave();  // Back to the calling chain.

  void encode(os::NetlinkMessage& message) const;

 private:
  using Encoder = std::function<void(os::NetlinkMessage&)>;
  NftRule& add(std::string name, Encoder encoder);
  NftRule& payload(int to, uint32_t base, uint32_t offset, uint32_t length);
  NftRule& meta(int to, uint32_t key);
  NftRule& compare(int what, uint32_t operation, std::string bytes);
  NftRule& mask(int what, std::string mask, std::string flip);
  NftRule& address_type(uint32_t flag, uint32_t operation);
  NftRule& verdict(int32_t code, std::string chain);
  NftRule& change_mark(uint32_t keep, uint32_t flip);

  struct Expression {
    std::string name;
    Encoder encoder;
  };
  std::vector<Expression> expressions_;
};

// What fields a key or value holds, so that `nft list` can print them.
enum class NftType : uint8_t { kAddress = 7, kProtocol = 12, kPort = 13, kNumber = 19 };

struct NftSet {
  std::string name;
  std::vector<NftType> key;
  std::vector<NftType> value = {};  // Empty: a set.
  bool verdicts = false;            // The values are chains to go to.
  bool filled_by_rules = false;     // NftRule::remember puts elements in; they time out.
};

struct NftBase {
  std::string_view type;  // "nat" or "filter".
  uint32_t hook;          // NF_INET_PRE_ROUTING, ...
  int32_t priority;
};

class NftTransaction {
 public:
  explicit NftTransaction(std::string table) : table_(std::move(table)) {}

  void add_table();
  void replace_table();  // Empty and new, in the same instant.
  void delete_table();   // No error when there is none.
  void add_chain(std::string_view name);
  void add_chain(std::string_view name, const NftBase& base);
  void add_rule(std::string_view chain, const NftRule& rule);
  void add_set(const NftSet& set);
  void add_element(std::string_view set, std::string_view key, std::string_view value = {});
  void add_verdict(std::string_view set, std::string_view key, std::string_view chain);
  void delete_element(std::string_view set, std::string_view key);

  bool empty() const { return messages_.empty(); }
  // `socket` is a NETLINK_NETFILTER one. kNotFound: something that was to be there is not, as when
  // somebody flushed the table.
  Result<void> commit(os::NetlinkSocket& socket, std::string_view what);

 private:
  os::NetlinkMessage& element_message(uint16_t type, std::string_view set);
  os::NetlinkMessage& message(uint16_t type, uint16_t flags, uint16_t table_attribute);
  void close_elements();

  std::string table_;
  std::vector<os::NetlinkMessage> messages_;
  std::string open_set_;  // The last message collects elements of this set; they share messages.
  uint16_t open_type_ = 0;
  uint32_t sets_ = 0;
};

// Wakes its reader when somebody else removes rules, chains, sets or a whole table.
class NftMonitor {
 public:
  static Result<NftMonitor> open();
  int fd() const { return socket_.fd(); }
  // Reads what is there. True when `table` lost something by another's hand than the socket
  // `own_port`.
  Result<bool> lost(std::string_view table, uint32_t own_port);

 private:
  explicit NftMonitor(os::NetlinkSocket socket) : socket_(std::move(socket)) {}
  os::NetlinkSocket socket_;
};

}  // namespace wherry::network
