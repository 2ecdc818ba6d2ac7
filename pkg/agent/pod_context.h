#pragma once
// PodContext: what every pod worker of a node shares. The members live longer than any worker;
// those that are objects take care of their own threads.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/admission.h"
#include "agent/events.h"
#include "agent/image_source.h"
#include "agent/keyed_pool.h"
#include "agent/pod_files.h"
#include "agent/probe.h"
#include "agent/resources.h"
#include "agent/status_writer.h"
#include "base/clock.h"
#include "client/client.h"
#include "container/sandbox.h"
#include "network/pod_network.h"

namespace wherry::agent {

// Tells when a sandbox has events to read.
class SandboxWatcher {
 public:
  virtual ~SandboxWatcher() = default;
  virtual void watch(const std::string& uid, std::shared_ptr<container::Sandbox> sandbox) = 0;
  virtual void unwatch(const std::string& uid) = 0;
};

struct PodContext {
  // Constant.
  std::string node_name;
  std::vector<std::string> host_ips;
  std::string pods_dir;    // <data-dir>/agent/pods
  std::string memory_dir;  // A tmpfs for secrets.
  std::string seccomp_dir;
  std::string cgroup_root = "/kubepods";
  DnsOptions dns;  // Without the host's resolv.conf, which is read anew for each pod.
  NodeResources allocatable;
  int64_t memory_capacity_bytes = 0;

  container::Driver& driver;
  ImageSource& images;
  network::PodNetwork& network;
  client::Client& client;
  const client::Lister& nodes;
  const client::Lister& config_maps;
  const client::Lister& secrets;
  const client::Lister& services;
  EventSink& events;
  StatusSink& statuses;
  ProbeRunner& probes;
  TaskRunner& tasks;  // Probes and hooks.
  TaskRunner& pulls;
  SandboxWatcher& watcher;
  AdmissionTable& admissions;
  const Clock& clock;
  std::function<void(const std::string& uid)> wake;  // Any thread: the worker shall run soon.
};

}  // namespace wherry::agent
