#include "dns/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "base/strings.h"
#include "base/thread.h"

namespace wherry::dns {
namespace {

constexpr uint64_t kWake = 1, kUdp = 2, kTcp = 3;
constexpr size_t kAskedMax = 1000;  // Questions waiting for a resolver; more are refused.
constexpr size_t kConnectionsMax = 200;
constexpr Duration kResolverPatience = std::chrono::seconds(2);
constexpr Duration kConnectionPatience = std::chrono::seconds(10);
constexpr std::string_view kName = "kube-dns";
constexpr std::string_view kNamespace = "kube-system";

sockaddr_in socket_address(const std::string& ip, uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &out.sin_addr);
  return out;
}

Result<os::Fd> bound_socket(int type, const std::string& ip, uint16_t port) {
  os::Fd fd(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "DNS socket");
  sockaddr_in address = socket_address(ip, port);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno(errno, fmt::format("DNS on {}:{}", ip, port));
  }
  return fd;
}

json::Draft object(std::string_view kind, std::string_view api_version) {
  json::Draft draft;
  draft.root().set("kind", kind);
  draft.root().set("apiVersion", api_version);
  json::Node metadata = draft.root().set_object("metadata");
  metadata.set("name", kName);
  metadata.set("namespace", kNamespace);
  return draft;
}

struct NamedPort {
  std::string_view name, protocol;
};
constexpr NamedPort kPorts[] = {{"dns", "UDP"}, {"dns-tcp", "TCP"}};

}  // namespace

std::vector<std::string> parse_resolv_conf(std::string_view text) {
  std::vector<std::string> out;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    if (!line.starts_with("nameserver")) continue;
    std::string ip(trim(line.substr(std::string_view("nameserver").size())));
    if (!a_data(ip).empty()) out.push_back(ip);
  }
  return out;
}

DnsServer::DnsServer(DnsOptions options, client::Client& client, client::Cache& cache,
                     const Clock& clock)
    : options_(std::move(options)), client_(client), clock_(clock), zone_(cache, options_.domain) {
  cache.subscribe(api::resource("nodes"),
                  [this](const client::Change& change) { node_changed(change); });
  auto parts = split_once(options_.cluster_cidr, "/");
  if (!parts) return;
  sockaddr_in net = socket_address(std::string(parts->first), 0);
  auto bits =
      static_cast<uint32_t>(std::clamp<int64_t>(parse_int(parts->second).value_or(32), 0, 32));
  cluster_mask_ = bits == 0 ? 0 : ~uint32_t{0} << (32 - bits);
  cluster_net_ = ntohl(net.sin_addr.s_addr) & cluster_mask_;
}

