#include "os/netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace wherry::os {
namespace {

constexpr size_t kReceiveBytes = 64 * 1024;  // The kernel's dumps fill at most 32 KiB a datagram.
constexpr int kBufferBytes = 4 << 20;
constexpr int kAnswerSeconds = 10;
constexpr int kDumpAttempts = 8;

size_t aligned(size_t size) { return (size + 3) & ~size_t{3}; }

template <typename T>
std::string_view raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Calls each(header, payload) for the messages of a datagram until it returns false.
template <typename Each>
void for_each_message(std::string_view datagram, Each each) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size()) return;
    if (!each(header, datagram.substr(sizeof header, header.nlmsg_len - sizeof header))) return;
    datagram.remove_prefix(std::min(aligned(header.nlmsg_len), datagram.size()));
  }
}

// The kernel's words in an NLMSG_ERROR, when it has some.
std::string extended_text(const nlmsghdr& header, std::string_view payload) {
  if (!(header.nlmsg_flags & NLM_F_ACK_TLVS) || payload.size() < sizeof(nlmsgerr)) return {};
  nlmsgerr error;
  std::memcpy(&error, payload.data(), sizeof error);
  size_t skip = sizeof error;
  if (!(header.nlmsg_flags & NLM_F_CAPPED)) skip += aligned(error.msg.nlmsg_len) - sizeof(nlmsghdr);
  if (skip > payload.size()) return {};
  auto text = find_attribute(parse_attributes(payload.substr(skip)), NLMSGERR_ATTR_MSG);
  return text ? std::string(text->text()) : std::string();
}

NetlinkFailure failure_from(const nlmsghdr& header, std::string_view payload, uint32_t first) {
  int number = 0;
  std::memcpy(&number, payload.data(), sizeof number);
  return {-number, header.nlmsg_seq >= first ? header.nlmsg_seq - first : 0,
          extended_text(header, payload)};
}

std::string batch_mark(uint16_t type, uint32_t sequence) {
  nfgenmsg family{
      .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};
  NetlinkMessage message(type, 0, family);
  return std::string(message.finish(sequence, 0));
}

}  // namespace

Error to_error(const NetlinkFailure& failure, std::string_view what) {
  std::string text(what);
  if (!failure.text.empty()) text += " (" + failure.text + ")";
  Error error = Error::from_errno(failure.number, text);
  switch (failure.number) {
    case ENODEV:
    case ESRCH:
    case EADDRNOTAVAIL:
    case ENETUNREACH: return Error(Code::kNotFound, error.message());
    case EEXIST: return Error(Code::kAlreadyExists, error.message());
    default: return error;
  }
}

// ---- Messages

NetlinkMessage::NetlinkMessage(uint16_t type, uint16_t flags, std::string_view family_header) {
  nlmsghdr header{.nlmsg_len = 0,
                  .nlmsg_type = type,
                  .nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST),
                  .nlmsg_seq = 0,
                  .nlmsg_pid = 0};
  bytes_.append(raw(header));
  append(family_header);
}

NetlinkMessage& NetlinkMessage::put(uint16_t type, std::string_view bytes) {
  CHECK(bytes.size() <= 0xffff - sizeof(nlattr));
  nlattr header{static_cast<uint16_t>(sizeof(nlattr) + bytes.size()), type};
  bytes_.append(raw(header));
  return append(bytes);
}

NetlinkMessage& NetlinkMessage::put_text(uint16_t type, std::string_view text) {
  return put(type, std::string(text) + '\0');
}
NetlinkMessage& NetlinkMessage::put_u8(uint16_t type, uint8_t value) {
  return put(type, raw(value));
}
NetlinkMessage& NetlinkMessage::put_u16(uint16_t type, uint16_t value) {
  return put(type, raw(value));
}
NetlinkMessage& NetlinkMessage::put_u32(uint16_t type, uint32_t value) {
  return put(type, raw(value));
}
NetlinkMessage& NetlinkMessage::put_be16(uint16_t type, uint16_t value) {
  return put_u16(type, htons(value));
}
NetlinkMessage& NetlinkMessage::put_be32(uint16_t type, uint32_t value) {
  return put_u32(type, htonl(value));
}
NetlinkMessage& NetlinkMessage::put_be64(uint16_t type, uint64_t value) {
  uint64_t swapped = htobe64(value);
  return put(type, raw(swapped));
}

NetlinkMessage& NetlinkMessage::begin(uint16_t type) { return begin_plain(type | NLA_F_NESTED); }

NetlinkMessage& NetlinkMessage::begin_plain(uint16_t type) {
  open_.push_back(bytes_.size());
  nlattr header{0, type};
  bytes_.append(raw(header));
  return *this;
}

