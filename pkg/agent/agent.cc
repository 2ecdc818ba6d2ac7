#include "agent/agent.h"

#include <algorithm>
#include <thread>

#include "agent/log_file.h"
#include "agent/static_pods.h"
#include "agent/streams.h"
#include "api/resource.h"
#include "base/log.h"
#include "os/file.h"
#include "os/mount.h"

namespace wherry::agent {
namespace {

constexpr int kTaskThreadsMax = 32;
constexpr int kPullThreadsMax = 3;
constexpr Duration kRoutesAgain = std::chrono::minutes(1);  // A link may come up.
constexpr Duration kLogLookEvery = std::chrono::minutes(1);

NodeFacts facts_from(const AgentOptions& options) {
  NodeFacts facts;
  facts.name = options.node_name;
  facts.ip = options.node_ip;
  facts.pod_cidr = options.pod_cidr;
  facts.control_plane = options.control_plane;
  facts.labels = options.node_labels;
  facts.kubelet_version = options.kubelet_version;
  if (!options.runtime_version.empty()) facts.runtime_version = options.runtime_version;
  read_node_facts(options.data_dir, &facts);
  return facts;
}

}  // namespace

namespace {

// Empty while the node has no address or no range yet.
std::optional<network::PeerNode> peer_of(const api::ObjectPtr& node) {
  if (node == nullptr) return std::nullopt;
  json::Document document = node->document();
  network::PeerNode out;
  out.name = node->name();
  out.pod_cidr = document.root()["spec"]["podCIDR"].as_string();
  for (json::Value address : document.root()["status"]["addresses"].items()) {
    if (address["type"].as_string() == "InternalIP" && out.ip.empty()) {
      out.ip = address["address"].as_string();
    }
  }
  if (out.pod_cidr.empty() || out.ip.empty()) return std::nullopt;
  return out;
}

std::string readiness_of(const api::ObjectPtr& pod) {
  if (pod == nullptr) return {};
  json::Document document = pod->document();
  for (json::Value condition : document.root()["status"]["conditions"].items()) {
    if (condition["type"].as_string() == "Ready") {
      return std::string(condition["status"].as_string());
    }
  }
  return {};
}

bool taken_for_lost(const api::Object& node) {
  json::Document document = node.document();
  for (json::Value condition : document.root()["status"]["conditions"].items()) {
    if (condition["type"].as_string() == "Ready") {
      return condition["status"].as_string() == "Unknown";
    }
  }
  return false;
}

}  // namespace

class Agent::Streams final : public NodeStreams {
 public:
  explicit Streams(Agent& agent) : NodeStreams(agent.parts_.clock), agent_(agent) {}

 protected:
  std::shared_ptr<const PodSnapshot> find(const client::ContainerRef& ref) override {
    return agent_.find_snapshot(ref);
  }
  std::string pod_dir(const PodSnapshot& pod) override {
    return agent_.context_.pods_dir + "/" + pod.uid;
  }

