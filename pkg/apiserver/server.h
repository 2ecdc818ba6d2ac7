#pragma once
// ApiServer: owns the API's parts and the HTTP server in front of them.
//
// start(), stop() are the owner's; everything else may be called from any thread between them. The
// machinery works as soon as the object is made, so components in this process may be built on
// local_client() and cache() before the port is open.

#include <memory>
#include <string>
#include <vector>

#include "apiserver/audit.h"
#include "apiserver/authenticate.h"
#include "apiserver/extra_page.h"
#include "apiserver/local_client.h"
#include "apiserver/machinery.h"
#include "apiserver/status_pages.h"
#include "apiserver/token.h"
#include "client/client.h"
#include "client/node_api.h"
#include "http/server.h"
#include "store/store.h"

namespace wherry::apiserver {

class ApiServer {
 public:
  struct Options {
    store::Store* store = nullptr;
    const Clock* clock = nullptr;
    client::NodeDirectory* nodes = nullptr;  // Null: no logs and streams.

    std::vector<std::string> listen{"127.0.0.1:0"};
    std::shared_ptr<const http::TlsCredentials> tls;  // Null: plain HTTP (tests).
    // Signs and checks ServiceAccount tokens; empty: there are none.
    std::vector<pki::Key> token_keys;  // See TokenIssuer.
    std::string token_issuer{kDefaultIssuer};
    std::vector<StaticToken> static_tokens;
    std::optional<OidcOptions> oidc;  // Checked; absent: there is no OpenID provider.
    AuthenticatingProxies proxies;
    AdmissionSettings admission;       // Checked.
    const Auditor* auditor = nullptr;  // Null: nothing is audited.

    std::string service_cidr = "10.43.0.0/16";
    std::string advertise_address = "127.0.0.1";  // Where other machines and pods reach us.
    uint16_t advertise_port = 0;                  // 0: the port that was bound.
    std::vector<Check> checks;                    // Further ones for /readyz.
    std::vector<ExtraPage> pages;                 // Outside the API.
  };

  explicit ApiServer(Options options);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;

  // Reads the allocators' state and makes what every cluster has (namespaces, priority classes, the
  // kubernetes Service, flow schemas). Once, before clients and start().
  Result<void> prepare();
  // Opens the port.
  Result<void> start();
  void stop();

  uint16_t port() const;
  // Acts as `user`, with the same admission as everybody; nothing is refused.
  std::unique_ptr<client::Client> local_client(User user);
  std::unique_ptr<client::Cache> cache();
  Machinery& machinery();
  Result<void> set_credentials(std::shared_ptr<const http::TlsCredentials> tls);
  void set_token_keys(std::vector<pki::Key> keys);
  std::string issue_legacy_token(const TokenSubject& subject, std::string_view secret_name) const;
  http::Server::Counters counters() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// A component's own identity: "system:kube-scheduler", "system:serviceaccount:kube-system:...".
User component_user(std::string_view name);

}  // namespace wherry::apiserver