NetlinkMessage& NetlinkMessage::append(std::string_view bytes) {
  bytes_.append(bytes);
  bytes_.resize(aligned(bytes_.size()), '\0');
  return *this;
}

NetlinkMessage& NetlinkMessage::end() {
  CHECK(!open_.empty());
  size_t length = bytes_.size() - open_.back();
  CHECK(length <= 0xffff);
  auto short_length = static_cast<uint16_t>(length);
  std::memcpy(bytes_.data() + open_.back(), &short_length, sizeof short_length);
  open_.pop_back();
  return *this;
}

uint16_t NetlinkMessage::type() const {
  return reinterpret_cast<const nlmsghdr*>(bytes_.data())->nlmsg_type;
}

std::string_view NetlinkMessage::finish(uint32_t sequence, uint16_t more_flags) {
  CHECK(open_.empty());
  nlmsghdr header;
  std::memcpy(&header, bytes_.data(), sizeof header);
  header.nlmsg_len = static_cast<uint32_t>(bytes_.size());
  header.nlmsg_seq = sequence;
  header.nlmsg_flags |= more_flags;
  std::memcpy(bytes_.data(), &header, sizeof header);
  return bytes_;
}

std::vector<NetlinkAttribute> parse_attributes(std::string_view data) {
  std::vector<NetlinkAttribute> attributes;
  while (data.size() >= sizeof(nlattr)) {
    nlattr header;
    std::memcpy(&header, data.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > data.size()) break;
    attributes.push_back({static_cast<uint16_t>(header.nla_type & NLA_TYPE_MASK),
                          data.substr(sizeof header, header.nla_len - sizeof header)});
    data.remove_prefix(std::min(aligned(header.nla_len), data.size()));
  }
  return attributes;
}

std::optional<NetlinkAttribute> find_attribute(std::span<const NetlinkAttribute> attributes,
                                               uint16_t type) {
  for (const NetlinkAttribute& attribute : attributes) {
    if (attribute.type == type) return attribute;
  }
  return std::nullopt;
}

// ---- Sockets

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return Error::from_errno(errno, "netlink socket");
  sockaddr_nl local{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof local) != 0) {
    return Error::from_errno(errno, "bind netlink socket");
  }
  int on = 1;
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes, sizeof kBufferBytes);
  socklen_t size = sizeof local;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &size) != 0) {
    return Error::from_errno(errno, "name of netlink socket");
  }
  timeval limit{.tv_sec = kAnswerSeconds, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return NetlinkSocket(std::move(fd), local.nl_pid);
}

Result<void> NetlinkSocket::send_bytes(std::string_view bytes) {
  // A transaction is one datagram, whatever its size; the send buffer must hold it.
  if (bytes.size() > 100'000) {
    int wanted = static_cast<int>(bytes.size() + (bytes.size() >> 3) + 4096);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted);
  }
  sockaddr_nl kernel{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  ssize_t sent;
  do {
    sent = ::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&kernel),
                    sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Error::from_errno(errno, "send to netlink");
  return {};
}

Result<std::string> NetlinkSocket::receive_datagram(int flags) {
  std::string buffer(kReceiveBytes, '\0');
  ssize_t got;
  do {
    got = ::recv(fd_.get(), buffer.data(), buffer.size(), flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == ENOBUFS) return Error::unavailable("netlink notices were lost");
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    return Error::timeout("the kernel did not answer over netlink");
  }
  if (got < 0) return Error::from_errno(errno, "receive from netlink");
  buffer.resize(static_cast<size_t>(got));
  return buffer;
}

Result<std::optional<NetlinkFailure>> NetlinkSocket::wait_for_acks(uint32_t first, uint32_t last,
                                                                   bool transaction) {
  std::optional<NetlinkFailure> failure;
  for (bool done = false; !done;) {
    std::string datagram = TRY(receive_datagram(0));
    for_each_message(datagram, [&](const nlmsghdr& header, std::string_view payload) {
      if (header.nlmsg_type != NLMSG_ERROR || payload.size() < sizeof(int)) return true;
      bool begin_mark = transaction && header.nlmsg_seq == first - 1;
      if (!begin_mark && (header.nlmsg_seq < first || header.nlmsg_seq > last)) return true;
      NetlinkFailure refused = failure_from(header, payload, first);
      if (refused.number != 0 && !failure) failure = std::move(refused);
      // A refusal of the begin mark stands for the whole transaction; nothing follows it.
      if (header.nlmsg_seq == last || (begin_mark && failure)) done = true;
      return true;
    });
  }
  return failure;
}

