#include "cluster/credentials.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "cluster/join_token.h"
#include "os/fd.h"

namespace wherry::cluster {
namespace {

constexpr unsigned kSecretMode = 0600;
constexpr unsigned kPublicMode = 0644;

// Reads a file, or makes its content and writes it.
template <typename Make>
Result<std::string> read_or_make(const std::string& path, unsigned mode, Make make) {
  Result<std::string> there = os::read_file(path);
  if (there.ok() && !there->empty()) return there;
  if (!there.ok() && !there.error().is(Code::kNotFound)) return there;
  std::string made = make();
  TRY(os::write_file_atomic(path, made, mode));
  return made;
}

Result<pki::Authority> authority(const std::string& path, std::string_view name,
                                 const Clock& clock) {
  Result<std::string> certificate = os::read_file(path + ".crt");
  Result<std::string> key = os::read_file(path + ".key");
  if (certificate.ok() && key.ok()) return pki::Authority::from_pem(*certificate, *key);
  if (certificate.ok() || key.ok()) {
    return Error::invalid("{0}.crt and {0}.key must both be there or both be absent", path);
  }
  std::string common_name = fmt::format(
      "{}@{}", name,
      std::chrono::duration_cast<std::chrono::seconds>(clock.now().time_since_epoch()).count());
  pki::Authority made = pki::Authority::create(common_name, clock.now());
  TRY(os::write_file_atomic(path + ".key", made.key.private_pem(), kSecretMode));
  TRY(os::write_file_atomic(path + ".crt", made.certificate.pem(), kPublicMode));
  return made;
}

bool includes(std::vector<std::string> have, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&have](const std::string& name) {
    return std::find(have.begin(), have.end(), name) != have.end();
  });
}

// Still good: signed by this authority, names everything, and a third of its life is left.
bool usable(const pki::Certificate& certificate, const pki::Key& key, const pki::Authority& issuer,
            const pki::CertificateSpec& spec) {
  if (!certificate.signed_by(issuer.certificate) || !certificate.matches(key)) return false;
  if (!includes(certificate.dns_names(), spec.dns_names)) return false;
  if (!includes(certificate.ip_addresses(), spec.ip_addresses)) return false;
  auto life = certificate.not_after() - certificate.not_before();
  return spec.now < certificate.not_after() - life / 3 && spec.now >= certificate.not_before();
}

Result<KeyPair> leaf(const std::string& path, const pki::Authority& issuer,
                     const pki::CertificateSpec& spec) {
  Result<std::string> certificate_pem = os::read_file(path + ".crt");
  Result<std::string> key_pem = os::read_file(path + ".key");
  if (certificate_pem.ok() && key_pem.ok()) {
    Result<pki::Certificate> certificate = pki::Certificate::from_pem(*certificate_pem);
    Result<pki::Key> key = pki::Key::from_pem(*key_pem);
    if (certificate.ok() && key.ok() && usable(*certificate, *key, issuer, spec)) {
      return KeyPair{*certificate_pem, *key_pem};
    }
    log::info("renewing {}.crt", path);
  }
  pki::Key key = pki::Key::generate();
  pki::Certificate certificate = TRY(issuer.issue(key, spec));
  KeyPair made{certificate.pem() + issuer.certificate.pem(), key.private_pem()};
  TRY(os::write_file_atomic(path + ".key", made.key_pem, kSecretMode));
  TRY(os::write_file_atomic(path + ".crt", made.certificate_pem, kPublicMode));
  return made;
}

}  // namespace

Result<Credentials> prepare_credentials(const CredentialSpec& spec, const Clock& clock) {
  TRY(os::make_directories(spec.directory, 0700));
  const std::string base = spec.directory + "/";
  pki::Authority server_ca = TRY(authority(base + "server-ca", "wherry-server-ca", clock));
  pki::Authority client_ca = TRY(authority(base + "client-ca", "wherry-client-ca", clock));

  pki::CertificateSpec serving;
  serving.subject = {.common_name = "wherry", .organizations = {}};
  serving.dns_names = {"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                       "kubernetes.default.svc." + spec.cluster_domain};
  serving.ip_addresses = {"127.0.0.1"};
  auto add_new = [](std::vector<std::string>& to, const std::vector<std::string>& from) {
    for (const std::string& name : from) {
      if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
    }
  };
  add_new(serving.dns_names, spec.dns_names);
  add_new(serving.ip_addresses, spec.ip_addresses);
  serving.server_auth = true;
  serving.now = clock.now();

  pki::CertificateSpec admin;
  admin.subject = {.common_name = "system:admin", .organizations = {"system:masters"}};
  admin.client_auth = true;
  admin.now = clock.now();

  KeyPair serving_pair = TRY(leaf(base + "serving", server_ca, serving));
  KeyPair admin_pair = TRY(leaf(base + "admin", client_ca, admin));
  std::string service_key = TRY(read_or_make(base + "service.key", kSecretMode,
                                             [] { return pki::Key::generate().private_pem(); }));
  pki::Key service_account_key = TRY(pki::Key::from_pem(service_key));
  return Credentials{server_ca.certificate.pem(),
                     client_ca.certificate.pem(),
                     serving_pair,
                     admin_pair,
                     service_account_key,
                     client_ca};
}

Result<std::string> prepare_token(const std::string& path, const std::string& given,
                                  const std::string& server_ca_pem) {
  pki::Certificate ca = TRY(pki::Certificate::from_pem(server_ca_pem));
  auto full = [&ca](const std::string& secret) {
    return JoinToken{ca.sha256(), "server", secret}.text();
  };
  if (!given.empty()) {
    JoinToken token = TRY(JoinToken::parse(given));
    if (!token.ca_sha256.empty() && token.ca_sha256 != ca.sha256()) {
      return Error::invalid(
          "--token was made by another cluster: give only the secret behind its last colon");
    }
    std::string wanted = full(token.secret);
    TRY(os::write_file_atomic(path, wanted + "\n", kSecretMode));
    return wanted;
  }
  std::string text = TRY(read_or_make(
      path, kSecretMode, [&full] { return full(hex_encode(random_bytes(16))) + "\n"; }));
  return std::string(trim(text));
}

std::string kubeconfig(const std::string& server_url, const std::string& server_ca_pem,
                       const KeyPair& client) {
  return fmt::format(
      "apiVersion: v1\nkind: Config\nclusters:\n- name: default\n  cluster:\n"
      "    server: {}\n    certificate-authority-data: {}\n"
      "users:\n- name: default\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n"
      "contexts:\n- name: default\n  context:\n    cluster: default\n    user: default\n"
      "current-context: default\npreferences: {{}}\n",
      server_url, base64_encode(server_ca_pem), base64_encode(client.certificate_pem),
      base64_encode(client.key_pem));
}

}  // namespace wherry::cluster
