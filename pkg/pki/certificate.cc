// Certificates and signing requests: reading them.

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/encoding.h"
#include "pki/names.h"
#include "pki/openssl.h"
#include "pki/pki.h"

namespace wherry::pki {
namespace {

Time time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return Time{};
  return std::chrono::floor<std::chrono::microseconds>(
      std::chrono::system_clock::from_time_t(timegm(&parts)));
}

AlternativeNames names_in(const X509* certificate) {
  NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  return read_alternative_names(names.get());
}

}  // namespace

Result<Certificate> Certificate::from_pem(std::string_view pem) {
  std::vector<Certificate> all = TRY(all_from_pem(pem));
  return std::move(all.front());
}

Result<std::vector<Certificate>> Certificate::all_from_pem(std::string_view pem) {
  init_openssl();
  ERR_clear_error();
  std::vector<Certificate> all;
  BioPtr bio = bio_from(pem);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    all.push_back(Certificate(std::shared_ptr<X509>(next, &X509_free)));
  }
  // A clean end is reported as "no start line"; anything else is a broken certificate.
  bool clean = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  std::string reason = openssl_error();
  if (all.empty() || !clean) return Error::invalid("not a certificate in PEM form: {}", reason);
  return all;
}

std::string Certificate::pem() const {
  BioPtr bio = bio_for_output();
  CHECK(PEM_write_bio_X509(bio.get(), certificate_.get()) == 1);
  return text_of(bio.get());
}

Subject Certificate::subject() const {
  return read_name(X509_get_subject_name(certificate_.get()));
}
Subject Certificate::issuer() const { return read_name(X509_get_issuer_name(certificate_.get())); }
std::vector<std::string> Certificate::dns_names() const { return names_in(certificate_.get()).dns; }
std::vector<std::string> Certificate::ip_addresses() const {
  return names_in(certificate_.get()).ip;
}
Time Certificate::not_before() const { return time_of(X509_get0_notBefore(certificate_.get())); }
Time Certificate::not_after() const { return time_of(X509_get0_notAfter(certificate_.get())); }
bool Certificate::is_ca() const { return X509_check_ca(certificate_.get()) == 1; }

std::string Certificate::sha256() const {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(X509_digest(certificate_.get(), EVP_sha256(), digest, &size) == 1);
  return hex_encode({reinterpret_cast<char*>(digest), size});
}

std::string Certificate::public_key_sha256() const {
  return sha256_hex(public_key_der(X509_get0_pubkey(certificate_.get())));
}

bool Certificate::signed_by(const Certificate& issuer) const {
  bool good = X509_check_issued(issuer.raw(), certificate_.get()) == X509_V_OK &&
              X509_verify(certificate_.get(), X509_get0_pubkey(issuer.raw())) == 1;
  ERR_clear_error();
  return good;
}

bool Certificate::matches(const Key& key) const {
  return EVP_PKEY_eq(X509_get0_pubkey(certificate_.get()), key.raw()) == 1;
}

Result<SigningRequest> SigningRequest::from_pem(std::string_view pem) {
  init_openssl();
  ERR_clear_error();
  RequestPtr request(PEM_read_bio_X509_REQ(bio_from(pem).get(), nullptr, nullptr, nullptr));
  if (request == nullptr)
    return Error::invalid("not a certificate request in PEM form: {}", openssl_error());
  EVP_PKEY* raw_key = X509_REQ_get0_pubkey(request.get());
  if (raw_key == nullptr || X509_REQ_verify(request.get(), raw_key) != 1) {
    return Error::invalid("the certificate request is not signed by its own key");
  }
  EVP_PKEY_up_ref(raw_key);
  Key key(std::shared_ptr<EVP_PKEY>(raw_key, &EVP_PKEY_free), false);
  unsigned char* name_der = nullptr;
  int name_size = i2d_X509_NAME(X509_REQ_get_subject_name(request.get()), &name_der);
  CHECK(name_size > 0);
  std::string subject_der(reinterpret_cast<char*>(name_der), static_cast<size_t>(name_size));
  OPENSSL_free(name_der);

  std::unique_ptr<STACK_OF(X509_EXTENSION), void (*)(STACK_OF(X509_EXTENSION)*)> extensions(
      X509_REQ_get_extensions(request.get()),
      [](STACK_OF(X509_EXTENSION) * all) { sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free); });
  NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  AlternativeNames alternatives = read_alternative_names(names.get());
  ERR_clear_error();
  return SigningRequest{read_name(X509_REQ_get_subject_name(request.get())),
                        std::move(subject_der),
                        std::move(alternatives.dns),
                        std::move(alternatives.ip),
                        std::move(alternatives.email),
                        std::move(alternatives.uri),
                        std::move(key)};
}

}  // namespace wherry::pki
