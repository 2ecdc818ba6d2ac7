#include "proxy/proxy.h"

#include <linux/netlink.h>

#include <algorithm>
#include <chrono>

#include "api/resource.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/thread.h"
#include "network/host_rules.h"
#include "network/pod_network.h"
#include "os/netlink.h"
#include "proxy/services.h"

namespace wherry::proxy {
namespace {

constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr uint64_t kWake = 0;
constexpr uint64_t kMonitor = 1;
constexpr std::chrono::milliseconds kRetryFirst{500};
constexpr std::chrono::milliseconds kRetryMax{30'000};

ServiceKey service_of(const api::Object& slice) {
  return {std::string(slice.ns()), std::string(slice.label(kServiceName))};
}

}  // namespace

Proxy::Proxy(ProxyOptions options, client::Cache& cache)
    : options_(std::move(options)),
      services_(cache.lister(api::resource("services"))),
      slices_(cache.lister(api::resource("endpointslices.discovery.k8s.io"))) {
  auto wake = os::EventFd::open();
  CHECK(wake.ok());  // Out of descriptors at start: nothing else would work either.
  wake_.emplace(std::move(wake).value());
  cache.subscribe(api::resource("services"),
                  [this](const client::Change& change) { service_changed(change); });
  cache.subscribe(api::resource("endpointslices.discovery.k8s.io"),
                  [this](const client::Change& change) { slice_changed(change); });
}

Proxy::~Proxy() { stop(); }

void Proxy::mark(const ServiceKey& key) {
  if (changed_.empty()) wake_->signal();
  changed_.insert(key);
}

void Proxy::service_changed(const client::Change& change) {
  const api::ObjectPtr& object = change.after ? change.after : change.before;
  MutexLock lock(mutex_);
  mark({std::string(object->ns()), std::string(object->name())});
}

void Proxy::slice_changed(const client::Change& change) {
  MutexLock lock(mutex_);
  if (change.before) {
    ServiceKey key = service_of(*change.before);
    auto at = slices_of_.find(key);
    if (at != slices_of_.end()) {
      at->second.erase(std::string(change.before->name()));
      if (at->second.empty()) slices_of_.erase(at);
    }
    mark(key);
  }
  if (change.after && !change.after->label(kServiceName).empty()) {
    ServiceKey key = service_of(*change.after);
    slices_of_[key].insert(std::string(change.after->name()));
    mark(key);
  }
}

Result<void> Proxy::start() {
  auto node = Ipv4::parse(options_.node_ip);
  if (!node) {
    return Error::invalid("node address {} is not an IPv4 address", quote(options_.node_ip));
  }
  Cidr pods = TRY(Cidr::parse(options_.pod_cidr));
  RulesOptions rules;
  rules.node = network::node_source(*node, pods);
  rules.cluster = TRY(Cidr::parse(options_.cluster_cidr));
  rules.services = TRY(Cidr::parse(options_.service_cidr));
  os::NetlinkSocket socket = TRY(os::NetlinkSocket::open(NETLINK_NETFILTER));
  monitor_.emplace(TRY(network::NftMonitor::open()));
  table_.emplace(rules, std::move(socket));
  std::set<ServiceKey> first;
  {
    MutexLock lock(mutex_);
    first.swap(changed_);
  }
  take_changes(std::move(first));
  TRY(table_->rebuild());
  drop_stale_flows();
  thread_ = start_thread("proxy", [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void Proxy::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  wake_->signal();
  thread_.join();
}

std::vector<Entry> Proxy::look_up(const ServiceKey& key) {
  api::ObjectPtr service = services_.find(key.first, key.second);
  if (service == nullptr) return {};
  std::set<std::string> names;
  {
    MutexLock lock(mutex_);
    auto at = slices_of_.find(key);
    if (at != slices_of_.end()) names = at->second;
  }
  std::vector<json::Document> documents;
  std::vector<json::Value> roots;
  for (const std::string& name : names) {
    api::ObjectPtr slice = slices_.find(key.first, name);
    if (slice == nullptr) continue;  // Gone meanwhile; its notice is on the way.
    documents.push_back(slice->document());
    roots.push_back(documents.back().root());
  }
  json::Document document = service->document();
  return entries_of(document.root(), roots, options_.node_name);
}

void Proxy::take_changes(std::set<ServiceKey> keys) {
  while (!keys.empty()) {
    ServiceTable::Wanted wanted;
    for (const ServiceKey& key : keys) wanted[key] = look_up(key);
    keys = table_->want(wanted);
  }
}

bool Proxy::synchronise(bool lost) {
  std::set<ServiceKey> keys;
  {
    MutexLock lock(mutex_);
    keys.swap(changed_);
  }
  take_changes(std::move(keys));
  Result<void> done;
  if (!lost) done = table_->program();
  if (!done.ok()) log::debug("proxy: {}; programming everything anew", done.error().message());
  if (lost || !done.ok()) done = table_->rebuild();
  if (!done.ok()) {
    log::error("proxy: {}", done.error().message());
    return false;
  }
  drop_stale_flows();
  return true;
}

// A kernel that does not let us at its flows is no reason to program the rules again.
void Proxy::drop_stale_flows() {
  if (auto done = table_->drop_stale_flows(); !done.ok()) {
    log::warn("proxy: old UDP flows stay until they end: {}", done.error().message());
  }
}

void Proxy::run(const std::stop_token& stop) {
  auto epoll = os::Epoll::open();
  if (!epoll.ok() || !epoll->add(wake_->fd(), EPOLLIN, kWake).ok() ||
      !epoll->add(monitor_->fd(), EPOLLIN, kMonitor).ok()) {
    log::error("proxy: cannot wait for changes; Services stay as they are until a restart");
    return;
  }
  bool behind = false;
  auto retry = kRetryFirst;
  while (!stop.stop_requested()) {
    auto limit = behind ? std::optional(retry) : std::nullopt;
    auto events = epoll->wait(limit);
    if (stop.stop_requested()) return;
    bool lost = behind;
    for (const auto& event : events.value_or(std::vector<os::Epoll::Event>())) {
      if (event.tag == kWake) wake_->clear();
      if (event.tag != kMonitor) continue;
      auto flushed = monitor_->lost(network::kServiceTable, table_->port());
      if (flushed.ok() && !*flushed) continue;
      log::warn("proxy: somebody removed nftables rules; putting them back");
      lost = true;
    }
    behind = !synchronise(lost);
    retry = behind ? std::min(retry * 2, kRetryMax) : kRetryFirst;
  }
}

}  // namespace wherry::proxy
