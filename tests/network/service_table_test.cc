// The Service proxy's table against a real kernel, in network namespaces.

#include <chrono>
#include <cstdlib>
#include <set>

#include "proxy/service_table.h"
#include "testbed.h"

namespace wherry {
namespace {

using network::Cidr;
using network::Ipv4;
using network::Protocol;
using proxy::Backend;
using proxy::Entry;
using proxy::Frontend;
using proxy::ServiceTable;
using test::Client;
using test::exchange;
using test::Pod;
using test::Server;
using test::start_pod;

std::unique_ptr<test::World> world;

constexpr const char* kService = "10.43.0.7";

Backend backend(const Pod& pod, uint16_t port) { return {*Ipv4::parse(pod.ip), port}; }
Frontend frontend(const char* address, uint16_t port, Protocol protocol = Protocol::kTcp) {
  return {*Ipv4::parse(address), protocol, port};
}
constexpr const char* kAnyNodeAddress = "0.0.0.0";

class ServiceTableTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/service_table_test.XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    network_ = network::set_up_pod_network({.node_ip = test::kNodeIp,
                                            .pod_cidr = "10.42.0.0/24",
                                            .cluster_cidr = "10.42.0.0/16",
                                            .service_cidr = "10.43.0.0/16",
                                            .ledger_dir = dir_ + "/network",
                                            .mtu = 0})
                   .value();
    proxy::RulesOptions options{*Ipv4::parse(test::kNodeIp), Cidr::parse("10.42.0.0/16").value(),
                                Cidr::parse("10.43.0.0/16").value()};
    table_ =
        std::make_unique<ServiceTable>(options, os::NetlinkSocket::open(NETLINK_NETFILTER).value());
    table_->rebuild().value();
    a_ = start_pod(*network_, "a");
    b_ = start_pod(*network_, "b");
    c_ = start_pod(*network_, "c");
  }
  void TearDown() override {
    if (HasFailure()) (void)!::system("nft list ruleset 2>/dev/null");
    network_.reset();
    ASSERT_TRUE(network::tear_down_pod_network(dir_ + "/network").ok());
    ASSERT_TRUE(os::remove_tree(dir_).ok());
  }
  void want(std::vector<Entry> entries, const char* name = "web") {
    table_->want({{{"default", name}, std::move(entries)}});
    table_->program().value();
    table_->drop_stale_flows().value();
  }

  std::string dir_;
  std::unique_ptr<network::PodNetwork> network_;
  std::unique_ptr<ServiceTable> table_;
  Pod a_, b_, c_;
};

TEST_F(ServiceTableTest, ReachesAServiceFromPodsAndNode) {
  want({{frontend(kService, 80), {{backend(b_, 8080)}}},
        {frontend(kService, 53, Protocol::kUdp), {{backend(b_, 5353)}}}});
  Server tcp(b_.fd(), SOCK_STREAM, 8080), udp(b_.fd(), SOCK_DGRAM, 5353);
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, kService, 80, tcp), a_.ip);
  EXPECT_EQ(exchange(a_.fd(), SOCK_DGRAM, kService, 53, udp), a_.ip);
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, kService, 80, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(world->node(), SOCK_DGRAM, kService, 53, udp), test::kNodeIp);
  EXPECT_EQ(exchange(b_.fd(), SOCK_STREAM, kService, 80, tcp), test::kNodeIp);  // Itself.
  EXPECT_EQ(exchange(b_.fd(), SOCK_DGRAM, kService, 53, udp), test::kNodeIp);
}

TEST_F(ServiceTableTest, ReachesTheNodeAsABackend) {
  want({{frontend("10.43.0.1", 443), {{{*Ipv4::parse(test::kNodeIp), 6443}}}}});
  Server server(world->node(), SOCK_STREAM, 6443);
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, "10.43.0.1", 443, server), a_.ip);
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, "10.43.0.1", 443, server), test::kNodeIp);
}

