// Making certificates and signing requests.

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/random.h"
#include "base/strings.h"
#include "pki/names.h"
#include "pki/openssl.h"
#include "pki/pki.h"

namespace wherry::pki {

// Access to Certificate's constructor for this file.
struct Issuing {
  static Certificate wrap(X509Ptr certificate) {
    return Certificate(std::shared_ptr<X509>(certificate.release(), &X509_free));
  }
};

namespace {

std::time_t seconds_of(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

void set_serial(X509* certificate) {
  std::string bytes = random_bytes(16);
  bytes[0] = static_cast<char>((bytes[0] & 0x3f) | 0x40);  // Positive, and always of this length.
  BIGNUM* number = BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
}

// By OpenSSL's own text form of extensions; what does not parse is a mistake of ours.
void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509Ptr begin(EVP_PKEY* key, const Subject& subject, Time from, Time until) {
  X509Ptr certificate(X509_new());
  CHECK(certificate != nullptr);
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_serial(certificate.get());
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), seconds_of(from));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), seconds_of(until));
  X509_set_pubkey(certificate.get(), key);
  write_name(X509_get_subject_name(certificate.get()), subject);
  return certificate;
}

Result<void> set_subject(X509* certificate, const std::string& der) {
  const unsigned char* at = bytes_of(der);
  X509_NAME* name = d2i_X509_NAME(nullptr, &at, static_cast<long>(der.size()));
  if (name == nullptr) return Error::invalid("the subject is malformed: {}", openssl_error());
  X509_set_subject_name(certificate, name);
  X509_NAME_free(name);
  return {};
}

void sign(X509* certificate, const Key& key) {
  CHECK(key.is_private());
  CHECK(X509_sign(certificate, key.raw(), EVP_sha256()) > 0);
}

void add_authority_extensions(X509* certificate, X509* issuer) {
  add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate, issuer, NID_key_usage,
                "critical,digitalSignature,keyEncipherment,keyCertSign");
  add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
}

}  // namespace

Authority Authority::create(std::string_view common_name, Time now, std::chrono::hours lifetime) {
  Key key = Key::generate();
  X509Ptr certificate =
      begin(key.raw(), {std::string(common_name), {}}, now - kBackdate, now + lifetime);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  X509* self = certificate.get();
  add_authority_extensions(self, self);
  sign(self, key);
  return {Issuing::wrap(std::move(certificate)), std::move(key)};
}

Result<Authority> Authority::from_pem(std::string_view certificate_pem, std::string_view key_pem) {
  Certificate certificate = TRY(Certificate::from_pem(certificate_pem));
  Key key = TRY(Key::from_pem(key_pem));
  if (!key.is_private()) return Error::invalid("the authority's key is only a public one");
  if (!certificate.is_ca()) return Error::invalid("the certificate is not that of an authority");
  if (!certificate.matches(key))
    return Error::invalid("the authority's key and certificate do not match");
  return Authority{std::move(certificate), std::move(key)};
}

Certificate Authority::cross_sign(const Authority& other) const {
  Time until = std::min(certificate.not_after(), other.certificate.not_after());
  X509Ptr made = begin(other.key.raw(), other.certificate.subject(),
                       std::max(certificate.not_before(), other.certificate.not_before()), until);
  X509_set_issuer_name(made.get(), X509_get_subject_name(certificate.raw()));
  add_authority_extensions(made.get(), certificate.raw());
  if (X509_get0_subject_key_id(certificate.raw()) != nullptr) {
    add_extension(made.get(), certificate.raw(), NID_authority_key_identifier, "keyid");
  }
  sign(made.get(), key);
  ERR_clear_error();
  return Issuing::wrap(std::move(made));
}

Result<Certificate> Authority::issue(const Key& subject_key, const CertificateSpec& spec) const {
  AlternativeNames wanted{spec.dns_names, spec.ip_addresses, spec.email_addresses, spec.uris};
  NamesPtr names = TRY(make_alternative_names(wanted));
  Time from = std::max(spec.now - kBackdate, certificate.not_before());
  Time until = std::min<Time>(spec.now + spec.lifetime, certificate.not_after());
  X509Ptr made = begin(subject_key.raw(), spec.subject, from, until);
  if (!spec.subject_der.empty()) TRY(set_subject(made.get(), spec.subject_der));
  X509_set_issuer_name(made.get(), X509_get_subject_name(certificate.raw()));
  add_extension(made.get(), certificate.raw(), NID_basic_constraints, "critical,CA:FALSE");
  std::vector<std::string> extended = spec.extended_key_usages;
  if (spec.server_auth) extended.emplace_back("serverAuth");
  if (spec.client_auth) extended.emplace_back("clientAuth");
  if (!spec.key_usages.empty() || spec.extended_key_usages.empty()) {
    std::string usages =
        spec.key_usages.empty() ? "digitalSignature,keyEncipherment" : join(spec.key_usages, ",");
    add_extension(made.get(), certificate.raw(), NID_key_usage, ("critical," + usages).c_str());
  }
  if (!extended.empty()) {
    add_extension(made.get(), certificate.raw(), NID_ext_key_usage, join(extended, ",").c_str());
  }
  // An authority brought along may have no identifier to point to.
  if (X509_get0_subject_key_id(certificate.raw()) != nullptr) {
    add_extension(made.get(), certificate.raw(), NID_authority_key_identifier, "keyid");
  }
  if (sk_GENERAL_NAME_num(names.get()) > 0) {
    CHECK(X509_add1_ext_i2d(made.get(), NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) ==
          1);
  }
  sign(made.get(), key);
  ERR_clear_error();
  return Issuing::wrap(std::move(made));
}

std::string SigningRequest::create(const Key& key, const Subject& subject,
                                   const std::vector<std::string>& dns_names,
                                   const std::vector<std::string>& ip_addresses) {
  RequestPtr request(X509_REQ_new());
  CHECK(request != nullptr && key.is_private());
  write_name(X509_REQ_get_subject_name(request.get()), subject);
  X509_REQ_set_pubkey(request.get(), key.raw());
  Result<NamesPtr> names = make_alternative_names({dns_names, ip_addresses, {}, {}});
  CHECK(names.ok());
  if (sk_GENERAL_NAME_num(names->get()) > 0) {
    STACK_OF(X509_EXTENSION)* extensions = nullptr;
    X509V3_add1_i2d(&extensions, NID_subject_alt_name, names->get(), 0, X509V3_ADD_DEFAULT);
    X509_REQ_add_extensions(request.get(), extensions);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  }
  CHECK(X509_REQ_sign(request.get(), key.raw(), EVP_sha256()) > 0);
  BioPtr bio = bio_for_output();
  CHECK(PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1);
  return text_of(bio.get());
}

}  // namespace wherry::pki
