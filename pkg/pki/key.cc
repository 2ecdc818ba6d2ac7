// Keys: making, reading, writing, and naming them.

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/encoding.h"
#include "pki/openssl.h"
#include "pki/pki.h"

namespace wherry::pki {
namespace {

constexpr size_t kP256Bytes = 32;

// A member of the key as a big-endian number, padded to `size` bytes when that is given.
std::string number(EVP_PKEY* key, const char* name, size_t size) {
  BIGNUM* value = nullptr;
  CHECK(EVP_PKEY_get_bn_param(key, name, &value) == 1);
  std::string bytes(size != 0 ? size : static_cast<size_t>(BN_num_bytes(value)), '\0');
  CHECK(BN_bn2binpad(value, bytes_of(bytes), static_cast<int>(bytes.size())) >= 0);
  BN_free(value);
  return bytes;
}

bool is_p256(EVP_PKEY* key) {
  char group[64] = "";
  size_t size = 0;
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group, sizeof(group), &size) == 1 &&
         std::string_view(group) == SN_X9_62_prime256v1;
}

// No prompt for keys that want a password: those do not load.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) { return -1; }

}  // namespace

void init_openssl() { OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr); }

std::string openssl_error() {
  unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown error";
}

BioPtr bio_from(std::string_view text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  CHECK(bio != nullptr);
  return bio;
}

BioPtr bio_for_output() {
  BioPtr bio(BIO_new(BIO_s_mem()));
  CHECK(bio != nullptr);
  return bio;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

std::string public_key_der(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(key, &der);
  CHECK(size > 0);
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

Key Key::generate() {
  init_openssl();
  EVP_PKEY* made = EVP_EC_gen("P-256");
  CHECK(made != nullptr);
  return {std::shared_ptr<EVP_PKEY>(made, &EVP_PKEY_free), true};
}

Result<Key> Key::from_pem(std::string_view pem) {
  init_openssl();
  ERR_clear_error();
  bool is_private = true;
  EVP_PKEY* read = PEM_read_bio_PrivateKey(bio_from(pem).get(), nullptr, &no_password, nullptr);
  if (read == nullptr) {
    is_private = false;
    read = PEM_read_bio_PUBKEY(bio_from(pem).get(), nullptr, &no_password, nullptr);
  }
  if (read == nullptr) return Error::invalid("not a key in PEM form: {}", openssl_error());
  ERR_clear_error();
  std::shared_ptr<EVP_PKEY> key(read, &EVP_PKEY_free);
  if (!is_p256(read) && EVP_PKEY_is_a(read, "RSA") != 1) {
    return Error::invalid("only P-256 and RSA keys are supported");
  }
  return Key(std::move(key), is_private);
}

std::string Key::private_pem() const {
  CHECK(private_);
  BioPtr bio = bio_for_output();
  CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr,
                                      nullptr) == 1);
  return text_of(bio.get());
}

std::string Key::public_pem() const {
  BioPtr bio = bio_for_output();
  CHECK(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
  return text_of(bio.get());
}

std::string Key::id() const { return base64url_encode(sha256(public_key_der(key_.get()))); }

bool Key::is_rsa() const { return EVP_PKEY_is_a(key_.get(), "RSA") == 1; }

std::string Key::public_jwk() const {
  if (is_rsa()) {
    return fmt::format(R"({{"use":"sig","kty":"RSA","kid":"{}","alg":"RS256","n":"{}","e":"{}"}})",
                       id(), base64url_encode(number(key_.get(), OSSL_PKEY_PARAM_RSA_N, 0)),
                       base64url_encode(number(key_.get(), OSSL_PKEY_PARAM_RSA_E, 0)));
  }
  return fmt::format(
      R"({{"use":"sig","kty":"EC","kid":"{}","crv":"P-256","alg":"ES256","x":"{}","y":"{}"}})",
      id(), base64url_encode(number(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, kP256Bytes)),
      base64url_encode(number(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, kP256Bytes)));
}

}  // namespace wherry::pki
