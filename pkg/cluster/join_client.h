#pragma once
// The agent's side of joining, and what it keeps of it:
//
//   <dir>/server-ca.crt          whom it trusts
//   <dir>/node.crt, node.key     who it is: system:node:<name>
//   <dir>/proxy.crt, proxy.key   who its Service proxy is: system:kube-proxy
//   <dir>/password               what holds its name
//   <dir>/cluster.json           the cluster's ranges, for a start without the server
//
// Keys never leave the machine. One thread.

#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cluster/credentials.h"
#include "cluster/join.h"

namespace wherry::cluster {

struct JoinOptions {
  std::string directory;  // <data-dir>/agent/tls
  std::string server;     // "https://host:port"
  std::string token;      // Needed the first time.
  std::string node_name;
};

struct Joined {
  std::string server_ca_pem;
  KeyPair node;
  KeyPair proxy;
  ClusterNetwork network;
  Time renew_at{};  // When two thirds of the certificates' life are over.
};

// What an earlier run got, if it is still good and of the cluster that the token names; asks
// nobody.
Result<Joined> load_joined(const JoinOptions& options, const Clock& clock);
// Asks the server once: with the certificate of `renewed` when given, else with the token.
// kUnavailable and kTimeout: there was no answer, try again; anything else stays wrong.
Result<Joined> join(const JoinOptions& options, const Joined* renewed, const Clock& clock,
                    std::stop_token stop = {});

}  // namespace wherry::cluster
