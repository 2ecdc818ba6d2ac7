#pragma once
// The cluster's keys and certificates under <data-dir>/server/tls: made on the first start, read on
// every later one, certificates renewed when two thirds of their life are over, when they lack a
// name, or when the clock has gone back before them. Files of keys are 0600, the folder 0700. One
// thread; certificate_keeper.h does it while a server runs.
//
//   server-ca.crt/.key   signs what servers show (API server, agents); see authority.h
//   client-ca.crt/.key   signs who clients are
//   serving.crt/.key     the API server's own
//   admin.crt/.key       kubernetes-admin in system:masters, for the kubeconfig
//   service.key          signs ServiceAccount tokens; after it the public halves of earlier ones,
//                        whose tokens stay good

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

// What `wherry certificate check` shows of one.
struct CertificateFact {
  std::string name;
  std::string subject;
  Time from;
  Time until;
  Time renewal;
};

CertificateFact fact_of(std::string name, const pki::Certificate& certificate);

struct Credentials {
  std::string server_ca_pem;  // All that are trusted, the current one first; so is client_ca_pem.
  std::string client_ca_pem;
  pki::Authority server_ca;
  pki::Authority client_ca;
  KeyPair serving;  // With the authority appended.
  KeyPair admin;
  std::vector<pki::Key> service_keys;  // The first signs, the others only verify.
  std::vector<CertificateFact> facts;
};

enum class Renewal {
  kWhenDue,
  kLeaves,
  kAuthorities,
  kServiceKey
};  // What is to be made anew in any case.

Result<Credentials> prepare_credentials(const CredentialSpec& spec, const Clock& clock,
                                        Renewal renewal = Renewal::kWhenDue);

// The token that agents join with: <data-dir>/server/token, made when absent. `given` replaces it.
Result<std::string> prepare_token(const std::string& path, const std::string& given,
                                  const std::string& server_ca_pem);

// A kubeconfig with one cluster, user and context, all named "default", as text (YAML).
std::string kubeconfig(const std::string& server_url, const std::string& server_ca_pem,
                       const KeyPair& client);

}  // namespace wherry::cluster
