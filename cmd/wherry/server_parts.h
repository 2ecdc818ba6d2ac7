#pragma once
// The parts of a server process, in the order they are made; they stop in the reverse order. One
// thread, the main one, makes and stops them.

#include <memory>
#include <string>

#include "apiserver/server.h"
#include "base/clock.h"
#include "base/result.h"
#include "client/client.h"
#include "cluster/certificate_keeper.h"
#include "cluster/credentials.h"
#include "cluster/join.h"
#include "cluster/secrets_encryption.h"
#include "cluster/tunnel_server.h"
#include "control_door.h"
#include "controller/runtime.h"
#include "flags.h"
#include "join_pages.h"
#include "node_parts.h"
#include "os/fd.h"
#include "scheduler/scheduler.h"
#include "store/store.h"

namespace wherry::command {

// Each controller acts as its own ServiceAccount, so that audit and managed fields tell them apart.
class LocalClients final : public controller::ClientFactory {
 public:
  explicit LocalClients(apiserver::ApiServer& server) : server_(server) {}
  client::Client& client_for(std::string_view controller) override;

 private:
  apiserver::ApiServer& server_;
  std::vector<std::unique_ptr<client::Client>> clients_;
};

// This process' own node, else one that joined.
class AllNodes final : public client::NodeDirectory {
 public:
  AllNodes(client::NodeDirectory& own, client::NodeDirectory& joined)
      : own_(own), joined_(joined) {}
  client::NodeApi* find(std::string_view node_name) override {
    client::NodeApi* found = own_.find(node_name);
    return found != nullptr ? found : joined_.find(node_name);
  }

 private:
  client::NodeDirectory& own_;
  client::NodeDirectory& joined_;
};

class ServerParts {
 public:
  explicit ServerParts(ServerFlags flags) : flags_(std::move(flags)) {}
  ~ServerParts();
  Result<void> start();

 private:
  Result<void> open_store();
  Result<void> start_audit();
  Result<void> start_api();
  Result<void> start_components();
  Result<void> write_kubeconfig(const cluster::Credentials& from);
  void use_renewed(const cluster::Credentials& fresh);
  cluster::CredentialSpec credential_spec() const;
  std::string token_path() const { return flags_.data_dir + "/server/token"; }

  ServerFlags flags_;
  SystemClock clock_;
  os::Fd lock_;
  std::string token_;
  std::unique_ptr<cluster::Credentials> credentials_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<cluster::SecretsEncryption> secrets_;
  std::unique_ptr<cluster::CertificateKeeper> certificates_;
  std::unique_ptr<Door> control_door_;
  LocalNode local_node_;
  cluster::TunnelServer tunnels_;
  AllNodes nodes_{local_node_, tunnels_};
  std::unique_ptr<client::Client> join_client_;
  std::unique_ptr<cluster::JoinServer> join_;
  std::unique_ptr<apiserver::AuditLog> audit_log_;
  std::unique_ptr<apiserver::Auditor> auditor_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::unique_ptr<LocalClients> clients_;
  std::unique_ptr<client::Cache> cache_;
  std::unique_ptr<client::Client> scheduler_client_;
  std::unique_ptr<client::Client> node_client_;
  std::unique_ptr<controller::Controllers> controllers_;
  std::unique_ptr<scheduler::Scheduler> scheduler_;
  std::unique_ptr<NodeParts> node_;
};

}  // namespace wherry::command
