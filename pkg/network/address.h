#pragma once
// Ipv4 and Cidr: addresses and ranges as the pod network and the Service proxy handle them. Pure
// values.

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::network {

struct Ipv4 {
  uint32_t bits = 0;  // Host order: 10.42.0.5 is 0x0a2a0005.

  // Empty for anything but four decimal numbers without leading zeros.
  static std::optional<Ipv4> parse(std::string_view text);
  std::string text() const;
  bool loopback() const { return bits >> 24 == 127; }
  auto operator<=>(const Ipv4&) const = default;
};

struct Cidr {
  Ipv4 base;
  int prefix = 0;

  // "10.42.0.0/24"; host bits are cleared. kInvalid names the text.
  static Result<Cidr> parse(std::string_view text);
  std::string text() const;
  uint32_t mask() const { return prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix); }
  bool contains(Ipv4 address) const { return (address.bits & mask()) == base.bits; }
  uint64_t size() const { return uint64_t{1} << (32 - prefix); }
  auto operator<=>(const Cidr&) const = default;
};

}  // namespace wherry::network
