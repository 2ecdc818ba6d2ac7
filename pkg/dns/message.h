#pragma once
// DNS messages as far as a cluster's name server needs them: one question in, records out (RFC
// 1035, RFC 2782, RFC 6891 for the size of UDP answers). Pure. Hostile input gives an empty result,
// never a crash.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wherry::dns {

enum : uint16_t {
  kTypeA = 1,
  kTypeCname = 5,
  kTypeSoa = 6,
  kTypePtr = 12,
  kTypeTxt = 16,
  kTypeAaaa = 28,
  kTypeSrv = 33,
  kTypeAny = 255,
};
enum : uint8_t {
  kNoError = 0,
  kServerFailure = 2,
  kNameError = 3,
  kNotImplemented = 4,
  kRefused = 5
};

struct Question {
  std::string name;  // As asked, without the final dot; letters keep their case.
  uint16_t type = 0;
  uint16_t class_ = 1;
};

struct Query {
  uint16_t id = 0;
  bool recursion_desired = false;
  Question question;
  size_t udp_bytes_max = 512;  // What the asker can take over UDP.
};

// Empty when it is no plain query with one question.
std::optional<Query> parse_query(std::string_view message);

struct Record {
  std::string name;
  uint16_t type = kTypeA;
  uint32_t ttl = 5;
  std::string data;  // In wire form, names uncompressed; see below.
};
// "10.0.0.1" as the four bytes of an A record; empty when it is no IPv4 address.
std::string a_data(std::string_view ip);
std::string name_data(std::string_view name);  // CNAME, PTR.
std::string srv_data(uint16_t port, std::string_view target);
std::string txt_data(std::string_view text);

struct Answer {
  uint8_t code = kNoError;
  bool authoritative = true;
  std::vector<Record> answers, authority, additional;
};

// The message to send. Over UDP it is cut at query.udp_bytes_max with the TC bit set.
std::string render(const Query& query, const Answer& answer, bool udp);
// An answer without records to a message that may not even parse.
std::string render_code(std::string_view message, uint8_t code);

}  // namespace wherry::dns