TEST_F(ServiceTableTest, ReachesTheNodesLoopbackAsABackend) {
  // As on a machine without any network, where the API server's endpoint is 127.0.0.1.
  want({{frontend("10.43.0.1", 443), {{{*Ipv4::parse("127.0.0.1"), 6443}}}}});
  Server server(world->node(), SOCK_STREAM, 6443);
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, "10.43.0.1", 443, server), a_.ip);
  EXPECT_NE(exchange(world->node(), SOCK_STREAM, "10.43.0.1", 443, server), "");
}

TEST_F(ServiceTableTest, ServesNodePorts) {
  want({{frontend(kAnyNodeAddress, 30080), {{backend(b_, 8080)}, 0, true}},
        {frontend(kAnyNodeAddress, 30053, Protocol::kUdp), {{backend(b_, 5353)}, 0, true}},
        {frontend(kAnyNodeAddress, 30081), {{backend(b_, 8080)}, 0, false}}});
  Server tcp(b_.fd(), SOCK_STREAM, 8080), udp(b_.fd(), SOCK_DGRAM, 5353);
  EXPECT_EQ(exchange(world->outside(), SOCK_STREAM, test::kNodeIp, 30080, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(world->outside(), SOCK_DGRAM, test::kNodeIp, 30053, udp), test::kNodeIp);
  EXPECT_EQ(exchange(world->outside(), SOCK_STREAM, test::kNodeIp, 30081, tcp), test::kOutsideIp);
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, test::kNodeIp, 30080, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(b_.fd(), SOCK_STREAM, test::kNodeIp, 30081, tcp), test::kNodeIp);  // Itself.
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, test::kNodeIp, 30080, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, "127.0.0.1", 30080, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(world->node(), SOCK_DGRAM, "127.0.0.1", 30053, udp), test::kNodeIp);
}

TEST_F(ServiceTableTest, ServesExternalAddresses) {
  want({{frontend("198.51.100.9", 80), {{backend(b_, 8080)}, 0, true}}});
  // The machine outside routes the address to the node.
  os::in_network_namespace(world->outside(), []() -> Result<void> {
    os::NetlinkSocket socket = TRY(os::NetlinkSocket::open(NETLINK_ROUTE));
    int link = TRY(os::find_link(socket, "wire")).index;
    os::Route route{.destination = test::ip("198.51.100.9"),
                    .prefix = 32,
                    .link = link,
                    .via = test::ip(test::kNodeIp),
                    .source = {}};
    return socket.send(os::add_route(route), "route");
  }).value();
  Server tcp(b_.fd(), SOCK_STREAM, 8080);
  EXPECT_EQ(exchange(world->outside(), SOCK_STREAM, "198.51.100.9", 80, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, "198.51.100.9", 80, tcp), test::kNodeIp);
  // Without backends it is refused, where a route leads to it at all.
  want({{frontend("198.51.100.9", 80), {{}, 0, true}}});
  os::NetlinkSocket socket = os::NetlinkSocket::open(NETLINK_ROUTE).value();
  int link = os::find_link(socket, "wire").value().index;
  os::Route route{.destination = test::ip("198.51.100.9"),
                  .prefix = 32,
                  .link = link,
                  .via = test::ip(test::kOutsideIp),
                  .source = {}};
  socket.send(os::add_route(route), "route").value();
  EXPECT_EQ(Client(a_.fd(), SOCK_STREAM).reach("198.51.100.9", 80), ECONNREFUSED);
  EXPECT_EQ(Client(world->node(), SOCK_STREAM).reach("198.51.100.9", 80), ECONNREFUSED);
  socket.send(os::delete_route(route), "route").value();
}

