// The pod network against a real kernel, in network namespaces.

#include <sys/stat.h>

#include <cstdlib>
#include <thread>

#include "network/host_rules.h"
#include "testbed.h"

namespace wherry {
namespace {

using network::HostPort;
using test::Client;
using test::exchange;
using test::Pod;
using test::Server;
using test::start_pod;

std::unique_ptr<test::World> world;

class PodNetworkTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pod_network_test.XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    start();
  }
  void TearDown() override {
    network_.reset();
    ASSERT_TRUE(network::tear_down_pod_network(ledger()).ok());
    ASSERT_TRUE(os::remove_tree(dir_).ok());
  }
  std::string ledger() const { return dir_ + "/network"; }
  void start(const char* node_ip = test::kNodeIp) {
    network_ = network::set_up_pod_network({.node_ip = node_ip,
                                            .pod_cidr = "10.42.0.0/24",
                                            .cluster_cidr = "10.42.0.0/16",
                                            .service_cidr = "10.43.0.0/16",
                                            .ledger_dir = ledger(),
                                            .mtu = mtu_})
                   .value();
  }

  std::string dir_;
  int mtu_ = 1400;
  std::unique_ptr<network::PodNetwork> network_;
};

TEST_F(PodNetworkTest, ConnectsPodsAndNode) {
  Pod a = start_pod(*network_, "a");
  Pod b = start_pod(*network_, "b");
  Server tcp(b.fd(), SOCK_STREAM, 80), udp(b.fd(), SOCK_DGRAM, 53);
  EXPECT_EQ(exchange(a.fd(), SOCK_STREAM, b.ip, 80, tcp), a.ip);
  EXPECT_EQ(exchange(a.fd(), SOCK_DGRAM, b.ip, 53, udp), a.ip);
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, b.ip, 80, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(b.fd(), SOCK_STREAM, "127.0.0.1", 80, tcp), "127.0.0.1");
  Server node(world->node(), SOCK_STREAM, 6443);
  EXPECT_EQ(exchange(a.fd(), SOCK_STREAM, test::kNodeIp, 6443, node), a.ip);
}

TEST_F(PodNetworkTest, MasqueradesWhatLeavesTheCluster) {
  Pod a = start_pod(*network_, "a");
  Server outside(world->outside(), SOCK_STREAM, 443);
  EXPECT_EQ(exchange(a.fd(), SOCK_STREAM, test::kOutsideIp, 443, outside), test::kNodeIp);
  Server udp(world->outside(), SOCK_DGRAM, 53);
  EXPECT_EQ(exchange(a.fd(), SOCK_DGRAM, test::kOutsideIp, 53, udp), test::kNodeIp);
}

TEST_F(PodNetworkTest, ServesHostPorts) {
  Pod a = start_pod(*network_, "a", {{"TCP", "", 8080, 80}, {"UDP", test::kNodeIp, 5353, 53}});
  Pod b = start_pod(*network_, "b");
  Server tcp(a.fd(), SOCK_STREAM, 80), udp(a.fd(), SOCK_DGRAM, 53);
  EXPECT_EQ(exchange(world->outside(), SOCK_STREAM, test::kNodeIp, 8080, tcp), test::kOutsideIp);
  EXPECT_EQ(exchange(world->outside(), SOCK_DGRAM, test::kNodeIp, 5353, udp), test::kOutsideIp);
  EXPECT_EQ(exchange(b.fd(), SOCK_STREAM, test::kNodeIp, 8080, tcp), b.ip);
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, test::kNodeIp, 8080, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, "127.0.0.1", 8080, tcp), test::kNodeIp);
  EXPECT_EQ(exchange(a.fd(), SOCK_STREAM, test::kNodeIp, 8080, tcp), test::kNodeIp);  // Itself.

  ASSERT_TRUE(network_->detach("a").ok());
  EXPECT_EQ(Client(world->outside(), SOCK_STREAM).reach(test::kNodeIp, 8080), ECONNREFUSED);
}

