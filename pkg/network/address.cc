#include "network/address.h"

#include "base/strings.h"

namespace wherry::network {

std::optional<Ipv4> Ipv4::parse(std::string_view text) {
  auto parts = split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  Ipv4 address;
  for (std::string_view part : parts) {
    if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return std::nullopt;
    auto number = parse_uint(part);
    if (!number || *number > 255) return std::nullopt;
    address.bits = address.bits << 8 | static_cast<uint32_t>(*number);
  }
  return address;
}

std::string Ipv4::text() const {
  return fmt::format("{}.{}.{}.{}", bits >> 24, bits >> 16 & 255, bits >> 8 & 255, bits & 255);
}

Result<Cidr> Cidr::parse(std::string_view text) {
  auto halves = split_once(text, "/");
  if (halves) {
    auto base = Ipv4::parse(halves->first);
    auto prefix = parse_uint(halves->second);
    if (base && prefix && *prefix <= 32) {
      Cidr cidr{*base, static_cast<int>(*prefix)};
      cidr.base.bits &= cidr.mask();
      return cidr;
    }
  }
  return Error::invalid("{} is not an IPv4 range such as 10.42.0.0/16", quote(text));
}

std::string Cidr::text() const { return fmt::format("{}/{}", base.text(), prefix); }

}  // namespace wherry::network
