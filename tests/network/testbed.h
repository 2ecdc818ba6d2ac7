#pragma once
// A small world of network namespaces for tests: "node" is the namespace of the test itself,
// "outside" is a machine on the same wire, pods are further ones. Sockets are made inside a
// namespace and then used from the test's own thread. Needs root; touches nothing outside its
// namespaces.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "base/thread.h"
#include "network/pod_network.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/netlink.h"
#include "os/netlink_route.h"

namespace wherry::test {

inline constexpr const char* kNodeIp = "192.0.2.1";
inline constexpr const char* kOutsideIp = "192.0.2.2";
inline constexpr int kPatienceMs = 1500;

inline uint32_t ip(const char* text) { return ntohl(inet_addr(text)); }

// A new, empty network namespace.
inline os::Fd new_namespace() {
  os::Fd fd;
  start_thread("netns", [&](const std::stop_token&) {
    if (::unshare(CLONE_NEWNET) != 0) return;
    fd = os::open_file("/proc/thread-self/ns/net", O_RDONLY).value();
  }).join();
  CHECK(static_cast<bool>(fd));
  return fd;
}

// Namespaces of our own for this process, a wire to "outside", lo up. No default route anywhere.
class World {
 public:
  World() : outside_(new_namespace()) {
    CHECK(::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0);
    CHECK(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    node_ = os::open_file("/proc/thread-self/ns/net", O_RDONLY).value();
    // New namespaces start with the machine's own setting.
    os::write_file_plain("/proc/sys/net/ipv4/ip_forward", "0").value();
    os::Veth wire{.name = "wire",
                  .mac = {2, 0, 0, 0, 0, 1},
                  .peer_name = "wire",
                  .peer_mac = {2, 0, 0, 0, 0, 2},
                  .peer_netns_fd = outside_.get(),
                  .mtu = 0};
    auto socket = os::NetlinkSocket::open(NETLINK_ROUTE).value();
    socket.send(os::create_veth(wire), "wire").value();
    bring_up("wire", kNodeIp);
    os::in_network_namespace(outside_.get(), [&]() -> Result<void> {
      bring_up("wire", kOutsideIp);
      return os::wait_until_it_sends("wire", std::chrono::seconds(5));
    }).value();
    os::wait_until_it_sends("wire", std::chrono::seconds(5)).value();
  }

  int node() const { return node_.get(); }
  int outside() const { return outside_.get(); }

  static void bring_up(const char* name, const char* address) {
    auto socket = os::NetlinkSocket::open(NETLINK_ROUTE).value();
    int link = os::find_link(socket, name).value().index;
    os::NetlinkMessage messages[] = {os::set_link(1, {.up = true}),
                                     os::set_link(link, {.up = true}),
                                     os::add_address(link, ip(address), 24)};
    socket.send(messages, name).value();
  }

 private:
  os::Fd outside_;
  os::Fd node_;
};

inline sockaddr_in endpoint(const std::string& address, uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr.s_addr = inet_addr(address.c_str());
  return name;
}

inline os::Fd socket_in(int ns, int type) {
  os::Fd fd;
  os::in_network_namespace(ns, [&]() -> Result<void> {
    fd = os::Fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    return {};
  }).value();
  CHECK(static_cast<bool>(fd));
  return fd;
}

inline bool readable(int fd, int limit_ms = kPatienceMs) {
  pollfd wanted{fd, POLLIN, 0};
  return ::poll(&wanted, 1, limit_ms) == 1;
}

inline std::string text(const sockaddr_in& name) { return inet_ntoa(name.sin_addr); }

// Listens on every address of a namespace, and says who it talked to.
class Server {
 public:
  Server(int ns, int type, uint16_t port) : type_(type), fd_(socket_in(ns, type)) {
    int on = 1;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto name = endpoint("0.0.0.0", port);
    CHECK(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    if (type == SOCK_STREAM) CHECK(::listen(fd_.get(), 64) == 0);
  }
  bool waiting(int limit_ms = 0) const { return readable(fd_.get(), limit_ms); }

  // Takes one connection or datagram and answers it; the client's address, or "" when nobody comes.
  std::string serve(const char* answer) {
    if (!waiting(kPatienceMs)) return {};
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    auto* name = reinterpret_cast<sockaddr*>(&peer);
    if (type_ == SOCK_STREAM) {
      os::Fd client(::accept4(fd_.get(), name, &size, SOCK_CLOEXEC));
      if (!client) return {};
      (void)!::write(client.get(), answer, strlen(answer));
    } else {
      char buffer[64];
      if (::recvfrom(fd_.get(), buffer, sizeof buffer, 0, name, &size) < 0) return {};
      (void)!::sendto(fd_.get(), answer, strlen(answer), 0, name, size);
    }
    return text(peer);
  }

 private:
  int type_;
  os::Fd fd_;
};

// One attempt to reach something.
class Client {
 public:
  Client(int ns, int type) : type_(type), fd_(socket_in(ns, type)) {
    timeval limit{1, 500'000};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  // 0, or the error number of connecting (and for UDP of the first datagram). EINPROGRESS is a
  // time-out.
  int reach(const std::string& address, uint16_t port) {
    auto name = endpoint(address, port);
    if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) return errno;
    return type_ == SOCK_STREAM ? 0 : send();
  }
  int send() { return ::send(fd_.get(), "?", 1, MSG_NOSIGNAL) == 1 ? 0 : errno; }
  // What came back; "" and errno when nothing did.
  std::string answer() {
    char buffer[64];
    ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
  }

 private:
  int type_;
  os::Fd fd_;
};

// A pod: a namespace with an address.
struct Pod {
  os::Fd ns;
  std::string uid, ip;
  int fd() const { return ns.get(); }
};

inline Pod start_pod(network::PodNetwork& network, const std::string& uid,
                     std::vector<network::HostPort> ports = {}) {
  Pod pod{new_namespace(), uid, {}};
  network::AttachRequest request{
      .uid = uid, .netns_fd = pod.fd(), .sysctls = {}, .host_ports = ports};
  pod.ip = network.attach(request).value().ip;
  return pod;
}

// One exchange between a client and a server; the source address the server saw, or why not.
inline std::string exchange(int client_ns, int type, const std::string& address, uint16_t port,
                            Server& server) {
  Client client(client_ns, type);
  if (int error = client.reach(address, port)) return strerror(error);
  std::string peer = server.serve("hello");
  if (client.answer() != "hello") return "no answer, server saw " + peer;
  return peer;
}

// GoogleTest's main in a world of its own, or a skip without root. Prints the suite's summary line.
inline int run_as_root(int argc, char** argv, std::unique_ptr<World>& world) {
  testing::InitGoogleTest(&argc, argv);
  if (::geteuid() != 0) {
    printf("SKIPPED: needs root for network namespaces\n0 passed, 0 failed, 1 skipped\n");
    return 0;
  }
  world = std::make_unique<World>();
  int code = RUN_ALL_TESTS();
  world.reset();
  const auto& all = *testing::UnitTest::GetInstance();
  printf("%d passed, %d failed, %d skipped\n", all.successful_test_count(), all.failed_test_count(),
         all.skipped_test_count());
  return code;
}

}  // namespace wherry::test
