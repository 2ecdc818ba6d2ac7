#pragma once
// Keys, certificates, signed tokens, digests and sealed boxes, over OpenSSL, which only this folder
// and pkg/http include. No host file is read (OpenSSL's own configuration is not loaded).
//
// Threads: any; Key and Certificate are immutable and cheap to copy.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

struct evp_pkey_st;
struct x509_st;
struct evp_md_ctx_st;

namespace wherry::pki {

// A private or public key: P-256 (what we make) or RSA (what others bring).
class Key {
 public:
  static Key generate();                              // P-256.
  static Result<Key> from_pem(std::string_view pem);  // Private (PKCS#8, SEC 1, PKCS#1) or public.

  std::string private_pem() const;  // PKCS#8. CHECKs that the key is private.
  std::string public_pem() const;   // SubjectPublicKeyInfo.
  // The "kid" of tokens: base64url of SHA-256 of the DER public key, as kube-apiserver names keys.
  std::string id() const;
  std::string public_jwk() const;  // One JSON object for a JWK set, with kid, use and alg.
  bool is_private() const { return private_; }
  bool is_rsa() const;
  evp_pkey_st* raw() const { return key_.get(); }

 private:
  friend class Certificate;
  friend struct SigningRequest;
  Key(std::shared_ptr<evp_pkey_st> key, bool is_private)
      : key_(std::move(key)), private_(is_private) {}
  std::shared_ptr<evp_pkey_st> key_;
  bool private_ = false;
};

struct Subject {
  std::string common_name;
  std::vector<std::string> organizations;
};

class Certificate {
 public:
  // The first certificate in the text.
  static Result<Certificate> from_pem(std::string_view pem);
  static Result<std::vector<Certificate>> all_from_pem(std::string_view pem);

  std::string pem() const;
  Subject subject() const;
  Subject issuer() const;
  std::vector<std::string> dns_names() const;
  std::vector<std::string> ip_addresses() const;
  Time not_before() const;
  Time not_after() const;
  bool is_ca() const;
  std::string sha256() const;  // Fingerprint of the DER form, hexadecimal.
  std::string public_key_sha256()
      const;  // Of the DER SubjectPublicKeyInfo, hexadecimal: pins a CA.
  // Whether this certificate was signed by `issuer` (no look at dates or usages).
  bool signed_by(const Certificate& issuer) const;
  bool matches(const Key& key) const;
  x509_st* raw() const { return certificate_.get(); }

 private:
  friend struct Issuing;
  explicit Certificate(std::shared_ptr<x509_st> certificate)
      : certificate_(std::move(certificate)) {}
  std::shared_ptr<x509_st> certificate_;
};

// What a certificate is to say. Its validity begins `kBackdate` before `now`, as clocks differ.
struct CertificateSpec {
  Subject subject;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  bool server_auth = false;
  bool client_auth = false;
  Time now{};
  std::chrono::seconds lifetime = std::chrono::hours(365 * 24);
  // For a signing request: its subject as it stands there, names of other sorts, and usages, named
  // as RFC 5280 has them ("digitalSignature", "clientAuth").
  std::string subject_der;
  std::vector<std::string> email_addresses;
  std::vector<std::string> uris;
  std::vector<std::string> key_usages;
  std::vector<std::string> extended_key_usages;
};
constexpr std::chrono::minutes kBackdate{60};

struct Authority {
  Certificate certificate;
  Key key;

  // A self-signed authority.
  static Authority create(std::string_view common_name, Time now,
                          std::chrono::hours lifetime = std::chrono::hours(10 * 365 * 24));
  static Result<Authority> from_pem(std::string_view certificate_pem, std::string_view key_pem);
  // A certificate for the public half of `key`. kInvalid when an address does not parse. It never
  // outlives the authority.
  Result<Certificate> issue(const Key& key, const CertificateSpec& spec) const;
  // The other authority's name and key under this one's signature: who trusts this one then trusts
  // what the other one issues.
  Certificate cross_sign(const Authority& other) const;
};

// A certificate signing request (PKCS#10).
struct SigningRequest {
  Subject subject;
  std::string subject_der;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<std::string> email_addresses;
  std::vector<std::string> uris;
  Key key;  // Of any sort.

  // kInvalid when malformed or not signed by its own key.
  static Result<SigningRequest> from_pem(std::string_view pem);
  // For agents and tests.
  static std::string create(const Key& key, const Subject& subject,
                            const std::vector<std::string>& dns_names = {},
                            const std::vector<std::string>& ip_addresses = {});
};

// ---- Signed tokens (RFC 7515 compact form). The key decides the algorithm: P-256 ES256, RSA
// RS256.

std::string sign_token(const Key& key, std::string_view payload_json);
struct Token {
  std::string header_json;
  std::string payload_json;
  std::string signed_part;
  std::string signature;
};
Result<Token> parse_token(
    std::string_view text);  // kUnauthorized when it is not three proper parts.
bool verify_token(const Token& token, const Key& key);
// What tokens signed with the key call that in their heads: "RS256" or "ES256".
std::string_view token_algorithm(const Key& key);

// ---- Digests and boxes

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;
  void update(std::string_view bytes);
  std::string finish();  // 32 bytes; then it begins anew.
  std::string finish_hex();

 private:
  evp_md_ctx_st* context_;
};

std::string sha256(std::string_view bytes);      // 32 bytes.
std::string sha256_hex(std::string_view bytes);  // As image digests have it after "sha256:".
std::string sha512_hex(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
bool constant_time_equal(std::string_view a, std::string_view b);

// AES-256-GCM with a fresh random nonce: nonce(12) ciphertext tag(16). `bound` is authenticated
// with it (the object's place, so that a box cannot be moved elsewhere). CHECKs that the key has 32
// bytes.
std::string seal(std::string_view key, std::string_view plain, std::string_view bound);
// kInternal when the key is wrong or the box was changed.
Result<std::string> open(std::string_view key, std::string_view box, std::string_view bound);

}  // namespace wherry::pki
