// The PodNetwork of a real host: rtnetlink for links and routes, nf_tables for host ports and
// sources.

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "base/thread.h"
#include "network/address.h"
#include "network/conntrack.h"
#include "network/host_rules.h"
#include "network/ledger.h"
#include "network/nft.h"
#include "network/pod_network.h"
#include "os/fd.h"
#include "os/namespace.h"
#include "os/netlink.h"
#include "os/netlink_route.h"
#include "os/poll.h"

namespace wherry::network {
namespace {

using os::NetlinkMessage;
using os::NetlinkSocket;

constexpr Ipv4 kGateway{169u << 24 | 254u << 16 | 1u << 8 | 1u};
constexpr std::chrono::milliseconds kLinkPatience(2000);
constexpr os::MacAddress kHostMac = {0x02, 'W', 'h', 0,
                                     0,    1};  // Of every host end: each is alone on its link.
constexpr std::string_view kForwarding = "net/ipv4/ip_forward";
constexpr int kLoopbackIndex = 1;  // In every network namespace.

os::MacAddress pod_mac(Ipv4 pod) {
  return {0x02,
          'W',
          static_cast<uint8_t>(pod.bits >> 24),
          static_cast<uint8_t>(pod.bits >> 16),
          static_cast<uint8_t>(pod.bits >> 8),
          static_cast<uint8_t>(pod.bits)};
}

std::string sysctl_path(std::string_view name) { return "/proc/sys/" + std::string(name); }

struct Parsed {
  Ipv4 node;
  HostRulesOptions rules;
  Cidr services;
};

Result<Parsed> parse_options(const PodNetworkOptions& options) {
  Parsed parsed;
  auto node = Ipv4::parse(options.node_ip);
  if (!node)
    return Error::invalid("node address {} is not an IPv4 address", quote(options.node_ip));
  parsed.node = *node;
  parsed.rules.pods = TRY(Cidr::parse(options.pod_cidr));
  parsed.rules.cluster = TRY(Cidr::parse(options.cluster_cidr));
  parsed.rules.node = node_source(*node, parsed.rules.pods);
  parsed.services = TRY(Cidr::parse(options.service_cidr));
  return parsed;
}

class HostPodNetwork final : public PodNetwork {
 public:
  HostPodNetwork(const PodNetworkOptions& options, const Parsed& parsed, Ledger ledger,
                 NetlinkSocket nft, NftMonitor monitor, os::EventFd stop)
      : options_(options),
        parsed_(parsed),
        mtu_(options.mtu),
        stop_(std::move(stop)),
        monitor_(std::move(monitor)),
        ledger_(std::move(ledger)),
        nft_(std::move(nft)) {}
  ~HostPodNetwork() override { stop_.signal(); }

  Result<void> set_up();

  Result<PodAddress> attach(const AttachRequest& request) override;
  Result<void> detach(std::string_view uid) override;
  Result<void> set_peers(const std::vector<PeerNode>& peers) override;
  std::vector<PodAddress> addresses() const override {
    MutexLock lock(mutex_);
    return ledger_.all();
  }
  std::optional<PodAddress> find(std::string_view uid) const override {
    MutexLock lock(mutex_);
    return ledger_.find(uid);
  }

 private:
  Result<void> check_node_address(NetlinkSocket& socket) REQUIRES(mutex_);
  Result<void> enable_forwarding() REQUIRES(mutex_);
  Result<void> add_service_route(NetlinkSocket& socket) REQUIRES(mutex_);
  Result<void> add_peer_route(NetlinkSocket& socket, const os::Route& route) REQUIRES(mutex_);
  Result<void> remove_old_routes(NetlinkSocket& socket, const std::set<Cidr>& wanted)
      REQUIRES(mutex_);
  Result<void> program_all() REQUIRES(mutex_);
  Result<void> remove_strays(NetlinkSocket& socket) REQUIRES(mutex_);
  Result<void> program(const PodAddress& pod) REQUIRES(mutex_);
  Result<void> release(std::string_view uid) REQUIRES(mutex_);
  Result<void> connect(const PodAddress& pod, const AttachRequest& request) const;
  Result<void> connect_host_end(NetlinkSocket& socket, const PodAddress& pod, int netns_fd) const;
  Result<void> connect_pod_end(Ipv4 pod) const;
  void watch(const std::stop_token& stop);