Result<void> DnsServer::bind_sockets() {
  // One port number for both protocols: the kernel picks it for UDP, TCP follows, a few times over.
  for (int i = 0; i < 16; ++i) {
    udp_ = TRY(bound_socket(SOCK_DGRAM, options_.node_ip, 0));
    sockaddr_in address{};
    socklen_t length = sizeof address;
    if (getsockname(udp_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      return Error::from_errno(errno, "DNS socket");
    }
    port_ = ntohs(address.sin_port);
    Result<os::Fd> tcp = bound_socket(SOCK_STREAM, options_.node_ip, port_);
    if (!tcp.ok()) continue;
    tcp_ = std::move(tcp).value();
    if (listen(tcp_.get(), 64) != 0) return Error::from_errno(errno, "DNS listen");
    return {};
  }
  return Error::unavailable("DNS: no port on {} is free for both UDP and TCP", options_.node_ip);
}

Result<void> DnsServer::start() {
  TRY(bind_sockets());
  TRY(publish());
  epoll_ = std::make_unique<os::Epoll>(TRY(os::Epoll::open()));
  wake_ = std::make_unique<os::EventFd>(TRY(os::EventFd::open()));
  TRY(epoll_->add(wake_->fd(), EPOLLIN, kWake));
  TRY(epoll_->add(udp_.get(), EPOLLIN, kUdp));
  TRY(epoll_->add(tcp_.get(), EPOLLIN, kTcp));
  thread_ = start_thread("dns", [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void DnsServer::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  wake_->signal();
  thread_.join();
}

Result<void> DnsServer::ensure(std::string_view name, const json::Draft& wanted) {
  const api::Resource& resource = api::resource(name);
  json::Document document = wanted.freeze();
  Result<api::ObjectPtr> there = client_.get(resource, kNamespace, kName);
  if (!there.ok() && !there.error().is(Code::kNotFound)) return std::move(there).error();
  if (!there.ok()) {
    TRY(client_.create(resource, kNamespace, document.root()));
    return {};
  }
  json::Document now = (*there)->document();
  json::Draft draft(now.root());
  for (std::string_view part : {"endpoints", "ports"}) {
    if (document.root()[part]) draft.root().set(part, document.root()[part]);
  }
  json::Document after = draft.freeze();
  TRY(client_.update(resource, kNamespace, kName, after.root()));
  return {};
}

Result<void> DnsServer::publish() {
  json::Draft service = object("Service", "v1");
  json::Node labels = service.root()["metadata"].set_object("labels");
  labels.set("k8s-app", kName);
  labels.set("kubernetes.io/cluster-service", "true");
  json::Node spec = service.root().set_object("spec");
  spec.set("type", "ClusterIP");
  spec.set("clusterIP", options_.cluster_dns);
  json::Node ports = spec.set_array("ports");
  json::Draft slice = object("EndpointSlice", "discovery.k8s.io/v1");
  slice.root()["metadata"].set_object("labels").set("kubernetes.io/service-name", kName);
  slice.root().set("addressType", "IPv4");
  json::Node endpoint = slice.root().set_array("endpoints").push_object();
  endpoint.set_array("addresses").push(options_.node_ip);
  endpoint.set_object("conditions").set("ready", true);
  json::Node slice_ports = slice.root().set_array("ports");
  for (const NamedPort& port : kPorts) {
    json::Node one = ports.push_object();
    one.set("name", port.name);
    one.set("protocol", port.protocol);
    one.set("port", 53);
    json::Node target = slice_ports.push_object();
    target.set("name", port.name);
    target.set("protocol", port.protocol);
    target.set("port", static_cast<int64_t>(port_));
  }
  TRY(ensure("services", service));
  return ensure("endpointslices.discovery.k8s.io", slice);
}

void DnsServer::node_changed(const client::Change& change) {
  const api::ObjectPtr& node = change.after != nullptr ? change.after : change.before;
  uint32_t ip = 0;
  if (change.after != nullptr) {
    json::Document document = change.after->document();
    for (json::Value address : document.root()["status"]["addresses"].items()) {
      if (address["type"].as_string() != "InternalIP") continue;
      ip = socket_address(std::string(address["address"].as_string()), 0).sin_addr.s_addr;
    }
  }
  MutexLock lock(mutex_);
  if (ip != 0) {
    nodes_[std::string(node->name())] = ip;
  } else {
    nodes_.erase(std::string(node->name()));
  }
}

bool DnsServer::allowed(std::string_view address) const {
  if (address.size() < sizeof(sockaddr_in)) return false;
  sockaddr_in from{};
  std::memcpy(&from, address.data(), sizeof from);
  uint32_t ip = ntohl(from.sin_addr.s_addr);
  sockaddr_in own = socket_address(options_.node_ip, 0);
  if ((ip & cluster_mask_) == cluster_net_ || ip >> 24 == 127 ||
      from.sin_addr.s_addr == own.sin_addr.s_addr) {
    return true;
  }
  MutexLock lock(mutex_);
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [&from](const auto& node) { return node.second == from.sin_addr.s_addr; });
}

void DnsServer::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool waiting = !asked_.empty() || !connections_.empty();
    std::optional<std::chrono::milliseconds> limit;
    if (waiting) limit = std::chrono::milliseconds(500);
    Result<std::vector<os::Epoll::Event>> events = epoll_->wait(limit);
    if (!events.ok()) {
      log::error("dns: {}", events.error().message());
      return;
    }
    for (const os::Epoll::Event& event : *events) {
      if (event.tag == kWake) wake_->clear();
      if (event.tag == kUdp) read_udp();
      if (event.tag == kTcp) accept_tcp();
      if (connections_.contains(event.tag)) read_tcp(event.tag);
      if (asked_.contains(event.tag)) read_upstream(event.tag);
    }
    if (waiting) expire();
  }
}

void DnsServer::read_udp() {
  char buffer[4096];
  for (int i = 0; i < 64; ++i) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    ssize_t got =
        recvfrom(udp_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got <= 0) return;
    Asker asker;
    asker.address.assign(reinterpret_cast<const char*>(&from), length);
    if (allowed(asker.address)) {
      handle({buffer, static_cast<size_t>(got)}, std::move(asker));
    }
  }
}