Result<std::optional<NetlinkFailure>> NetlinkSocket::try_send(std::span<NetlinkMessage> messages) {
  if (messages.empty()) return std::optional<NetlinkFailure>();
  uint32_t first = sequence_;
  std::string bytes;
  for (NetlinkMessage& message : messages) bytes += message.finish(sequence_++, NLM_F_ACK);
  TRY(send_bytes(bytes));
  return wait_for_acks(first, sequence_ - 1, false);
}

Result<void> NetlinkSocket::send(std::span<NetlinkMessage> messages, std::string_view what) {
  std::optional<NetlinkFailure> failure = TRY(try_send(messages));
  if (failure) return to_error(*failure, what);
  return {};
}

Result<void> NetlinkSocket::send(NetlinkMessage message, std::string_view what) {
  return send(std::span(&message, 1), what);
}

Result<std::optional<NetlinkFailure>> NetlinkSocket::try_transaction(
    std::span<NetlinkMessage> messages) {
  if (messages.empty()) return std::optional<NetlinkFailure>();
  std::string bytes = batch_mark(NFNL_MSG_BATCH_BEGIN, sequence_++);
  uint32_t first = sequence_;
  for (NetlinkMessage& message : messages) {
    // Refusals come unasked; the one acknowledgement says that the transaction is over.
    bool final = &message == &messages.back();
    bytes += message.finish(sequence_++, final ? NLM_F_ACK : 0);
  }
  uint32_t last = sequence_ - 1;
  bytes += batch_mark(NFNL_MSG_BATCH_END, sequence_++);
  TRY(send_bytes(bytes));
  return wait_for_acks(first, last, true);
}

Result<NetlinkReply> NetlinkSocket::get(NetlinkMessage message, std::string_view what) {
  uint32_t sequence = sequence_++;
  TRY(send_bytes(message.finish(sequence, NLM_F_ACK)));
  std::optional<NetlinkReply> reply;
  std::optional<NetlinkFailure> failure;
  for (bool done = false; !done;) {
    std::string datagram = TRY(receive_datagram(0));
    for_each_message(datagram, [&](const nlmsghdr& header, std::string_view payload) {
      if (header.nlmsg_seq != sequence) return true;
      if (header.nlmsg_type == NLMSG_ERROR && payload.size() >= sizeof(int)) {
        NetlinkFailure refused = failure_from(header, payload, sequence);
        if (refused.number != 0) failure = std::move(refused);
        done = true;
      } else {
        reply = NetlinkReply{header.nlmsg_type, header.nlmsg_pid, std::string(payload)};
      }
      return true;
    });
  }
  if (failure) return to_error(*failure, what);
  if (!reply) return Error::internal("{}: the kernel gave no answer", what);
  return *std::move(reply);
}

Result<bool> NetlinkSocket::dump_each(NetlinkMessage& message, std::string_view what,
                                      const std::function<void(const NetlinkReply&)>& each) {
  uint32_t sequence = sequence_++;
  TRY(send_bytes(message.finish(sequence, NLM_F_DUMP)));
  std::optional<NetlinkFailure> failure;
  bool interrupted = false;
  for (bool done = false; !done;) {
    std::string datagram = TRY(receive_datagram(0));
    for_each_message(datagram, [&](const nlmsghdr& header, std::string_view payload) {
      if (header.nlmsg_seq != sequence) return true;
      if (header.nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
        done = true;
        if (payload.size() >= sizeof(int)) failure = failure_from(header, payload, sequence);
        return false;
      }
      each({header.nlmsg_type, header.nlmsg_pid, std::string(payload)});
      return true;
    });
  }
  if (failure && failure->number == EINTR) return true;
  // A successful dump ends with zero or a positive count, which is no error number.
  if (failure && failure->number > 0) return to_error(*failure, what);
  return interrupted;
}

Result<std::vector<NetlinkReply>> NetlinkSocket::dump(NetlinkMessage message,
                                                      std::string_view what) {
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    std::vector<NetlinkReply> replies;
    bool interrupted =
        TRY(dump_each(message, what, [&](const NetlinkReply& reply) { replies.push_back(reply); }));
    if (!interrupted) return replies;
  }
  return Error::unavailable("{}: the kernel's tables kept changing", what);
}

Result<void> NetlinkSocket::subscribe(uint32_t group) {
  if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return Error::from_errno(errno, "subscribe to netlink notices");
  }
  return {};
}

Result<std::vector<NetlinkReply>> NetlinkSocket::receive() {
  std::vector<NetlinkReply> replies;
  std::string datagram = TRY(receive_datagram(MSG_DONTWAIT));
  for_each_message(datagram, [&](const nlmsghdr& header, std::string_view payload) {
    replies.push_back({header.nlmsg_type, header.nlmsg_pid, std::string(payload)});
    return true;
  });
  return replies;
}

}  // namespace wherry::os