TEST_F(ServiceTableTest, RefusesWhatNobodyServes) {
  want({{frontend(kService, 80), {}}, {frontend(kAnyNodeAddress, 30080), {{}, 0, true}}});
  for (int ns : {a_.fd(), world->node()}) {
    EXPECT_EQ(Client(ns, SOCK_STREAM).reach(kService, 80), ECONNREFUSED);
    EXPECT_EQ(Client(ns, SOCK_STREAM).reach("10.43.99.99", 1), ECONNREFUSED);
    EXPECT_EQ(Client(ns, SOCK_STREAM).reach(test::kNodeIp, 30080), ECONNREFUSED);
    Client udp(ns, SOCK_DGRAM);
    int sent = udp.reach(kService, 53);
    if (sent == 0) {
      EXPECT_EQ(udp.answer(), "");
      sent = errno;
    }
    // The node's own kernel says no before the packet leaves, in another word.
    EXPECT_EQ(sent, ns == world->node() ? EPERM : ECONNREFUSED);
  }
}

TEST_F(ServiceTableTest, SpreadsOverBackends) {
  want({{frontend(kService, 80), {{backend(b_, 80), backend(c_, 80)}}}});
  Server b(b_.fd(), SOCK_STREAM, 80), c(c_.fd(), SOCK_STREAM, 80);
  int at_b = 0, at_c = 0;
  for (int i = 0; i < 100; ++i) {
    Client client(a_.fd(), SOCK_STREAM);
    ASSERT_EQ(client.reach(kService, 80), 0);
    if (b.waiting()) at_b += b.serve("b") == a_.ip;
    if (c.waiting()) at_c += c.serve("c") == a_.ip;
  }
  EXPECT_EQ(at_b + at_c, 100);
  EXPECT_GT(at_b, 20);
  EXPECT_GT(at_c, 20);
}

TEST_F(ServiceTableTest, KeepsAClientAtItsBackend) {
  std::vector<Entry> entries = {
      {frontend(kService, 80), {{backend(b_, 80), backend(c_, 80)}, 3600}}};
  want(entries);
  Server b(b_.fd(), SOCK_STREAM, 80), c(c_.fd(), SOCK_STREAM, 80);
  auto count = [&](int& at_b, int& at_c) {
    for (int i = 0; i < 20; ++i) {
      Client client(a_.fd(), SOCK_STREAM);
      ASSERT_EQ(client.reach(kService, 80), 0);
      if (b.waiting()) at_b += b.serve("b") == a_.ip;
      if (c.waiting()) at_c += c.serve("c") == a_.ip;
    }
  };
  int at_b = 0, at_c = 0;
  count(at_b, at_c);
  EXPECT_TRUE((at_b == 20 && at_c == 0) || (at_b == 0 && at_c == 20)) << at_b << " " << at_c;
  // Its backend goes: the client moves, and stays at the other one.
  entries[0].target.backends = {at_b > 0 ? backend(c_, 80) : backend(b_, 80)};
  want(entries);
  int then_b = 0, then_c = 0;
  count(then_b, then_c);
  EXPECT_EQ(then_b, at_c);
  EXPECT_EQ(then_c, at_b);
}

TEST_F(ServiceTableTest, MovesUdpFlowsToLivingBackends) {
  for (const char* address : {kService, test::kNodeIp}) {
    Frontend front = address == kService ? frontend(kService, 53, Protocol::kUdp)
                                         : frontend(kAnyNodeAddress, 30053, Protocol::kUdp);
    uint16_t port = address == kService ? 53 : 30053;
    want({{front, {{backend(b_, 53)}, 0, front.node_port()}}});
    Server b(b_.fd(), SOCK_DGRAM, 53), c(c_.fd(), SOCK_DGRAM, 53);
    Client client(a_.fd(), SOCK_DGRAM);
    ASSERT_EQ(client.reach(address, port), 0);
    EXPECT_NE(b.serve("b"), "");
    EXPECT_EQ(client.answer(), "b");
    want({{front, {{backend(c_, 53)}, 0, front.node_port()}}});
    ASSERT_EQ(client.send(), 0);
    EXPECT_NE(c.serve("c"), "") << address;
    EXPECT_EQ(client.answer(), "c");
  }
}

