#include "proxy/plan.h"

#include <gtest/gtest.h>

namespace wherry::proxy {
namespace {

const Cidr kRange = Cidr::parse("10.43.0.0/16").value();
const Frontend kWeb{*Ipv4::parse("10.43.0.7"), Protocol::kTcp, 80};
const Frontend kNodePort{{}, Protocol::kUdp, 30053};
const Frontend kExternal{*Ipv4::parse("192.0.2.9"), Protocol::kTcp, 80};

Backend backend(uint32_t last) { return {{0x0a2a0000 + last}, 8080}; }

std::string text(const std::vector<Change>& changes) {
  std::string out;
  for (const Change& change : changes) {
    out += change.add ? "+" : "-";
    switch (change.set) {
      case Change::Set::kServices: out += change.add ? change.chain.name() : "service"; break;
      case Change::Set::kEndpoints:
        out += fmt::format("{}={}", change.slot, change.backend.address.bits & 255);
        break;
      case Change::Set::kAffine:
        out += fmt::format("a{}", change.backend.address.bits & 255);
        break;
      case Change::Set::kRefused: out += "refused"; break;
    }
    out += " ";
  }
  return out;
}

TEST(Plan, AddsAndRemovesAService) {
  Target target{{backend(1), backend(2)}, 0, false};
  EXPECT_EQ(text(plan(kWeb, nullptr, &target, kRange)), "+0=1 +1=2 +cluster-2 ");
  EXPECT_EQ(text(plan(kWeb, &target, nullptr, kRange)), "-0=1 -1=2 -service ");
  EXPECT_EQ(text(plan(kWeb, &target, &target, kRange)), "");
}

TEST(Plan, ReplacesOneBackendByTouchingItsSlotOnly) {
  Target before{{backend(1), backend(2), backend(3)}, 0, false};
  Target after{{backend(1), backend(2), backend(4)}, 0, false};
  EXPECT_EQ(text(plan(kWeb, &before, &after, kRange)), "-2=3 +2=4 ");
}

TEST(Plan, GrowsAndShrinks) {
  Target two{{backend(1), backend(2)}, 0, false};
  Target three{{backend(1), backend(2), backend(3)}, 0, false};
  EXPECT_EQ(text(plan(kWeb, &two, &three, kRange)), "-service +2=3 +cluster-3 ");
  EXPECT_EQ(text(plan(kWeb, &three, &two, kRange)), "-2=3 -service +cluster-2 ");
}

TEST(Plan, NodePortsAndAffinityHaveChainsOfTheirOwn) {
  Target target{{backend(1)}, 60, true};
  EXPECT_EQ(text(plan(kNodePort, nullptr, &target, kRange)), "+0=1 +a1 +node-1-masquerade-60s ");
  Target plain{{backend(1)}, 0, true};
  EXPECT_EQ(text(plan(kNodePort, &target, &plain, kRange)), "-a1 -service +node-1-masquerade ");
}

TEST(Plan, RefusesWithoutBackends) {
  Target none{};
  Target one{{backend(1)}, 0, true};
  EXPECT_EQ(text(plan(kExternal, nullptr, &none, kRange)), "+refused ");
  EXPECT_EQ(text(plan(kExternal, &none, &one, kRange)), "-refused +0=1 +cluster-1-masquerade ");
  EXPECT_EQ(text(plan(kExternal, &one, &none, kRange)), "-0=1 -service +refused ");
  // A rule of its own covers the Service range; the kernel itself refuses at node ports.
  EXPECT_EQ(text(plan(kWeb, nullptr, &none, kRange)), "");
  EXPECT_EQ(text(plan(kNodePort, nullptr, &none, kRange)), "");
}

}  // namespace
}  // namespace wherry::proxy