 private:
  Agent& agent_;
};

Agent::Agent(AgentOptions options, AgentParts parts)
    : options_(std::move(options)),
      agent_dir_(options_.data_dir + "/agent"),
      parts_(parts),
      pods_lister_(parts.cache.lister(api::resource("pods"))),
      nodes_lister_(parts.cache.lister(api::resource("nodes"))),
      images_(parts.images),
      events_(parts.client, parts.clock, options_.node_name),
      statuses_(parts.client, pods_lister_, parts.clock),
      tasks_("pod-task", kTaskThreadsMax),
      pulls_("image-pull", kPullThreadsMax),
      watch_(SandboxWatch::open().value()),
      node_(parts.client, parts.cache.lister(api::resource("nodes")), images_, events_, parts.clock,
            options_.data_dir, facts_from(options_)),
      context_{.node_name = options_.node_name,
               .host_ips = {options_.node_ip},
               .pods_dir = agent_dir_ + "/pods",
               .memory_dir = agent_dir_ + "/memory",
               .seccomp_dir = agent_dir_ + "/seccomp",
               .cgroup_root = options_.cgroup_root,
               .dns = {options_.cluster_dns, options_.cluster_domain, ""},
               .allocatable = allocatable_of(node_.facts()),
               .memory_capacity_bytes = node_.facts().memory_bytes,
               .driver = parts.driver,
               .images = images_,
               .network = parts.network,
               .client = parts.client,
               .nodes = parts.cache.lister(api::resource("nodes")),
               .config_maps = parts.cache.lister(api::resource("configmaps")),
               .secrets = parts.cache.lister(api::resource("secrets")),
               .services = parts.cache.lister(api::resource("services")),
               .events = events_,
               .statuses = statuses_,
               .probes = probes_,
               .tasks = tasks_,
               .pulls = pulls_,
               .watcher = *watch_,
               .admissions = admissions_,
               .clock = parts.clock,
               .wake = [this](const std::string& uid) { pool_.wake(uid); }},
      streams_(std::make_unique<Streams>(*this)),
      pool_("pod-worker", parts.clock, [this](const std::string& uid) { return run_pod(uid); }),
      chores_("agent", parts.clock, [this](const std::string& chore) { return run_chore(chore); }) {
  subscribe(parts.cache);
}

Agent::~Agent() { stop(); }

client::NodeApi& Agent::node_api() { return *streams_; }

void Agent::subscribe(client::Cache& cache) {
  cache.subscribe(api::resource("pods"), [this](const client::Change& change) { on_pod(change); });
  cache.subscribe(api::resource("configmaps"),
                  [this](const client::Change& change) { on_referenced(change, false); });
  cache.subscribe(api::resource("secrets"),
                  [this](const client::Change& change) { on_referenced(change, true); });
  cache.subscribe(api::resource("nodes"), [this](const client::Change& change) {
    const api::ObjectPtr& node = change.after != nullptr ? change.after : change.before;
    if (node->name() == options_.node_name) {
      // Deleted, or taken for lost while we were not heard: look at once.
      if (change.after == nullptr || taken_for_lost(*change.after)) chores_.wake("node");
    } else if (peer_of(change.before) != peer_of(change.after)) {
      chores_.wake("routes");
    }
  });
}

// Routes to the pods of the other nodes. Without a cache that knows them all nothing is removed.
std::optional<MonotonicTime> Agent::keep_routes() {
  {
    MutexLock lock(mutex_);
    if (!synced_) return std::nullopt;
  }
  std::vector<network::PeerNode> peers;
  for (const api::ObjectPtr& node : nodes_lister_.list("")) {
    if (node->name() == options_.node_name) continue;
    if (std::optional<network::PeerNode> peer = peer_of(node)) peers.push_back(*std::move(peer));
  }
  Result<void> done = parts_.network.set_peers(peers);
  std::string complaint = done.ok() ? std::string() : done.error().message();
  if (!complaint.empty() && complaint != route_complaint_) log::warn("routes: {}", complaint);
  route_complaint_ = complaint;
  if (done.ok()) return std::nullopt;
  return parts_.clock.monotonic() + kRoutesAgain;
}

Result<void> Agent::start(bool cache_synced) {
  TRY(os::make_directories(context_.pods_dir, 0755));
  TRY(os::change_mode(agent_dir_, 0711));
  TRY(os::make_directories(context_.memory_dir, 0711));
  if (!os::is_mount_point(context_.memory_dir)) {
    // Without the right to mount (a test's data dir) the folder itself has to do.
    Result<void> mounted = os::mount_tmpfs(context_.memory_dir, 0, 0711);
    if (!mounted.ok()) log::warn("secrets are kept on disk: {}", mounted.error().message());
  }
  events_.start();
  watch_->start([this](const std::string& uid) { pool_.wake(uid); });
  load_disk_pods();
  load_static_pods();
  if (cache_synced) on_synced();
  statuses_.start(2);
  pool_.start(static_cast<int>(std::max(2u, std::thread::hardware_concurrency())));
  for (std::string_view chore : {"lease", "node", "logs"}) chores_.wake(chore);
  chores_.start(1);
  return {};
}

void Agent::on_synced() {
  {
    MutexLock lock(mutex_);
    synced_ = true;
    for (auto& [uid, entry] : pods_) {
      if (entry.seen || entry.is_static) continue;
      // Its change notice may still be on the way; the lister knows already.
      client::ObjectPtr pod = pods_lister_.find(entry.ns, entry.name);
      if (pod != nullptr && pod->uid() == uid) {
        entry.worker->set_wanted(pod);
      } else {
        entry.worker->set_gone();
      }
      pool_.wake(uid);
    }
  }
  drop_stale_addresses();
  chores_.wake("routes");
}

void Agent::stop() {
  chores_.stop();
  pool_.stop();
  pulls_.stop();
  tasks_.stop();
  if (watch_ != nullptr) watch_->stop();
  statuses_.stop();
  events_.stop();
}

void Agent::on_pod(const client::Change& change) {
  if (change.after == nullptr) {
    std::string uid(change.before->uid());
    if (std::shared_ptr<PodWorker> worker = find(uid)) {
      worker->set_gone();
      pool_.wake(uid);
    }
    return;
  }
  {
    json::Document document = change.after->document();
    if (document.root()["spec"]["nodeName"].as_string() != options_.node_name) return;
  }
  std::string uid(change.after->uid());
  MutexLock lock(mutex_);
  auto found = pods_.find(uid);
  if (found == pods_.end()) {
    add_worker(change.after, false);
  } else {
    found->second.seen = true;
    found->second.references = references_of(Pod(change.after));
    found->second.worker->set_wanted(change.after);
    // Pods of a node that was taken for lost are marked not ready, which only this node knows
    // better.
    if (change.before != nullptr && readiness_of(change.before) != readiness_of(change.after)) {
      statuses_.look_again(uid);
    }
  }
  pool_.wake(uid);
}

void Agent::on_referenced(const client::Change& change, bool secret) {
  const api::ObjectPtr& object = change.after != nullptr ? change.after : change.before;
  std::string name(object->name());
  MutexLock lock(mutex_);
  for (auto& [uid, entry] : pods_) {
    if (entry.ns != object->ns()) continue;
    const auto& names = secret ? entry.references.secrets : entry.references.config_maps;
    if (!names.contains(name)) continue;
    entry.worker->refresh_volumes();
    pool_.wake(uid);
  }
}

void Agent::add_worker(const api::ObjectPtr& object, bool from_disk) {
  Entry entry;
  Pod pod(object);
  entry.worker = std::make_shared<PodWorker>(context_, object);
  entry.references = references_of(pod);
  entry.ns = pod.ns();
  entry.name = pod.name();
  entry.seen = !from_disk;
  entry.is_static = pod.is_static();
  pods_[std::string(object->uid())] = std::move(entry);
}

std::shared_ptr<PodWorker> Agent::find(const std::string& uid) const {
  MutexLock lock(mutex_);
  auto found = pods_.find(uid);
  return found == pods_.end() ? nullptr : found->second.worker;
}

std::shared_ptr<const PodSnapshot> Agent::find_snapshot(const client::ContainerRef& ref) const {
  MutexLock lock(mutex_);
  for (const auto& [uid, entry] : pods_) {
    if (!ref.uid.empty() && uid != ref.uid) continue;
    std::shared_ptr<const PodSnapshot> snapshot = entry.worker->snapshot();
    if (snapshot != nullptr && snapshot->ns == ref.ns && snapshot->name == ref.pod) return snapshot;
  }
  return nullptr;
}

std::optional<MonotonicTime> Agent::run_pod(const std::string& uid) {
  std::shared_ptr<PodWorker> worker = find(uid);
  if (worker == nullptr) return std::nullopt;
  std::optional<MonotonicTime> next = worker->pass();
  if (!worker->done()) return next;
  MutexLock lock(mutex_);
  pods_.erase(uid);
  return std::nullopt;
}

std::optional<MonotonicTime> Agent::run_chore(const std::string& chore) {
  if (chore == "lease") return node_.keep_lease();
  if (chore == "routes") return keep_routes();
  if (chore == "node") return node_.keep_status();
  rotate_logs();
  return parts_.clock.monotonic() + kLogLookEvery;
}

void Agent::load_disk_pods() {
  Result<std::vector<std::string>> names = os::list_directory(context_.pods_dir);
  if (!names.ok()) return;
  for (const std::string& uid : *names) {
    std::string path = context_.pods_dir + "/" + uid;
    Result<std::string> text = os::read_file(path + "/pod.json");
    Result<api::ObjectPtr> pod = Error::not_found("no pod.json");
    if (text.ok()) pod = api::Object::parse(std::move(*text));
    MutexLock lock(mutex_);
    if (pods_.contains(uid)) continue;
    if (!pod.ok() || (*pod)->uid() != uid) {
      log::warn("{}: left behind and unreadable; removed", path);
      (void)!os::remove_tree(path).ok();
      continue;
    }
    add_worker(*pod, true);
    pool_.wake(uid);
  }
}

void Agent::load_static_pods() {
  for (const api::ObjectPtr& pod :
       read_static_pods(agent_dir_ + "/manifests", options_.node_name)) {
    MutexLock lock(mutex_);
    std::string uid(pod->uid());
    if (!pods_.contains(uid)) add_worker(pod, true);
    pool_.wake(uid);
  }
}

void Agent::drop_stale_addresses() {
  for (const network::PodAddress& address : parts_.network.addresses()) {
    if (find(address.uid) != nullptr) continue;
    Result<void> done = parts_.network.detach(address.uid);
    if (!done.ok()) log::warn("address {}: {}", address.ip, done.error().message());
  }
}

void Agent::rotate_logs() {
  std::vector<std::shared_ptr<const PodSnapshot>> pods;
  {
    MutexLock lock(mutex_);
    for (const auto& [uid, entry] : pods_) {
      if (auto snapshot = entry.worker->snapshot()) pods.push_back(std::move(snapshot));
    }
  }
  for (const auto& pod : pods) {
    if (pod->sandbox == nullptr) continue;
    for (const PodSnapshot::Container& container : pod->containers) {
      if (container.state != RunState::kRunning) continue;
      std::string path = PodWorker::log_path(context_.pods_dir + "/" + pod->uid, container.name,
                                             container.attempt);
      Result<bool> moved = rotate_log(path, options_.log_bytes_max, options_.log_files_max);
      Result<void> done;
      if (moved.ok() && *moved) done = pod->sandbox->reopen_log(container.id);
      if (!moved.ok()) done = std::move(moved).error();
      if (!done.ok()) log::warn("log of {}: {}", container.id, done.error().message());
    }
  }
}

Result<void> Agent::remove_all_pods(const std::string& data_dir, container::Driver& driver,
                                    network::PodNetwork* network) {
  std::string pods_dir = data_dir + "/agent/pods";
  Result<void> first;
  auto note = [&](Result<void> done) {
    if (!done.ok() && first.ok()) first = std::move(done);
  };
  Result<std::vector<std::string>> names = os::list_directory(pods_dir);
  for (const std::string& uid : names.value_or(std::vector<std::string>())) {
    Result<std::unique_ptr<container::Sandbox>> sandbox =
        driver.adopt(pods_dir + "/" + uid + "/sandbox");
    if (sandbox.ok()) note((*sandbox)->remove());
    if (network != nullptr) note(network->detach(uid));
    note(os::remove_tree(pods_dir + "/" + uid));
  }
  if (os::is_mount_point(data_dir + "/agent/memory")) {
    note(os::unmount(data_dir + "/agent/memory"));
  }
  return first;
}

}  // namespace wherry::agent
