// wherry agent: joins a server, then runs this machine's pods. What it needs of the server it keeps
// on disk, so that it starts without it too.

#include <cstdio>
#include <cstdlib>

#include "agent/node_status.h"
#include "agent/payload.h"
#include "agent/pod.h"
#include "agent_parts.h"
#include "base/log.h"
#include "base/strings.h"
#include "cluster/node_address.h"
#include "commands.h"
#include "os/file.h"

namespace wherry::command {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kCachePatience{5'000};  // Then pods start from what is on disk.
constexpr milliseconds kAskAgain{3'000};
constexpr milliseconds kRangePause{200};
constexpr std::chrono::hours kRenewalLook{12};
constexpr std::chrono::hours kRenewAgain{1};

int fail(const Error& error) {
  std::fprintf(stderr, "wherry agent: %s\n", error.message().c_str());
  return 1;
}

Result<void> complete(ServerFlags& flags) {
  if (flags.server.empty()) {
    if (const char* url = std::getenv("WHERRY_URL")) flags.server = url;
  }
  while (flags.server.ends_with('/')) flags.server.pop_back();
  if (!flags.server.starts_with("https://")) {
    return Error::invalid(
        "--server (or WHERRY_URL) must name the server to join, such as "
        "https://server:6443");
  }
  if (flags.node_name.empty()) flags.node_name = cluster::detect_node_name();
  if (flags.node_ip.empty()) flags.node_ip = cluster::detect_node_ip();
  return {};
}

http::ClientOptions options_of(const cluster::Joined& joined, const cluster::KeyPair& pair) {
  http::ClientOptions out;
  out.ca_pem = joined.server_ca_pem;
  out.certificate_pem = pair.certificate_pem;
  out.key_pem = pair.key_pem;
  return out;
}

std::vector<client::ObjectRef> references_of(const api::Object& pod) {
  // Object's own pointers are shared, so the view takes a copy of the bytes.
  Result<api::ObjectPtr> copy = api::Object::parse(pod.json());
  std::vector<client::ObjectRef> out;
  if (!copy.ok()) return out;
  agent::References names = agent::references_of(agent::Pod(*copy));
  std::string ns(pod.ns());
  for (const auto& [name, mounted] : names.config_maps) out.push_back({"configmaps", ns, name});
  for (const auto& [name, mounted] : names.secrets) out.push_back({"secrets", ns, name});
  return out;
}

bool no_answer(const Error& error) {
  return error.is(Code::kUnavailable) || error.is(Code::kTimeout);
}

}  // namespace

AgentParts::AgentParts(ServerFlags flags, Daemon& daemon)
    : flags_(std::move(flags)), daemon_(daemon) {}

AgentParts::~AgentParts() {
  if (tunnel_ != nullptr) tunnel_->stop();
  node_.reset();
  if (cache_ != nullptr) cache_->stop();
  unlock_data_dir(lock_);
}

cluster::JoinOptions AgentParts::join_options() const {
  return {flags_.data_dir + "/agent/tls", flags_.server, flags_.token, flags_.node_name};
}

// False when a signal came while the server was waited for.
Result<bool> AgentParts::join() {
  Result<cluster::Joined> joined = cluster::load_joined(join_options(), clock_);
  bool said = false;
  while (!joined.ok()) {
    joined = cluster::join(join_options(), nullptr, clock_);
    if (joined.ok()) break;
    if (!no_answer(joined.error())) return std::move(joined).error();
    if (!said) log::warn("join: {}; trying again", joined.error().message());
    said = true;
    if (TRY(daemon_.wait(-1, kAskAgain)) == Daemon::Woken::kSignal) return false;
  }
  joined_ = std::move(joined).value();
  flags_.cluster_cidr = joined_.network.cluster_cidr;
  flags_.service_cidr = joined_.network.service_cidr;
  flags_.cluster_dns = joined_.network.cluster_dns;
  flags_.cluster_domain = joined_.network.cluster_domain;
  node_identity_ = std::make_unique<client::Identity>(options_of(joined_, joined_.node));
  proxy_identity_ = std::make_unique<client::Identity>(options_of(joined_, joined_.proxy));
  client_ = std::make_unique<client::RemoteClient>(flags_.server, *node_identity_);
  return true;
}

// Makes this machine's Node if it is not there; its range of pod addresses, once it has one.
Result<std::string> AgentParts::ask_pod_cidr() {
  const api::Resource& nodes = api::resource("nodes");
  Result<client::ObjectPtr> node = client_->get(nodes, "", flags_.node_name);
  if (!node.ok() && node.error().is(Code::kNotFound)) {
    agent::NodeFacts facts;
    facts.name = flags_.node_name;
    facts.ip = flags_.node_ip;
    facts.labels = labels_of(flags_.node_label);
    agent::read_node_facts(flags_.data_dir, &facts);
    json::Document wanted = agent::node_object(facts).freeze();
    node = client_->create(nodes, "", wanted.root());
  }
  if (!node.ok()) return std::move(node).error();
  json::Document document = (*node)->document();
  return std::string(document.root()["spec"]["podCIDR"].as_string());
}

// Empty when a signal came meanwhile. Without the server the range of the last run is good.
Result<std::string> AgentParts::pod_cidr() {
  std::string path = flags_.data_dir + "/agent/pod-cidr";
  std::string kept(trim(os::read_file(path).value_or(std::string())));
  bool said = false;
  while (true) {
    Result<std::string> range = ask_pod_cidr();
    if (range.ok() && !range->empty()) {
      if (*range != kept) TRY(os::write_file_atomic(path, *range + "\n", 0644));
      return range;
    }
    if (!range.ok() && !no_answer(range.error())) return range;
    if (!range.ok() && !kept.empty()) {
      log::warn("{}; starting with what is on disk", range.error().message());
      return kept;
    }
    if (!said && !range.ok()) log::warn("{}; trying again", range.error().message());
    said = true;
    milliseconds pause = range.ok() ? kRangePause : kAskAgain;
    if (TRY(daemon_.wait(-1, pause)) == Daemon::Woken::kSignal) return std::string();
  }
}

void AgentParts::make_cache() {
  client::RemoteCacheOptions options;
  options.server = flags_.server;
  options.patience = kCachePatience;
  options.references = &references_of;
  // What a node may read, and no more: see the Node authoriser.
  options.rules = {
      {.resource = "pods", .field_selector = "spec.nodeName=" + flags_.node_name},
      {.resource = "secrets", .by_reference = true},
      {.resource = "configmaps", .by_reference = true},
      {.resource = "nodes", .identity = proxy_identity_.get()},
      {.resource = "services", .identity = proxy_identity_.get()},
      {.resource = "endpointslices.discovery.k8s.io", .identity = proxy_identity_.get()},
  };
  cache_ = std::make_unique<client::RemoteCache>(std::move(options), *node_identity_, *client_);
  cache_->when_synced([this] { synced_event_->signal(); });
}

Result<bool> AgentParts::start() {
  TRY(complete(flags_));
  lock_ = TRY(lock_data_dir(flags_.data_dir));
  if (!TRY(join())) return false;
  NodeParts::Role role;
  role.pod_cidr = TRY(pod_cidr());
  if (role.pod_cidr.empty()) return false;
  synced_event_ = std::make_unique<os::EventFd>(TRY(os::EventFd::open()));
  make_cache();
  node_ = TRY(NodeParts::make(flags_, role, *client_, *cache_, clock_));
  Result<void> listed = cache_->start();
  if (!listed.ok()) log::warn("{}; pods start from what is on disk", listed.error().message());
  TRY(node_->start(listed.ok()));
  synced_ = listed.ok();
  tunnel_ = std::make_unique<cluster::TunnelClient>(flags_.server, *node_identity_, node_->api());
  TRY(tunnel_->start());
  log::info("wherry {} is node {} of {}", version(), flags_.node_name, flags_.server);
  return true;
}

// How long until the certificates should be looked at again.
milliseconds AgentParts::keep_certificates() {
  using std::chrono::ceil;
  if (clock_.now() >= joined_.renew_at) {
    Result<cluster::Joined> renewed = cluster::join(join_options(), &joined_, clock_);
    if (!renewed.ok()) {
      log::warn("renewing certificates: {}", renewed.error().message());
      return kRenewAgain;
    }
    joined_ = std::move(renewed).value();
    node_identity_->set(options_of(joined_, joined_.node));
    proxy_identity_->set(options_of(joined_, joined_.proxy));
  }
  milliseconds left = ceil<milliseconds>(joined_.renew_at - clock_.now());
  return std::clamp<milliseconds>(left, milliseconds(1000), kRenewalLook);
}

Result<void> AgentParts::run() {
  while (true) {
    int fd = synced_ ? -1 : synced_event_->fd();
    Daemon::Woken woken = TRY(daemon_.wait(fd, keep_certificates()));
    if (woken == Daemon::Woken::kSignal) return {};
    if (woken != Daemon::Woken::kDescriptor) continue;
    synced_ = true;
    TRY(node_->on_synced());
  }
}

int run_agent(int argc, const char* const* argv) {
  Result<ServerFlags> flags = parse_flags(Role::kAgent, argc, argv);
  if (!flags.ok() && flags.error().is(Code::kNotFound)) {
    std::puts(flags.error().message().c_str());
    return 0;
  }
  if (!flags.ok()) return fail(flags.error());
  Result<Daemon> daemon = Daemon::begin(flags->log_level);
  if (!daemon.ok()) return fail(daemon.error());
  AgentParts parts(std::move(*flags), *daemon);
  Result<bool> started = parts.start();
  if (!started.ok()) return fail(started.error());
  if (!*started) return 0;
  Result<void> ran = parts.run();
  return ran.ok() ? 0 : fail(ran.error());
}

}  // namespace wherry::command
