#include "cluster/credentials.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "cluster/authority.h"
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
  // Not yet valid: the clock has gone back.
  return spec.now < renewal_time(certificate) && spec.now >= certificate.not_before();
}

struct Leaf {
  KeyPair pair;
  CertificateFact fact;
};

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Result<Leaf> leaf(const std::string& path, const StoredAuthority& issuer,
                  const pki::CertificateSpec& spec, bool now) {
  Result<std::string> certificate_pem = os::read_file(path + ".crt");
  Result<std::string> key_pem = os::read_file(path + ".key");
  if (certificate_pem.ok() && key_pem.ok()) {
    Result<pki::Certificate> certificate = pki::Certificate::from_pem(*certificate_pem);
    Result<pki::Key> key = pki::Key::from_pem(*key_pem);
    if (!now && certificate.ok() && key.ok() && usable(*certificate, *key, issuer.current, spec)) {
      return Leaf{{*certificate_pem, *key_pem}, fact_of(name_of(path), *certificate)};
    }
    log::info("renewing {}.crt", path);
  }
  pki::Key key = pki::Key::generate();
  pki::Certificate certificate = TRY(issuer.current.issue(key, spec));
  KeyPair made{certificate.pem() + issuer.cross_pem + issuer.current.certificate.pem(),
               key.private_pem()};
  TRY(os::write_file_atomic(path + ".key", made.key_pem, kSecretMode));
  TRY(os::write_file_atomic(path + ".crt", made.certificate_pem, kPublicMode));
  return Leaf{made, fact_of(name_of(path), certificate)};
}

constexpr size_t kServiceKeysMax = 8;

// Each block from its BEGIN to the next one's.
Result<std::vector<pki::Key>> read_keys(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN";
  std::vector<pki::Key> keys;
  for (size_t at = text.find(kBegin); at != std::string_view::npos;) {
    size_t next = text.find(kBegin, at + kBegin.size());
    keys.push_back(TRY(pki::Key::from_pem(text.substr(at, next - at))));
    at = next;
  }
  if (keys.empty() || !keys.front().is_private()) {
    return Error::invalid("its first key must be a private one");
  }
  return keys;
}

Result<std::vector<pki::Key>> prepare_service_keys(const std::string& path, bool fresh) {
  std::string text =
      TRY(read_or_make(path, kSecretMode, [] { return pki::Key::generate().private_pem(); }));
  Result<std::vector<pki::Key>> keys = read_keys(text);
  if (!keys.ok()) return std::move(keys).error().with_prefix(path);
  if (!fresh) return keys;
  keys->insert(keys->begin(), pki::Key::generate());
  if (keys->size() > kServiceKeysMax) keys->erase(keys->begin() + kServiceKeysMax, keys->end());
  std::string content = keys->front().private_pem();
  for (size_t i = 1; i < keys->size(); ++i) content += (*keys)[i].public_pem();
  TRY(os::write_file_atomic(path, content, kSecretMode));
  return read_keys(content);
}

void add_new(std::vector<std::string>& to, const std::vector<std::string>& from) {
  for (const std::string& name : from) {
    if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
  }
}

pki::CertificateSpec serving_spec(const CredentialSpec& spec, Time now) {
  pki::CertificateSpec out;
  out.subject = {.common_name = "wherry", .organizations = {}};
  out.dns_names = {"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                   "kubernetes.default.svc." + spec.cluster_domain};
  out.ip_addresses = {"127.0.0.1"};
  add_new(out.dns_names, spec.dns_names);
  add_new(out.ip_addresses, spec.ip_addresses);
  out.server_auth = true;
  out.now = now;
  return out;
}

}  // namespace

CertificateFact fact_of(std::string name, const pki::Certificate& certificate) {
  return {.name = std::move(name),
          .subject = certificate.subject().common_name,
          .from = certificate.not_before(),
          .until = certificate.not_after(),
          .renewal = renewal_time(certificate)};
}

Result<Credentials> prepare_credentials(const CredentialSpec& spec, const Clock& clock,
                                        Renewal renewal) {
  TRY(os::make_directories(spec.directory, 0700));
  const std::string base = spec.directory + "/";
  AuthorityChange change =
      renewal == Renewal::kAuthorities ? AuthorityChange::kNow : AuthorityChange::kWhenDue;
  StoredAuthority server_ca = TRY(prepare_authority(spec.directory, "server-ca", clock, change));
  StoredAuthority client_ca = TRY(prepare_authority(spec.directory, "client-ca", clock, change));

  pki::CertificateSpec admin;
  admin.subject = {.common_name = "system:admin", .organizations = {"system:masters"}};
  admin.client_auth = true;
  admin.now = clock.now();

  bool now = renewal == Renewal::kLeaves;
  Leaf serving_leaf = TRY(leaf(base + "serving", server_ca, serving_spec(spec, clock.now()), now));
  Leaf admin_leaf = TRY(leaf(base + "admin", client_ca, admin, now));
  std::vector<pki::Key> service_keys =
      TRY(prepare_service_keys(base + "service.key", renewal == Renewal::kServiceKey));
  return Credentials{
      server_ca.bundle_pem,
      client_ca.bundle_pem,
      server_ca.current,
      client_ca.current,
      serving_leaf.pair,
      admin_leaf.pair,
      service_keys,
      {fact_of("server-ca", server_ca.current.certificate),
       fact_of("client-ca", client_ca.current.certificate), serving_leaf.fact, admin_leaf.fact}};
}

Result<std::string> prepare_token(const std::string& path, const std::string& given,
                                  const std::string& server_ca_pem) {
  pki::Certificate ca = TRY(pki::Certificate::from_pem(server_ca_pem));
  auto full = [&ca](const std::string& secret) {
    return JoinToken{ca.sha256(), "server", secret}.text();
  };
  if (!given.empty()) {
    JoinToken token = TRY(JoinToken::parse(given));
    if (!token.ca_sha256.empty() && !TRY(pinned_authority(server_ca_pem, token.ca_sha256))) {
      return Error::invalid(
          "--token was made by another cluster: give only the secret behind its last colon");
    }
    std::string wanted = full(token.secret);
    TRY(os::write_file_atomic(path, wanted + "\n", kSecretMode));
    return wanted;
  }
  std::string text = TRY(read_or_make(
      path, kSecretMode, [&full] { return full(hex_encode(random_bytes(16))) + "\n"; }));
  std::string token(trim(text));
  // After a change of the authority the secret stays and pins the new one.
  Result<JoinToken> kept = JoinToken::parse(token);
  if (!kept.ok() || kept->ca_sha256.empty() || kept->ca_sha256 == ca.sha256()) return token;
  kept->ca_sha256 = ca.sha256();
  TRY(os::write_file_atomic(path, kept->text() + "\n", kSecretMode));
  return kept->text();
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
