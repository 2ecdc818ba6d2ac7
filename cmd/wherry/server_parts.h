#pragma once
// The parts of a server process, in the order they are made; they stop in the reverse order. One
// thread, the main one, makes and stops them.

#include <memory>
#include <string>

#include "apiserver/server.h"
#include "base/clock.h"
#include "base/result.h"
#include "client/client.h"
#include "cluster/credentials.h"
#include "cluster/secrets_encryption.h"
#include "control_door.h"
#include "controller/runtime.h"
#include "flags.h"
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

class ServerParts {
 public:
  explicit ServerParts(ServerFlags flags) : flags_(std::move(flags)) {}
  ~ServerParts();
  Result<void> start();

 private:
  Result<void> lock_data_dir();
  Result<void> open_store();
  Result<void> start_api();
  Result<void> start_components();
  Result<void> write_kubeconfig();
  cluster::CredentialSpec credential_spec() const;

  ServerFlags flags_;
  SystemClock clock_;
  os::Fd lock_;
  std::string token_;
  std::unique_ptr<cluster::Credentials> credentials_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<cluster::SecretsEncryption> secrets_;
  std::unique_ptr<Door> control_door_;
  LocalNode local_node_;
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
