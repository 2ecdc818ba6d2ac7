#include "dns/message.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"

namespace wherry::dns {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr uint16_t kTypeOpt = 41;
constexpr uint16_t kFlagResponse = 0x8000, kFlagAuthoritative = 0x0400, kFlagTruncated = 0x0200,
                   kFlagRecursionDesired = 0x0100, kFlagRecursionAvailable = 0x0080;

void put16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 255);
}

uint16_t get16(std::string_view from, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(from[at]) << 8 |
                               static_cast<unsigned char>(from[at + 1]));
}

// The name at `at`, which moves past it. Questions are never compressed, so no pointers.
std::optional<std::string> read_name(std::string_view message, size_t& at) {
  std::string name;
  while (at < message.size()) {
    auto length = static_cast<unsigned char>(message[at++]);
    if (length == 0) return name;
    if (length > 63 || at + length > message.size() || name.size() + length > 253)
      return std::nullopt;
    if (!name.empty()) name += '.';
    name += message.substr(at, length);
    at += length;
  }
  return std::nullopt;
}

void put_record(std::string& out, const Record& record) {
  out += name_data(record.name);
  put16(out, record.type);
  put16(out, 1);
  put16(out, static_cast<uint16_t>(record.ttl >> 16));
  put16(out, static_cast<uint16_t>(record.ttl));
  put16(out, static_cast<uint16_t>(record.data.size()));
  out += record.data;
}

}  // namespace

std::optional<Query> parse_query(std::string_view message) {
  if (message.size() < kHeaderBytes) return std::nullopt;
  uint16_t flags = get16(message, 2);
  bool plain = (flags & kFlagResponse) == 0 && (flags >> 11 & 15) == 0 && get16(message, 4) == 1;
  if (!plain) return std::nullopt;
  Query query;
  query.id = get16(message, 0);
  query.recursion_desired = (flags & kFlagRecursionDesired) != 0;
  size_t at = kHeaderBytes;
  std::optional<std::string> name = read_name(message, at);
  if (!name || at + 4 > message.size()) return std::nullopt;
  query.question = {std::move(*name), get16(message, at), get16(message, at + 2)};
  at += 4;
  // An OPT record right behind the question says how much the asker takes.
  bool has_opt = get16(message, 10) > 0 && at + 5 <= message.size() && message[at] == '\0' &&
                 get16(message, at + 1) == kTypeOpt;
  if (has_opt) query.udp_bytes_max = std::clamp<size_t>(get16(message, at + 3), 512, 4096);
  return query;
}

std::string a_data(std::string_view ip) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(ip).c_str(), &address) != 1) return {};
  return {reinterpret_cast<const char*>(&address), sizeof address};
}

std::string name_data(std::string_view name) {
  std::string out;
  if (!name.empty()) {
    for (std::string_view label : split(name, '.')) {
      out += static_cast<char>(std::min<size_t>(label.size(), 63));
      out += label.substr(0, 63);
    }
  }
  out += '\0';
  return out;
}

std::string srv_data(uint16_t port, std::string_view target) {
  std::string out;
  put16(out, 0);
  put16(out, 100);
  put16(out, port);
  return out + name_data(target);
}

std::string txt_data(std::string_view text) {
  std::string_view cut = text.substr(0, 255);
  return std::string(1, static_cast<char>(cut.size())) + std::string(cut);
}

std::string render(const Query& query, const Answer& answer, bool udp) {
  auto build = [&](bool truncated) {
    std::string out;
    put16(out, query.id);
    put16(out, static_cast<uint16_t>(kFlagResponse | kFlagRecursionAvailable |
                                     (answer.authoritative ? kFlagAuthoritative : 0) |
                                     (truncated ? kFlagTruncated : 0) |
                                     (query.recursion_desired ? kFlagRecursionDesired : 0) |
                                     answer.code));
    auto count = [truncated](const std::vector<Record>& records) {
      return static_cast<uint16_t>(truncated ? 0 : records.size());
    };
    put16(out, 1);
    put16(out, count(answer.answers));
    put16(out, count(answer.authority));
    put16(out, count(answer.additional));
    out += name_data(query.question.name);
    put16(out, query.question.type);
    put16(out, query.question.class_);
    if (truncated) return out;
    for (const auto* section : {&answer.answers, &answer.authority, &answer.additional}) {
      for (const Record& record : *section) put_record(out, record);
    }
    return out;
  };
  std::string whole = build(false);
  if (udp ? whole.size() <= query.udp_bytes_max : whole.size() <= 65535) return whole;
  return build(true);
}

std::string render_code(std::string_view message, uint8_t code) {
  if (message.size() < kHeaderBytes) return {};
  std::string out(message.substr(0, kHeaderBytes));
  out[2] = static_cast<char>(out[2] | 0x80);
  out[3] = static_cast<char>(code);
  for (size_t i = 4; i < kHeaderBytes; ++i) out[i] = '\0';
  return out;
}

}  // namespace wherry::dns
