#pragma once
// Agent: the node's part of the cluster. It keeps this machine's Node and Lease, runs the pods that
// are assigned to it, and answers for their logs and processes.
//
//   <data-dir>/agent/pods/UID/   pod.json, record.json, sandbox/, volumes/, etc/, logs/,
//   containers/ <data-dir>/agent/memory/     a tmpfs: secrets and tokens of all pods
//   <data-dir>/agent/manifests/  static pods, read at start
//   <data-dir>/agent/seccomp/    Localhost profiles
//
// The constructor subscribes to the cache, so it comes before the cache is started; start() comes
// after. stop() lets go of everything and leaves the pods running; a later Agent takes them over.
//
// Threads: pod workers (one per core, at least two), status writers (2), chores (1), reaper (1),
// events (1), tasks and pulls on demand.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/admission.h"
#include "agent/events.h"
#include "agent/image_source.h"
#include "agent/keyed_pool.h"
#include "agent/node_keeper.h"
#include "agent/pod_context.h"
#include "agent/pod_worker.h"
#include "agent/probe_runner.h"
#include "agent/sandbox_watch.h"
#include "agent/status_writer.h"
#include "base/mutex.h"
#include "client/client.h"
#include "client/node_api.h"
#include "container/image.h"
#include "container/sandbox.h"
#include "network/pod_network.h"

namespace wherry::agent {

struct AgentOptions {
  std::string node_name;
  std::string node_ip;
  std::string data_dir;  // /var/lib/wherry
  std::string pod_cidr;  // This node's.
  std::vector<std::string> cluster_dns;
  std::string cluster_domain = "cluster.local";
  std::map<std::string, std::string> node_labels;
  bool control_plane = false;
  std::string kubelet_version = "v1.36.3+wherry";
  std::string runtime_version;            // "runc://1.1.5"
  std::string cgroup_root = "/kubepods";  // Differs where two agents share a machine.
  uint64_t log_bytes_max = 10 << 20;
  int log_files_max = 5;
};

// What the agent is given; all of it outlives the agent.
struct AgentParts {
  client::Client& client;
  client::Cache& cache;
  container::ImageStore& images;
  container::Driver& driver;
  network::PodNetwork& network;
  const Clock& clock;
};

class Agent {
 public:
  Agent(AgentOptions options, AgentParts parts);
  ~Agent();

  // Takes over what an earlier run left, then works. With the cache synced, pods on disk that the
  // API no longer knows are taken away; without (no server yet) they run until on_synced().
  Result<void> start(bool cache_synced = true);
  void on_synced();
  void stop();

  client::NodeApi& node_api();

  // For `stop --workloads` and uninstall, on a stopped agent's data: ends all pods of the data dir
  // and takes away their sandboxes and mounts.
  static Result<void> remove_all_pods(const std::string& data_dir, container::Driver& driver,
                                      network::PodNetwork* network);

 private:
  class Streams;  // The NodeApi.

  void subscribe(client::Cache& cache);
  void on_pod(const client::Change& change) EXCLUDES(mutex_);
  void on_referenced(const client::Change& change, bool secret) EXCLUDES(mutex_);
  void add_worker(const api::ObjectPtr& pod, bool from_disk) REQUIRES(mutex_);
  std::shared_ptr<PodWorker> find(const std::string& uid) const EXCLUDES(mutex_);
  std::shared_ptr<const PodSnapshot> find_snapshot(const client::ContainerRef& ref) const
      EXCLUDES(mutex_);
  std::optional<MonotonicTime> run_pod(const std::string& uid) EXCLUDES(mutex_);
  std::optional<MonotonicTime> run_chore(const std::string& chore);
  std::optional<MonotonicTime> keep_routes() EXCLUDES(mutex_);
  void load_disk_pods() EXCLUDES(mutex_);
  void load_static_pods() EXCLUDES(mutex_);
  void drop_stale_addresses() EXCLUDES(mutex_);
  void rotate_logs() EXCLUDES(mutex_);

  const AgentOptions options_;
  const std::string agent_dir_;
  AgentParts parts_;
  const client::Lister& pods_lister_;
  const client::Lister& nodes_lister_;

  StoredImages images_;
  AdmissionTable admissions_;
  EventQueue events_;
  StatusWriter statuses_;
  NetworkProbeRunner probes_;
  ThreadTaskRunner tasks_;
  ThreadTaskRunner pulls_;
  std::unique_ptr<SandboxWatch> watch_;
  NodeKeeper node_;
  PodContext context_;

  struct Entry {
    std::shared_ptr<PodWorker> worker;
    References references;
    std::string ns, name;
    bool seen = false;  // In the API.
    bool is_static = false;
  };
  mutable Mutex mutex_;
  std::map<std::string, Entry> pods_ GUARDED_BY(mutex_);  // By UID.
  bool synced_ GUARDED_BY(mutex_) = false;

  std::unique_ptr<Streams> streams_;
  KeyedPool pool_;               // Pods.
  std::string route_complaint_;  // Of the chore "routes": says a fault once.
  KeyedPool chores_;             // "lease", "node", "logs", "routes".
};

}  // namespace wherry::agent