  const PodNetworkOptions options_;
  const Parsed parsed_;
  int mtu_;  // Constant after set_up().

  os::EventFd stop_;
  NftMonitor monitor_;  // The watching thread's.

  mutable Mutex mutex_;
  Ledger ledger_ GUARDED_BY(mutex_);
  NetlinkSocket nft_ GUARDED_BY(mutex_);

  std::jthread watcher_;  // Last: it uses the others.
};

// ---- The host

Result<void> HostPodNetwork::enable_forwarding() {
  std::string path = sysctl_path(kForwarding);
  std::string before(trim(TRY(os::read_file(path))));
  if (before == "1") return {};
  TRY(ledger_.note({HostNote::Kind::kSysctl, std::string(kForwarding), before}));
  return os::write_file_plain(path, "1");
}

Result<void> HostPodNetwork::check_node_address(NetlinkSocket& socket) {
  int owner = 0;
  for (const os::LinkAddress& held : TRY(os::list_addresses(socket))) {
    if (held.address == parsed_.node.bits) owner = held.link;
  }
  if (owner == 0) {
    return Error::invalid("node address {} is not an address of this machine", options_.node_ip);
  }
  // Packets that fit a pod's link should fit the node's, or each connection begins with a refusal.
  for (const os::Link& link : TRY(os::list_links(socket))) {
    if (mtu_ == 0 && link.index == owner && owner != kLoopbackIndex) mtu_ = link.mtu;
  }
  Ipv4 source = parsed_.rules.node;
  if (source == parsed_.node) return {};
  TRY(ledger_.note({HostNote::Kind::kAddress, source.text(), {}}));
  return socket.send(os::add_address(kLoopbackIndex, source.bits, 32), source.text());
}

// Without a default route the node itself could not even begin to reach a Service address; the
// packets are redirected on their way out, so where the route leads does not matter.
Result<void> HostPodNetwork::add_service_route(NetlinkSocket& socket) {
  TRY(ledger_.note({HostNote::Kind::kRoute, parsed_.services.text(), {}}));
  os::Route route{.destination = parsed_.services.base.bits,
                  .prefix = parsed_.services.prefix,
                  .link = kLoopbackIndex,
                  .via = {},
                  .source = parsed_.rules.node.bits};
  return socket.send(os::add_route(route), "route for " + parsed_.services.text());
}

Result<void> HostPodNetwork::add_peer_route(NetlinkSocket& socket, const os::Route& route) {
  Cidr range{{route.destination}, route.prefix};
  TRY(ledger_.note({HostNote::Kind::kRoute, range.text(), {}}));
  return socket.send(os::add_route(route), "route for " + range.text());
}

// Of nodes that are gone, an earlier run's too.
Result<void> HostPodNetwork::remove_old_routes(NetlinkSocket& socket,
                                               const std::set<Cidr>& wanted) {
  for (const HostNote& note : std::vector<HostNote>(ledger_.notes())) {
    if (note.kind != HostNote::Kind::kRoute) continue;
    Cidr range = TRY(Cidr::parse(note.name));
    if (range == parsed_.services || wanted.contains(range)) continue;
    os::Route route{.destination = range.base.bits, .prefix = range.prefix};
    TRY(ignore_not_found(socket.send(os::delete_route(route), "route for " + note.name)));
    TRY(ledger_.forget(note));
  }
  return {};
}

Result<void> HostPodNetwork::set_peers(const std::vector<PeerNode>& peers) {
  MutexLock lock(mutex_);
  NetlinkSocket socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  std::vector<os::LinkAddress> held = TRY(os::list_addresses(socket));
  std::set<Cidr> wanted;
  std::vector<std::string> far;
  for (const PeerNode& peer : peers) {
    auto node = Ipv4::parse(peer.ip);
    Result<Cidr> range = Cidr::parse(peer.pod_cidr);
    if (!node || !range.ok() || *range == parsed_.rules.pods) continue;
    auto link = std::find_if(held.begin(), held.end(), [&node](const os::LinkAddress& own) {
      return own.link != kLoopbackIndex && own.prefix < 32 &&
             Cidr{{own.address & Cidr{{}, own.prefix}.mask()}, own.prefix}.contains(*node);
    });
    if (link == held.end()) {
      far.push_back(peer.name);
      continue;
    }
    wanted.insert(*range);
    TRY(add_peer_route(socket, {.destination = range->base.bits,
                                .prefix = range->prefix,
                                .link = link->link,
                                .via = node->bits,
                                .source = parsed_.rules.node.bits,
                                .onlink = true}));
  }
  TRY(remove_old_routes(socket, wanted));
  if (far.empty()) return {};
  return Error::unavailable(
      "no link of this machine leads straight to {}: pods there cannot be reached from here (nodes "
      "must share a network, since there is no VXLAN yet)",
      join(far, ", "));
}

Result<void> HostPodNetwork::program_all() {
  NftTransaction transaction{std::string(kPodTable)};
  put_host_rules(transaction, parsed_.rules);
  for (const PodAddress& pod : ledger_.all()) put_pod(transaction, pod);
  return transaction.commit(nft_, "nftables table of the pod network");
}

// Addresses whose owner is not known any more: their file was cut short by a crash.
Result<void> HostPodNetwork::remove_strays(NetlinkSocket& socket) {
  for (const PodAddress& pod : ledger_.all()) {
    if (!pod.uid.empty()) continue;
    TRY(ignore_not_found(socket.send(os::delete_link(pod.interface), pod.interface)));
    TRY(ledger_.release(pod.uid));
  }
  return {};
}

Result<void> HostPodNetwork::set_up() {
  {
    MutexLock lock(mutex_);
    NetlinkSocket socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
    TRY(check_node_address(socket));
    TRY(ledger_.note({HostNote::Kind::kTable, std::string(kPodTable), {}}));
    TRY(ledger_.note({HostNote::Kind::kTable, std::string(kServiceTable), {}}));
    TRY(enable_forwarding());
    TRY(add_service_route(socket));
    TRY(remove_strays(socket));
    TRY(program_all());
  }
  watcher_ = start_thread("pod-network", [this](const std::stop_token& stop) { watch(stop); });
  return {};
}

// Puts the table back when somebody flushes it.
void HostPodNetwork::watch(const std::stop_token& stop) {
  auto epoll = os::Epoll::open();
  if (!epoll.ok() || !epoll->add(stop_.fd(), EPOLLIN, 0).ok() ||
      !epoll->add(monitor_.fd(), EPOLLIN, 1).ok()) {
    log::error("pod network: cannot watch nftables; flushed rules stay away until a restart");
    return;
  }
  while (!stop.stop_requested()) {
    if (!epoll->wait(std::nullopt).ok() || stop.stop_requested()) return;
    MutexLock lock(mutex_);
    auto lost = monitor_.lost(kPodTable, nft_.port());
    if (lost.ok() && !*lost) continue;
    log::warn("pod network: somebody removed nftables rules; putting them back");
    if (auto done = program_all(); !done.ok())
      log::error("pod network: {}", done.error().message());
  }
}

// ---- Pods

// Fails as a whole or takes effect as a whole; after a flush that was not noticed yet, all is put
// back.
Result<void> HostPodNetwork::program(const PodAddress& pod) {
  NftTransaction transaction{std::string(kPodTable)};
  put_pod(transaction, pod);
  auto done = transaction.commit(nft_, "host ports of " + pod.ip);
  if (!done.ok() && done.error().is(Code::kNotFound)) return program_all();
  return done;
}

Result<void> HostPodNetwork::release(std::string_view uid) {
  auto pod = ledger_.find(uid);
  if (!pod) return {};
  NftTransaction transaction{std::string(kPodTable)};
  remove_pod(transaction, *pod);
  // Elements may have been flushed away: then nothing is to be removed.
  TRY(ignore_not_found(transaction.commit(nft_, "host ports of " + pod->ip)));
  TRY(ledger_.release(uid));
  return {};
}

Result<PodAddress> HostPodNetwork::attach(const AttachRequest& request) {
  PodAddress pod;
  {
    MutexLock lock(mutex_);
    TRY(release(request.uid));
    pod = TRY(ledger_.take(parsed_.rules.pods, request.uid, request.host_ports));
  }
  auto done = connect(pod, request);
  MutexLock lock(mutex_);
  if (done.ok()) done = program(pod);
  if (done.ok()) return pod;
  if (auto undone = release(request.uid); !undone.ok()) {
    log::warn("pod network: address {} stays taken: {}", pod.ip, undone.error().message());
  }
  return std::move(done).error();
}

Result<void> HostPodNetwork::detach(std::string_view uid) {
  std::optional<PodAddress> pod;
  {
    MutexLock lock(mutex_);
    pod = ledger_.find(uid);
    TRY(release(uid));
  }
  bool udp = false;
  for (const HostPort& port : pod ? pod->host_ports : std::vector<HostPort>()) {
    udp = udp || port.protocol == "UDP";
  }
  if (!udp) return {};
  Ipv4 gone = *Ipv4::parse(pod->ip);
  TRY(delete_flows([gone](const Flow& flow) {
    return flow.protocol == Protocol::kUdp && flow.server == gone && flow.destination != gone;
  }));
  return {};
}

Result<void> HostPodNetwork::connect(const PodAddress& pod, const AttachRequest& request) const {
  Ipv4 address = *Ipv4::parse(pod.ip);
  NetlinkSocket socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  TRY(connect_host_end(socket, pod, request.netns_fd));
  auto done = os::in_network_namespace(request.netns_fd, [&]() -> Result<void> {
    TRY(connect_pod_end(address));
    for (const auto& [name, value] : request.sysctls) {
      if (!name.starts_with("net.")) continue;
      TRY(os::write_file_plain(sysctl_path(replace_all(name, ".", "/")), value));
    }
    return {};
  });
  if (!done.ok()) {
    // Slow, but rare: an undone attach must not leave an interface whose address is given to
    // another.
    (void)ignore_not_found(socket.send(os::delete_link(pod.interface), pod.interface));
    return done;
  }
  // Or the first packet to the pod may be lost: a datagram is not sent again.
  if (auto ready = os::wait_until_it_sends(pod.interface, kLinkPatience); !ready.ok())
    log::warn("pod network: {}", ready.error().message());
  return {};
}

Result<void> HostPodNetwork::connect_host_end(NetlinkSocket& socket, const PodAddress& pod,
                                              int netns_fd) const {
  Ipv4 address = *Ipv4::parse(pod.ip);
  os::Veth veth{.name = pod.interface,
                .mac = kHostMac,
                .peer_name = "eth0",
                .peer_mac = pod_mac(address),
                .peer_netns_fd = netns_fd,
                .mtu = mtu_};
  os::LinkSettings settings{.up = true,
                            .quiet_ipv6 = true,
                            .route_localnet = true,
                            .strict_source = true,
                            .forwarding = true};
  std::string what = "interface " + pod.interface;
  auto made = socket.send(os::create_veth(veth), what);
  if (!made.ok() && made.error().is(Code::kAlreadyExists)) {
    // Of the address's previous pod, whose namespace somebody still holds.
    TRY(ignore_not_found(socket.send(os::delete_link(pod.interface), what)));
    made = socket.send(os::create_veth(veth), what);
  }
  TRY(std::move(made));
  auto configure = [&]() -> Result<void> {
    os::Link link = TRY(os::find_link(socket, pod.interface));
    os::Route route{.destination = address.bits,
                    .prefix = 32,
                    .link = link.index,
                    .via = {},
                    .source = parsed_.rules.node.bits};
    NetlinkMessage messages[] = {os::set_link(link.index, settings),
                                 os::add_neighbour(link.index, address.bits, pod_mac(address)),
                                 os::add_route(route)};
    return socket.send(messages, what);
  };
  auto done = configure();
  if (!done.ok()) (void)ignore_not_found(socket.send(os::delete_link(pod.interface), what));
  return done;
}

Result<void> HostPodNetwork::connect_pod_end(Ipv4 pod) const {
  NetlinkSocket socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  os::Link link = TRY(os::find_link(socket, "eth0"));
  os::Route route{.destination = 0,
                  .prefix = 0,
                  .link = link.index,
                  .via = kGateway.bits,
                  .source = {},
                  .onlink = true};
  NetlinkMessage messages[] = {
      os::set_link(kLoopbackIndex, {.up = true}), os::set_link(link.index, {.up = true}),
      os::add_address(link.index, pod.bits, 32),
      os::add_neighbour(link.index, kGateway.bits, kHostMac), os::add_route(route)};
  return socket.send(messages, "eth0 of the pod");
}

void keep_first(Result<void>& first, Result<void> next) {
  if (first.ok() && !next.ok()) first = std::move(next);
}

Result<void> remove_table(const std::string& name) {
  NetlinkSocket socket = TRY(NetlinkSocket::open(NETLINK_NETFILTER));
  NftTransaction transaction(name);
  transaction.delete_table();
  return transaction.commit(socket, "nftables table " + name);
}

Result<void> undo(const HostNote& note, NetlinkSocket& route_socket) {
  switch (note.kind) {
    case HostNote::Kind::kTable: return remove_table(note.name);
    case HostNote::Kind::kSysctl: return os::write_file_plain(sysctl_path(note.name), note.value);
    case HostNote::Kind::kAddress: {
      auto address = Ipv4::parse(note.name);
      if (!address) return {};
      return ignore_not_found(
          route_socket.send(os::delete_address(kLoopbackIndex, address->bits, 32), note.name));
    }
    case HostNote::Kind::kRoute: {
      Cidr range = TRY(Cidr::parse(note.name));
      os::Route route{.destination = range.base.bits, .prefix = range.prefix};
      return ignore_not_found(route_socket.send(os::delete_route(route), "route for " + note.name));
    }
  }
  return {};
}

}  // namespace

Ipv4 node_source(Ipv4 node, const Cidr& pods) {
  return node.loopback() ? Ipv4{pods.base.bits + 1} : node;
}

Result<std::unique_ptr<PodNetwork>> set_up_pod_network(const PodNetworkOptions& options) {
  Parsed parsed = TRY(parse_options(options));
  std::string boot = TRY(os::read_file("/proc/sys/kernel/random/boot_id"));
  Ledger ledger = TRY(Ledger::open(options.ledger_dir, boot));
  NetlinkSocket nft = TRY(NetlinkSocket::open(NETLINK_NETFILTER));
  NftMonitor monitor = TRY(NftMonitor::open());
  os::EventFd stop = TRY(os::EventFd::open());
  auto network = std::make_unique<HostPodNetwork>(
      options, parsed, std::move(ledger), std::move(nft), std::move(monitor), std::move(stop));
  TRY(network->set_up());
  return std::unique_ptr<PodNetwork>(std::move(network));
}

Result<void> tear_down_pod_network(const std::string& ledger_dir) {
  if (!os::exists(ledger_dir)) return {};
  Ledger ledger = TRY(Ledger::open_existing(ledger_dir));
  NetlinkSocket socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  Result<void> first;
  for (const PodAddress& pod : ledger.all()) {
    keep_first(first, ignore_not_found(socket.send(os::delete_link(pod.interface), pod.interface)));
  }
  const auto& notes = ledger.notes();
  for (auto note = notes.rbegin(); note != notes.rend(); ++note) {
    keep_first(first, undo(*note, socket));
  }
  if (!first.ok()) return first;  // The ledger stays for another try.
  return os::remove_tree(ledger_dir);
}

}  // namespace wherry::network