void DnsServer::accept_tcp() {
  sockaddr_storage from{};
  socklen_t length = sizeof from;
  os::Fd fd(accept4(tcp_.get(), reinterpret_cast<sockaddr*>(&from), &length,
                    SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd || connections_.size() >= kConnectionsMax) return;
  if (!allowed({reinterpret_cast<const char*>(&from), length})) return;
  uint64_t id = next_id_++;
  if (!epoll_->add(fd.get(), EPOLLIN, id).ok()) return;
  connections_[id] = {std::move(fd), {}, clock_.monotonic()};
}

// Each message has its length in two bytes before it (RFC 1035, 4.2.2).
void DnsServer::read_tcp(uint64_t id) {
  Connection& connection = connections_.at(id);
  char buffer[4096];
  ssize_t got = read(connection.fd.get(), buffer, sizeof buffer);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    connections_.erase(id);
    return;
  }
  connection.in.append(buffer, static_cast<size_t>(got));
  connection.since = clock_.monotonic();
  while (connection.in.size() >= 2) {
    size_t length = static_cast<size_t>(static_cast<unsigned char>(connection.in[0])) << 8 |
                    static_cast<unsigned char>(connection.in[1]);
    if (connection.in.size() < length + 2) return;
    std::string message = connection.in.substr(2, length);
    connection.in.erase(0, length + 2);
    Asker asker;
    asker.tcp = true;
    asker.connection = id;
    handle(message, std::move(asker));
    if (!connections_.contains(id)) return;
  }
}

void DnsServer::handle(std::string_view message, Asker asker) {
  std::optional<Query> query = parse_query(message);
  if (!query || query->question.class_ != 1) {
    reply(asker, render_code(message, kNotImplemented));
    return;
  }
  if (std::optional<Answer> answer = zone_.answer(query->question)) {
    reply(asker, render(*query, *answer, !asker.tcp));
    return;
  }
  asker.query = message;
  forward(std::move(asker), 0);
}

std::vector<std::string> DnsServer::resolvers() const {
  Result<std::string> text = os::read_file(options_.resolv_conf);
  std::vector<std::string> out = text.ok() ? parse_resolv_conf(*text) : std::vector<std::string>();
  // A host that asks its own cluster first would send us round in circles.
  std::erase(out, options_.cluster_dns);
  return out;
}

void DnsServer::forward(Asker asker, size_t resolver) {
  std::vector<std::string> list = resolvers();
  if (resolver >= list.size() || asked_.size() >= kAskedMax) {
    reply(asker, render_code(asker.query, kServerFailure));
    return;
  }
  os::Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in to = socket_address(list[resolver], 53);
  bool sent = fd && connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 &&
              send(fd.get(), asker.query.data(), asker.query.size(), 0) > 0;
  if (!sent) {
    forward(std::move(asker), resolver + 1);
    return;
  }
  uint64_t id = next_id_++;
  if (!epoll_->add(fd.get(), EPOLLIN, id).ok()) return;
  asker.resolver = resolver;
  asker.since = clock_.monotonic();
  asked_.emplace(id, std::pair(std::move(fd), std::move(asker)));
}

void DnsServer::read_upstream(uint64_t id) {
  auto found = asked_.find(id);
  char buffer[4096];
  ssize_t got = recv(found->second.first.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  Asker asker = std::move(found->second.second);
  asked_.erase(found);
  bool right = got >= 12 && std::memcmp(buffer, asker.query.data(), 2) == 0;
  if (right) {
    reply(asker, {buffer, static_cast<size_t>(got)});
  } else {
    size_t next = asker.resolver + 1;
    forward(std::move(asker), next);
  }
}

void DnsServer::reply(const Asker& asker, std::string_view message) {
  if (message.empty()) return;
  if (!asker.tcp) {
    // A full buffer drops the answer, as a network may; the asker asks again.
    (void)!sendto(udp_.get(), message.data(), message.size(), 0,
                  reinterpret_cast<const sockaddr*>(asker.address.data()),
                  static_cast<socklen_t>(asker.address.size()));
    return;
  }
  auto found = connections_.find(asker.connection);
  if (found == connections_.end()) return;
  std::string framed;
  framed += static_cast<char>(message.size() >> 8);
  framed += static_cast<char>(message.size() & 255);
  framed += message;
  ssize_t sent = send(found->second.fd.get(), framed.data(), framed.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(framed.size())) connections_.erase(found);
}

void DnsServer::expire() {
  MonotonicTime now = clock_.monotonic();
  std::vector<uint64_t> late;
  for (const auto& [id, asked] : asked_) {
    if (now - asked.second.since > kResolverPatience) late.push_back(id);
  }
  for (uint64_t id : late) {
    Asker asker = std::move(asked_.at(id).second);
    asked_.erase(id);
    size_t next = asker.resolver + 1;
    forward(std::move(asker), next);
  }
  std::erase_if(connections_, [now](const auto& entry) {
    return now - entry.second.since > kConnectionPatience;
  });
}

}  // namespace wherry::dns
