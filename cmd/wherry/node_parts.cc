#include "node_parts.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "os/fd.h"
#include "os/process.h"

namespace wherry::command {
namespace {

// "runc://1.1.5": the first line of `runc --version` is "runc version 1.1.5+ds1".
std::string runtime_version(const container::Runtime& runtime) {
  Result<os::RunResult> ran =
      os::run({.args = {runtime.path, "--version"}, .path = runtime.path}, std::chrono::seconds(5));
  std::string_view text = ran.ok() ? std::string_view(ran->output) : std::string_view();
  size_t at = text.find("version ");
  if (at == std::string_view::npos) return runtime.name + "://unknown";
  text.remove_prefix(at + std::string_view("version ").size());
  return runtime.name + "://" + std::string(text.substr(0, text.find_first_of(" +\n")));
}

}  // namespace

std::string first_slice(const std::string& cluster_cidr) {
  auto parts = split_once(cluster_cidr, "/");
  if (!parts || parse_int(parts->second).value_or(24) >= 24) return cluster_cidr;
  return std::string(parts->first) + "/24";
}

std::map<std::string, std::string> labels_of(const std::vector<std::string>& flags) {
  std::map<std::string, std::string> out;
  for (const std::string& label : flags) {
    auto parts = split_once(label, "=");
    out[std::string(parts ? parts->first : label)] = parts ? parts->second : "";
  }
  return out;
}

void LocalNode::set(std::string name, client::NodeApi* api) {
  MutexLock lock(mutex_);
  name_ = std::move(name);
  api_ = api;
}

client::NodeApi* LocalNode::find(std::string_view node_name) {
  MutexLock lock(mutex_);
  return node_name == name_ ? api_ : nullptr;
}

Result<std::unique_ptr<NodeParts>> NodeParts::make(const ServerFlags& flags, const Role& role,
                                                   client::Client& client, client::Cache& cache,
                                                   const Clock& clock) {
  if (geteuid() != 0) {
    return Error::make(
        Code::kForbidden,
        "running pods needs root: use sudo, or --disable-agent for the control plane only");
  }
  std::unique_ptr<NodeParts> parts(new NodeParts());
  const std::string base = flags.data_dir + "/agent";
  TRY(os::make_directories(base, 0700));
  container::DriverConfig driver;
  driver.runtime_root = base + "/runc";
  driver.runtimes.push_back(TRY(container::find_runtime(flags.default_runtime)));
  for (std::string_view other : {"runc", "crun"}) {
    if (other == flags.default_runtime) continue;
    Result<container::Runtime> found = container::find_runtime(other);
    if (found.ok()) driver.runtimes.push_back(std::move(found).value());
  }
  std::string version = runtime_version(driver.runtimes.front());
  parts->images_ = TRY(container::ImageStore::open(base + "/images", clock));
  Result<void> own = container::import_self_image(*parts->images_);
  if (!own.ok()) log::warn("{}: {}", container::kSelfImageName, own.error().message());
  parts->driver_ = TRY(container::open_driver(std::move(driver), clock));
  parts->network_ = TRY(network::set_up_pod_network({.node_ip = flags.node_ip,
                                                     .pod_cidr = role.pod_cidr,
                                                     .cluster_cidr = flags.cluster_cidr,
                                                     .service_cidr = flags.service_cidr,
                                                     .ledger_dir = base + "/network"}));
  agent::AgentOptions options;
  options.node_name = flags.node_name;
  options.node_ip = flags.node_ip;
  options.data_dir = flags.data_dir;
  options.pod_cidr = role.pod_cidr;
  options.cluster_dns = {flags.cluster_dns};
  options.cluster_domain = flags.cluster_domain;
  options.node_labels = labels_of(flags.node_label);
  options.control_plane = role.control_plane;
  options.runtime_version = std::move(version);
  parts->agent_ = std::make_unique<agent::Agent>(
      options,
      agent::AgentParts{client, cache, *parts->images_, *parts->driver_, *parts->network_, clock});
  parts->proxy_ =
      std::make_unique<proxy::Proxy>(proxy::ProxyOptions{.node_name = flags.node_name,
                                                         .node_ip = flags.node_ip,
                                                         .pod_cidr = options.pod_cidr,
                                                         .cluster_cidr = flags.cluster_cidr,
                                                         .service_cidr = flags.service_cidr},
                                     cache);
  if (role.dns) {
    parts->dns_ =
        std::make_unique<dns::DnsServer>(dns::DnsOptions{.node_ip = flags.node_ip,
                                                         .cluster_cidr = flags.cluster_cidr,
                                                         .cluster_dns = flags.cluster_dns,
                                                         .domain = flags.cluster_domain},
                                         client, cache, clock);
  }
  parts->images_door_ = make_images_door(*parts->images_, flags.data_dir);
  return parts;
}

Result<void> NodeParts::start(bool cache_synced) {
  TRY(images_door_->start());
  if (cache_synced) TRY(proxy_->start());
  if (dns_ != nullptr) {
    // Pods run without names better than not at all.
    Result<void> started = dns_->start();
    if (!started.ok()) log::error("cluster DNS: {}", started.error().message());
  }
  return agent_->start(cache_synced);
}

Result<void> NodeParts::on_synced() {
  agent_->on_synced();
  return proxy_->start();
}

NodeParts::~NodeParts() {
  if (images_door_ != nullptr) images_door_->stop();
  if (agent_ != nullptr) agent_->stop();
  if (dns_ != nullptr) dns_->stop();
  if (proxy_ != nullptr) proxy_->stop();
}

}  // namespace wherry::command