TEST_F(PodNetworkTest, MovesUdpFlowsOfAHostPort) {
  auto first = std::make_unique<Pod>(start_pod(*network_, "a", {{"UDP", "", 5353, 53}}));
  auto old = std::make_unique<Server>(first->fd(), SOCK_DGRAM, 53);
  Client client(world->outside(), SOCK_DGRAM);
  ASSERT_EQ(client.reach(test::kNodeIp, 5353), 0);
  EXPECT_EQ(old->serve("old"), test::kOutsideIp);
  EXPECT_EQ(client.answer(), "old");

  ASSERT_TRUE(network_->detach("a").ok());
  Pod second = start_pod(*network_, "b", {{"UDP", "", 5353, 53}});
  Server fresh(second.fd(), SOCK_DGRAM, 53);
  ASSERT_EQ(client.send(), 0);
  EXPECT_EQ(fresh.serve("new"), test::kOutsideIp);
  EXPECT_EQ(client.answer(), "new");
}

TEST_F(PodNetworkTest, KeepsPodsFromTheNodesLoopback) {
  Pod a = start_pod(*network_, "a");
  // What a pod with CAP_NET_RAW can do: send past its own loopback, to the node's.
  Server node(world->node(), SOCK_DGRAM, 7777);
  os::Fd raw = test::socket_in(a.fd(), SOCK_DGRAM);
  ASSERT_EQ(::setsockopt(raw.get(), SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), 0);
  auto name = test::endpoint("127.0.0.1", 7777);
  ASSERT_EQ(::sendto(raw.get(), "?", 1, 0, reinterpret_cast<sockaddr*>(&name), sizeof name), 1);
  EXPECT_FALSE(node.waiting(200));
}

TEST_F(PodNetworkTest, SetsSysctlsInThePodOnly) {
  Pod pod{test::new_namespace(), "a", {}};
  network::AttachRequest request{.uid = "a",
                                 .netns_fd = pod.fd(),
                                 .sysctls = {{"net.ipv4.ip_unprivileged_port_start", "0"}},
                                 .host_ports = {}};
  ASSERT_TRUE(network_->attach(request).ok());
  std::string path = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
  std::string inside;
  os::in_network_namespace(pod.fd(), [&]() -> Result<void> {
    inside = TRY(os::read_file(path));
    return {};
  }).value();
  EXPECT_EQ(inside, "0\n");
  EXPECT_EQ(os::read_file(path).value(), "1024\n");
}

TEST_F(PodNetworkTest, TakesTheNodesMtuUnlessTold) {
  auto socket = os::NetlinkSocket::open(NETLINK_ROUTE).value();
  Pod a = start_pod(*network_, "a");
  EXPECT_EQ(os::find_link(socket, "wv0a2a0002").value().mtu, 1400);
  network_.reset();
  mtu_ = 0;
  start();
  Pod b = start_pod(*network_, "b");
  EXPECT_EQ(os::find_link(socket, "wv0a2a0003").value().mtu, 1500);
}

TEST_F(PodNetworkTest, FindsItsPodsAfterARestart) {
  Pod a = start_pod(*network_, "a", {{"TCP", "", 8080, 80}});
  network_.reset();
  start();
  auto found = network_->find("a");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->ip, a.ip);
  Server tcp(a.fd(), SOCK_STREAM, 80);
  EXPECT_EQ(exchange(world->outside(), SOCK_STREAM, test::kNodeIp, 8080, tcp), test::kOutsideIp);
}

TEST_F(PodNetworkTest, GivesANewAddressToANewSandbox) {
  Pod a = start_pod(*network_, "a");
  Pod again = start_pod(*network_, "a");
  EXPECT_NE(again.ip, a.ip);
  EXPECT_EQ(network_->addresses().size(), 1u);
}

TEST_F(PodNetworkTest, LeavesNothingOfAFailedAttach) {
  os::Fd not_a_namespace = os::open_file("/dev/null", O_RDONLY).value();
  EXPECT_FALSE(
      network_
          ->attach({.uid = "a", .netns_fd = not_a_namespace.get(), .sysctls = {}, .host_ports = {}})
          .ok());
  os::Fd ns = test::new_namespace();
  EXPECT_FALSE(network_
                   ->attach({.uid = "b",
                             .netns_fd = ns.get(),
                             .sysctls = {{"net.nonsense", "1"}},
                             .host_ports = {}})
                   .ok());
  EXPECT_TRUE(network_->addresses().empty());
  auto socket = os::NetlinkSocket::open(NETLINK_ROUTE).value();
  for (const os::Link& link : os::list_links(socket).value()) {
    EXPECT_FALSE(link.name.starts_with("wv")) << link.name;
  }
}