TEST_F(ServiceTableTest, KeepsTcpConnectionsThroughChanges) {
  want({{frontend(kService, 80), {{backend(b_, 80)}}}});
  Server b(b_.fd(), SOCK_STREAM, 80);
  Client client(a_.fd(), SOCK_STREAM);
  ASSERT_EQ(client.reach(kService, 80), 0);
  want({{frontend(kService, 80), {{backend(c_, 80)}}}});
  table_->rebuild().value();
  EXPECT_EQ(b.serve("late"), a_.ip);
  EXPECT_EQ(client.answer(), "late");
}

TEST_F(ServiceTableTest, PassesAFrontendOnToTheNextService) {
  auto front = frontend("198.51.100.9", 80);
  want({{front, {{backend(b_, 80)}, 0, true}}}, "first");
  EXPECT_TRUE(
      table_->want({{{"default", "second"}, {{front, {{backend(c_, 80)}, 0, true}}}}}).empty());
  auto again = table_->want({{{"default", "first"}, {}}});
  ASSERT_EQ(again, (std::set<proxy::ServiceKey>{{"default", "second"}}));
  want({{front, {{backend(c_, 80)}, 0, true}}}, "second");
  Server c(c_.fd(), SOCK_STREAM, 80);
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, "198.51.100.9", 80, c), test::kNodeIp);
}

TEST_F(ServiceTableTest, SaysWhenTheTableIsGone) {
  auto nft = os::NetlinkSocket::open(NETLINK_NETFILTER).value();
  network::NftTransaction flush{"wherry-services"};
  flush.delete_table();
  ASSERT_TRUE(flush.commit(nft, "flush").ok());
  table_->want({{{"default", "web"}, {{frontend(kService, 80), {{backend(b_, 80)}}}}}});
  auto done = table_->program();
  ASSERT_FALSE(done.ok());
  EXPECT_TRUE(done.error().is(Code::kNotFound)) << done.error().message();
  ASSERT_TRUE(table_->rebuild().ok());
  Server b(b_.fd(), SOCK_STREAM, 80);
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, kService, 80, b), a_.ip);
}

TEST_F(ServiceTableTest, ManyServices) {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  using std::chrono::steady_clock;
  constexpr uint32_t kCount = 5000;
  auto entries = [&](uint32_t i, uint32_t shift) {
    std::vector<Backend> backends;
    for (uint32_t j = 0; j < 3; ++j) backends.push_back({{0x0a2a1000 + 3 * i + j + shift}, 80});
    Ipv4 address{(10u << 24 | 43u << 16 | 1u << 8) + i};
    return std::vector<Entry>{{{address, Protocol::kTcp, 80}, {backends}},
                              {{address, Protocol::kUdp, 80}, {backends}}};
  };
  ServiceTable::Wanted all;
  for (uint32_t i = 0; i < kCount; ++i) all[{"default", "s" + std::to_string(i)}] = entries(i, 0);
  auto begin = steady_clock::now();
  table_->want(all);
  ASSERT_TRUE(table_->program().ok());
  auto loaded = steady_clock::now();
  ASSERT_TRUE(table_->rebuild().ok());
  auto rebuilt = steady_clock::now();
  for (uint32_t i = 0; i < 100; ++i) {
    table_->want({{{"default", "s" + std::to_string(i)}, entries(i, 1)}});
    ASSERT_TRUE(table_->program().ok());
  }
  auto changed = steady_clock::now();
  printf("%u Services: loaded in %ld us, rebuilt in %ld us, one changed in %ld us\n", kCount,
         duration_cast<microseconds>(loaded - begin).count(),
         duration_cast<microseconds>(rebuilt - loaded).count(),
         duration_cast<microseconds>(changed - rebuilt).count() / 100);
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) { return wherry::test::run_as_root(argc, argv, wherry::world); }
