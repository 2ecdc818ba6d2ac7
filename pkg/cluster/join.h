#pragma once
// How a machine joins: what passes between agent and server, and the server's side of it.
//
//   GET  /v1-wherry/ca     the CA certificates (PEM), to anybody; the digest of one is in the token
//   POST /v1-wherry/join   {"node", "password", "nodeRequest", "proxyRequest"}: the requests are
//                          PKCS#10, of which only the keys are used. Answered by
//                          {"nodeCertificate", "proxyCertificate", "serverCa" (PEM, all that are
//                          trusted), "cluster": {"clusterCidr", "serviceCidr", "clusterDns",
//                          "clusterDomain"}}
//
// Who joins shows the token (HTTP Basic) or, to renew, the certificate of that node. The node's
// password is chosen by the machine that takes the name first; its digest is kept in the Secret
// kube-system/<node>.node-password.wherry. Another machine cannot take the name until the Node and
// that Secret's claim are gone: a claim lapses when its Node has been deleted.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "client/client.h"
#include "http/message.h"
#include "json/json.h"
#include "pki/pki.h"

namespace wherry::cluster {

inline constexpr std::string_view kJoinPath = "/v1-wherry/join";
inline constexpr std::string_view kCaPath = "/v1-wherry/ca";
inline constexpr std::string_view kNodeUserPrefix = "system:node:";
inline constexpr std::string_view kNodesGroup = "system:nodes";
inline constexpr std::string_view kProxyUser = "system:kube-proxy";

// What an agent must know of its cluster.
struct ClusterNetwork {
  std::string cluster_cidr;
  std::string service_cidr;
  std::string cluster_dns;
  std::string cluster_domain;
};
void write_network(const ClusterNetwork& network, json::Node to);
ClusterNetwork read_network(json::Value from);

// Any thread.
class JoinServer {
 public:
  struct Options {
    std::string token;                           // As text.
    std::function<std::string()> server_ca_pem;  // All that are trusted, the current one first.
    std::function<pki::Authority()> client_authority;
    ClusterNetwork network;
  };
  // `client` keeps the passwords and outlives the server.
  static Result<JoinServer> make(Options options, client::Client& client, const Clock& clock);

  Result<void> answer_ca(http::Response& response) const;
  // `user` and `groups` are those of the client's certificate, if it showed one.
  Result<void> answer_join(std::string_view user, const std::vector<std::string>& groups,
                           const http::Request& request, http::Response& response) const;

 private:
  JoinServer(Options options, std::string secret, client::Client& client, const Clock& clock)
      : options_(std::move(options)), secret_(std::move(secret)), client_(client), clock_(clock) {}
  bool shows_token(const http::Request& request) const;
  Result<void> check_password(const std::string& node, std::string_view password) const;
  Result<void> claim(const std::string& secret_name, const std::string& digest) const;
  Result<std::string> issue(std::string_view request_pem, pki::Subject subject) const;

  Options options_;
  std::string secret_;
  client::Client& client_;
  const Clock& clock_;
};

}  // namespace wherry::cluster
