#pragma once
// Netlink: messages to the kernel's network configuration, encoded by hand. NetlinkMessage is one
// request under construction; NetlinkSocket sends requests and reads acknowledgements, dumps and
// notices.
//
// Threads: a message or socket belongs to one thread at a time. A socket stays in the network
// namespace in which it was opened, whatever its user does later. Every wait for the kernel ends
// after ten seconds.

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/fd.h"

namespace wherry::os {

class NetlinkMessage {
 public:
  // NLM_F_REQUEST is always set. `family_header` is what follows the netlink header (ifinfomsg,
  // ...).
  template <typename Header>
  NetlinkMessage(uint16_t type, uint16_t flags, const Header& family_header)
      : NetlinkMessage(
            type, flags,
            std::string_view(reinterpret_cast<const char*>(&family_header), sizeof family_header)) {
  }
  NetlinkMessage(uint16_t type, uint16_t flags, std::string_view family_header);

  NetlinkMessage& put(uint16_t type, std::string_view bytes);
  NetlinkMessage& put_text(uint16_t type, std::string_view text);  // With a closing zero byte.
  NetlinkMessage& put_u8(uint16_t type, uint8_t value);
  NetlinkMessage& put_u16(uint16_t type, uint16_t value);  // Host order, as rtnetlink wants.
  NetlinkMessage& put_u32(uint16_t type, uint32_t value);
  NetlinkMessage& put_be16(uint16_t type,
                           uint16_t value);  // Network order, as nf_tables and addresses want.
  NetlinkMessage& put_be32(uint16_t type, uint32_t value);
  NetlinkMessage& put_be64(uint16_t type, uint64_t value);

  // Attributes put until end() belong to the nested attribute; they nest. A nested attribute holds
  // at most 65,535 bytes, which is for the caller to keep.
  NetlinkMessage& begin(uint16_t type);
  NetlinkMessage& begin_plain(
      uint16_t type);  // Without NLA_F_NESTED: what rtnetlink's old parts expect.
  // Bytes without a header of their own, such as the ifinfomsg within VETH_INFO_PEER.
  NetlinkMessage& append(std::string_view bytes);
  NetlinkMessage& end();

  size_t size() const { return bytes_.size(); }
  uint16_t type() const;
  // Complete, with length and sequence number filled in.
  std::string_view finish(uint32_t sequence, uint16_t more_flags);

 private:
  std::string bytes_;
  std::vector<size_t> open_;  // Offsets of attributes begun and not ended.
};

// One attribute of a message from the kernel.
struct NetlinkAttribute {
  uint16_t type = 0;
  std::string_view data;
  uint8_t u8() const { return data.empty() ? 0 : static_cast<uint8_t>(data[0]); }
  uint16_t u16() const { return number<uint16_t>(); }
  uint32_t u32() const { return number<uint32_t>(); }
  uint16_t be16() const { return __builtin_bswap16(u16()); }
  uint32_t be32() const { return __builtin_bswap32(u32()); }
  uint64_t be64() const { return __builtin_bswap64(number<uint64_t>()); }
  std::string_view text() const { return data.substr(0, data.find('\0')); }

 private:
  template <typename T>
  T number() const {
    T value = 0;
    if (data.size() >= sizeof value) std::memcpy(&value, data.data(), sizeof value);
    return value;
  }
};

// The attributes in `data`; stops at the first malformed one.
std::vector<NetlinkAttribute> parse_attributes(std::string_view data);
std::optional<NetlinkAttribute> find_attribute(std::span<const NetlinkAttribute> attributes,
                                               uint16_t type);

struct NetlinkReply {
  uint16_t type = 0;
  uint32_t port = 0;    // Of the socket whose request caused it; 0 for the kernel's own doing.
  std::string payload;  // After the netlink header, family header included.
  std::vector<NetlinkAttribute> attributes(size_t family_header_size) const {
    return payload.size() < family_header_size
               ? std::vector<NetlinkAttribute>()
               : parse_attributes(std::string_view(payload).substr(family_header_size));
  }
};

// Why the kernel refused, as an errno value beside the text.
struct NetlinkFailure {
  int number = 0;
  size_t message = 0;  // Index of the message that was refused.
  std::string text;    // The kernel's own words (extended acknowledgement), or empty.
};

// "what (the kernel's words): text of the number"; kNotFound for what is not there, kAlreadyExists.
Error to_error(const NetlinkFailure& failure, std::string_view what);

class NetlinkSocket {
 public:
  // `protocol` is NETLINK_ROUTE, NETLINK_NETFILTER, ...
  static Result<NetlinkSocket> open(int protocol);

  // Sends the messages in one go; returns when each is acknowledged. The kernel carries on after a
  // refused one; the first refusal is the result.
  Result<void> send(std::span<NetlinkMessage> messages, std::string_view what);
  Result<void> send(NetlinkMessage message, std::string_view what);
  // The same without turning refusals into errors.
  Result<std::optional<NetlinkFailure>> try_send(std::span<NetlinkMessage> messages);
  // An nf_tables transaction: all messages take effect together or none does.
  Result<std::optional<NetlinkFailure>> try_transaction(std::span<NetlinkMessage> messages);

  // One request, one answer.
  Result<NetlinkReply> get(NetlinkMessage message, std::string_view what);
  // A request with NLM_F_DUMP and all its answers. A dump that a change interrupted is begun again.
  Result<std::vector<NetlinkReply>> dump(NetlinkMessage message, std::string_view what);
  // The same without keeping the answers, for tables that may be large. True when a change
  // interrupted the dump, so that answers may be missing or come twice.
  Result<bool> dump_each(NetlinkMessage& message, std::string_view what,
                         const std::function<void(const NetlinkReply&)>& each);

  // Notices. subscribe() once, then receive() whenever fd() is readable; kUnavailable when notices
  // were lost (the reader was too slow) and the caller must look at everything again.
  Result<void> subscribe(uint32_t group);
  Result<std::vector<NetlinkReply>> receive();
  int fd() const { return fd_.get(); }
  uint32_t port() const { return port_; }  // The kernel's name for this socket, as in NetlinkReply.

 private:
  NetlinkSocket(Fd fd, uint32_t port) : fd_(std::move(fd)), port_(port) {}
  Result<void> send_bytes(std::string_view bytes);
  Result<std::string> receive_datagram(int flags);
  Result<std::optional<NetlinkFailure>> wait_for_acks(uint32_t first, uint32_t last,
                                                      bool transaction);

  Fd fd_;
  uint32_t port_ = 0;
  uint32_t sequence_ = 1;
};

}  // namespace wherry::os
