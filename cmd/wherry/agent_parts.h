#pragma once
// The parts of an agent process, in the order they are made; they stop in the reverse order. One
// thread, the main one, makes, runs and stops them.
//
//   <data-dir>/agent/tls/       who it is, see cluster/join_client.h
//   <data-dir>/agent/pod-cidr   its range of pod addresses, for a start without the server

#include <chrono>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "client/identity.h"
#include "client/remote_cache.h"
#include "client/remote_client.h"
#include "cluster/join_client.h"
#include "cluster/tunnel_client.h"
#include "daemon.h"
#include "flags.h"
#include "node_parts.h"
#include "os/poll.h"
#include "version.h"

namespace wherry::command {

class AgentParts {
 public:
  AgentParts(ServerFlags flags, Daemon& daemon);
  ~AgentParts();
  // False when a signal came while the server was waited for.
  Result<bool> start();
  // Until a signal comes.
  Result<void> run();

 private:
  cluster::JoinOptions join_options() const;
  Result<bool> join();
  Result<std::string> ask_pod_cidr();
  Result<std::string> pod_cidr();
  void make_cache();
  std::chrono::milliseconds keep_certificates();

  ServerFlags flags_;
  Daemon& daemon_;
  SystemClock clock_;
  os::Fd lock_;
  cluster::Joined joined_;
  std::unique_ptr<client::Identity> node_identity_;
  std::unique_ptr<client::Identity> proxy_identity_;
  std::unique_ptr<client::RemoteClient> client_;
  std::unique_ptr<os::EventFd> synced_event_;
  bool synced_ = false;
  std::unique_ptr<client::RemoteCache> cache_;
  std::unique_ptr<NodeParts> node_;
  std::unique_ptr<cluster::TunnelClient> tunnel_;
};

}  // namespace wherry::command
