#include "api/network_rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <vector>

#include "api/names.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

bool is_alnum(char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }

}  // namespace

std::string canonical_ip(std::string_view text) {
  std::string address(text);
  unsigned char v6[16];
  char out[INET6_ADDRSTRLEN];
  if (inet_pton(AF_INET6, address.c_str(), v6) != 1) return address;
  return inet_ntop(AF_INET6, v6, out, sizeof(out)) != nullptr ? out : address;
}

void warn_of_form(std::string_view text, const Path& path, std::vector<std::string>& out) {
  const size_t slash = text.find('/');
  const bool range = slash != std::string_view::npos;
  std::string due = canonical_ip(text.substr(0, slash));
  if (range) due += text.substr(slash);
  if (due == text || text.find(':') == std::string_view::npos) return;
  out.push_back(fmt::format("{}: IPv6 {} {} should be in RFC 5952 canonical format ({})",
                            path.text(), range ? "CIDR value" : "address", quote(text),
                            quote(due)));
}

bool lies_within(std::string_view inner, std::string_view outer) {
  auto parse = [](std::string_view text, std::vector<unsigned char>& bytes) -> int64_t {
    auto parts = split_once(text, "/");
    if (!parts) return -1;
    std::string address(parts->first);
    bytes.resize(16);
    if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
      bytes.resize(4);
    } else if (inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1) {
      return -1;
    }
    return parse_int(parts->second).value_or(-1);
  };
  std::vector<unsigned char> small, large;
  int64_t small_bits = parse(inner, small);
  int64_t large_bits = parse(outer, large);
  if (small_bits < 0 || large_bits < 0 || small.size() != large.size()) return false;
  if (small_bits <= large_bits) return false;
  for (int64_t bit = 0; bit < large_bits; ++bit) {
    size_t byte = static_cast<size_t>(bit / 8);
    unsigned mask = 0x80U >> (bit % 8);
    if ((small[byte] & mask) != (large[byte] & mask)) return false;
  }
  return true;
}

void validate_domain_prefixed_path(std::string_view text, const Path& path, FieldErrors& errors) {
  auto parts = split_once(text, "/");
  bool whole = parts && !parts->first.empty() && !parts->second.empty();
  if (!whole) {
    for (const std::string& problem : domain_prefixed_path_problems(text))
      errors.invalid(path, text, problem);
    return;
  }
  for (const std::string& problem : dns_subdomain_problems(parts->first))
    errors.invalid(path, parts->first, problem);
  constexpr std::string_view kMarks = "/-._~%!$&'()*+,;=:";
  bool good = std::all_of(parts->second.begin(), parts->second.end(), [&](char c) {
    return is_alnum(c) || kMarks.find(c) != std::string_view::npos;
  });
  if (!good) {
    errors.invalid(path, parts->second,
                   "Invalid path (regex used for validation is "
                   "'[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')");
  }
}

}  // namespace wherry::api
