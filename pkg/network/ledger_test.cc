#include "network/ledger.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <memory>

#include "os/fd.h"

namespace wherry::network {
namespace {

class LedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ledger_test.XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    dir_ = root_ + "/agent/network";
  }
  void TearDown() override { ASSERT_TRUE(os::remove_tree(root_).ok()); }
  Ledger open(std::string_view boot = "boot-1") {
    // On the heap: as a local, GCC 12 with -fsanitize=thread sees a deletion that is none.
    auto opened = std::make_unique<Result<Ledger>>(Ledger::open(dir_, boot));
    return std::move(opened->value());
  }

  Cidr range_ = Cidr::parse("10.42.0.0/29").value();  // Five addresses: .2 to .6.
  std::string root_, dir_;
};

TEST_F(LedgerTest, GivesAddressesInTurn) {
  Ledger ledger = open();
  EXPECT_EQ(ledger.take(range_, "a", {})->ip, "10.42.0.2");
  EXPECT_EQ(ledger.take(range_, "b", {})->ip, "10.42.0.3");
  ASSERT_TRUE(ledger.release("a").ok());
  EXPECT_EQ(ledger.take(range_, "c", {})->ip, "10.42.0.4");
  EXPECT_EQ(ledger.take(range_, "d", {})->ip, "10.42.0.5");
  EXPECT_EQ(ledger.take(range_, "e", {})->ip, "10.42.0.6");
  EXPECT_EQ(ledger.take(range_, "f", {})->ip, "10.42.0.2");
  auto full = ledger.take(range_, "g", {});
  ASSERT_FALSE(full.ok());
  EXPECT_TRUE(full.error().is(Code::kUnavailable));
  EXPECT_EQ(full.error().message(), "no free address in 10.42.0.0/29: 5 pods hold all of them");
}

TEST_F(LedgerTest, RemembersAcrossRestarts) {
  HostPort port{"UDP", "127.0.0.1", 5353, 53};
  {
    Ledger ledger = open();
    ASSERT_TRUE(ledger.take(range_, "a", {port}).ok());
    ASSERT_TRUE(ledger.note({HostNote::Kind::kSysctl, "net/ipv4/ip_forward", "0"}).ok());
    ASSERT_TRUE(ledger.note({HostNote::Kind::kSysctl, "net/ipv4/ip_forward", "1"}).ok());
    ASSERT_TRUE(ledger.note({HostNote::Kind::kTable, "t", ""}).ok());
  }
  Ledger ledger = open();
  auto pod = ledger.find("a");
  ASSERT_TRUE(pod.has_value());
  EXPECT_EQ(pod->ip, "10.42.0.2");
  EXPECT_EQ(pod->interface, "wv0a2a0002");
  EXPECT_EQ(pod->host_ports, std::vector<HostPort>{port});
  ASSERT_EQ(ledger.notes().size(), 2u);
  EXPECT_EQ(ledger.notes()[0], (HostNote{HostNote::Kind::kSysctl, "net/ipv4/ip_forward", "0"}));
  EXPECT_EQ(ledger.take(range_, "b", {})->ip, "10.42.0.3");
}

TEST_F(LedgerTest, ForgetsAfterAReboot) {
  ASSERT_TRUE(open().take(range_, "a", {}).ok());
  EXPECT_TRUE(open("boot-2").all().empty());
  EXPECT_EQ(Ledger::open_existing(dir_)->all().size(), 0u);
}

TEST_F(LedgerTest, KeepsAnAddressWhoseFileIsUnreadable) {
  ASSERT_TRUE(open().take(range_, "a", {}).ok());
  ASSERT_TRUE(os::write_file_plain(dir_ + "/pods/10.42.0.2", "{").ok());
  Ledger ledger = open();
  ASSERT_EQ(ledger.all().size(), 1u);
  EXPECT_EQ(ledger.all()[0].uid, "");
  EXPECT_EQ(ledger.take(range_, "b", {})->ip, "10.42.0.3");
}

TEST_F(LedgerTest, RefusesTakenHostPorts) {
  Ledger ledger = open();
  ASSERT_TRUE(ledger.take(range_, "a", {{"TCP", "", 80, 8080}}).ok());
  auto taken = ledger.take(range_, "b", {{"TCP", "192.0.2.1", 80, 80}});
  ASSERT_FALSE(taken.ok());
  EXPECT_TRUE(taken.error().is(Code::kConflict));
  EXPECT_EQ(taken.error().message(), "host port 80/TCP is taken by pod a");
  EXPECT_TRUE(ledger.take(range_, "b", {{"UDP", "", 80, 80}}).ok());
  EXPECT_TRUE(ledger.take(range_, "c", {{"SCTP", "192.0.2.1", 80, 80}}).ok());
  EXPECT_TRUE(ledger.take(range_, "d", {{"SCTP", "192.0.2.2", 80, 80}}).ok());
}

TEST(AddressTest, ReadsAndWrites) {
  EXPECT_EQ(Ipv4::parse("10.42.0.5")->bits, 0x0a2a0005u);
  EXPECT_EQ(Ipv4{0x0a2a0005}.text(), "10.42.0.5");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.x", "::1"}) {
    EXPECT_FALSE(Ipv4::parse(bad)) << bad;
  }
  EXPECT_EQ(Cidr::parse("10.42.7.9/16")->text(), "10.42.0.0/16");
  EXPECT_TRUE(Cidr::parse("0.0.0.0/0")->contains({0xffffffff}));
  EXPECT_FALSE(Cidr::parse("10.42.0.0/24")->contains({0x0a2a0100}));
  for (const char* bad : {"10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/"}) {
    EXPECT_FALSE(Cidr::parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace wherry::network