TEST_F(PodNetworkTest, PutsFlushedRulesBack) {
  Pod a = start_pod(*network_, "a", {{"TCP", "", 8080, 80}});
  auto nft = os::NetlinkSocket::open(NETLINK_NETFILTER).value();
  network::NftTransaction flush{std::string(network::kPodTable)};
  flush.delete_table();
  ASSERT_TRUE(flush.commit(nft, "flush").ok());
  Server tcp(a.fd(), SOCK_STREAM, 80);
  std::string peer;
  for (int i = 0; i < 20 && peer != test::kOutsideIp; ++i) {
    ::poll(nullptr, 0, 50);
    peer = exchange(world->outside(), SOCK_STREAM, test::kNodeIp, 8080, tcp);
  }
  EXPECT_EQ(peer, test::kOutsideIp);
}

TEST_F(PodNetworkTest, WorksOnAMachineWithOnlyLoopbackAddresses) {
  network_.reset();
  start("127.0.0.1");
  Pod a = start_pod(*network_, "a", {{"TCP", "", 8080, 80}});
  Server tcp(a.fd(), SOCK_STREAM, 80);
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, a.ip, 80, tcp), "10.42.0.1");
  EXPECT_EQ(exchange(world->node(), SOCK_STREAM, "127.0.0.1", 8080, tcp), "10.42.0.1");
  Server node(world->node(), SOCK_STREAM, 6443);
  EXPECT_EQ(exchange(a.fd(), SOCK_STREAM, "10.42.0.1", 6443, node), a.ip);
  network_.reset();
  ASSERT_TRUE(network::tear_down_pod_network(ledger()).ok());
  auto socket = os::NetlinkSocket::open(NETLINK_ROUTE).value();
  for (const auto& held : os::list_addresses(socket).value()) {
    EXPECT_NE(held.address, test::ip("10.42.0.1"));
  }
}

TEST_F(PodNetworkTest, TearsDownEverything) {
  std::string before = os::read_file("/proc/sys/net/ipv4/ip_forward").value();
  EXPECT_EQ(before, "1\n");
  Pod a = start_pod(*network_, "a");
  network_.reset();
  ASSERT_TRUE(network::tear_down_pod_network(ledger()).ok());
  EXPECT_FALSE(os::exists(ledger()));
  EXPECT_EQ(os::read_file("/proc/sys/net/ipv4/ip_forward").value(), "0\n");
  auto socket = os::NetlinkSocket::open(NETLINK_ROUTE).value();
  EXPECT_FALSE(os::find_link(socket, "wv0a2a0002").ok());
  EXPECT_FALSE(os::choose_route(socket, test::ip("10.43.0.1")).ok());
  EXPECT_TRUE(network::tear_down_pod_network(ledger()).ok());
}

TEST_F(PodNetworkTest, SaysWhatIsWrongWithOptions) {
  auto failed = network::set_up_pod_network({.node_ip = "198.51.100.7",
                                             .pod_cidr = "10.42.0.0/24",
                                             .cluster_cidr = "10.42.0.0/16",
                                             .service_cidr = "10.43.0.0/16",
                                             .ledger_dir = dir_ + "/other",
                                             .mtu = 0});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message(),
            "node address 198.51.100.7 is not an address of this machine");
}

TEST_F(PodNetworkTest, AttachesManyAtOnce) {
  std::vector<std::jthread> threads;
  std::atomic<int> good = 0;
  std::vector<os::Fd> spaces(40);
  for (auto& space : spaces) space = test::new_namespace();
  for (int t = 0; t < 4; ++t) {
    threads.push_back(start_thread("attach", [&, t](const std::stop_token&) {
      for (int i = t; i < 40; i += 4) {
        network::AttachRequest request{.uid = "pod" + std::to_string(i),
                                       .netns_fd = spaces[i].get(),
                                       .sysctls = {},
                                       .host_ports = {}};
        if (network_->attach(request).ok()) ++good;
      }
    }));
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 40);
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) { return wherry::test::run_as_root(argc, argv, wherry::world); }
