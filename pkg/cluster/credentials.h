#pragma once
// The cluster's keys and certificates under <data-dir>/server/tls: made on the first start, read on
// every later one, leaf certificates renewed when two thirds of their life are over or when they
// lack a name. Files of keys are 0600, the folder 0700. One thread.
//
//   server-ca.crt/.key   signs what servers show (API server, agents)
//   client-ca.crt/.key   signs who clients are
//   serving.crt/.key     the API server's own
//   admin.crt/.key       kubernetes-admin in system:masters, for the kubeconfig
//   service.key          signs ServiceAccount tokens

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "pki/pki.h"

namespace wherry::cluster {

struct CredentialSpec {
  std::string directory;               // <data-dir>/server/tls
  std::vector<std::string> dns_names;  // For the serving certificate, beside the usual ones.
  std::vector<std::string> ip_addresses;
  std::string cluster_domain;  // "cluster.local"
};

struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;
};

struct Credentials {
  std::string server_ca_pem;
  std::string client_ca_pem;
  KeyPair serving;  // With the authority appended.
  KeyPair admin;
  pki::Key service_account_key;
  pki::Authority client_authority;  // Signs who joins.
};

Result<Credentials> prepare_credentials(const CredentialSpec& spec, const Clock& clock);

// The token that agents join with: <data-dir>/server/token, made when absent. `given` replaces it.
Result<std::string> prepare_token(const std::string& path, const std::string& given,
                                  const std::string& server_ca_pem);

// A kubeconfig with one cluster, user and context, all named "default", as text (YAML).
std::string kubeconfig(const std::string& server_url, const std::string& server_ca_pem,
                       const KeyPair& client);

}  // namespace wherry::cluster
