// Digests, message authentication and sealed boxes.

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>

#include <utility>

#include "base/check.h"
#include "base/encoding.h"
#include "base/random.h"
#include "pki/openssl.h"
#include "pki/pki.h"

namespace wherry::pki {
namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;

std::string digest(const EVP_MD* kind, std::string_view bytes) {
  init_openssl();
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), bytes_of(out), &size, kind, nullptr) == 1);
  out.resize(size);
  return out;
}

}  // namespace

Sha256::Sha256() {
  init_openssl();
  context_ = EVP_MD_CTX_new();
  CHECK(context_ != nullptr && EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }
Sha256::Sha256(Sha256&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}

Sha256& Sha256::operator=(Sha256&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

void Sha256::update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::finish() {
  std::string out(32, '\0');
  CHECK(EVP_DigestFinal_ex(context_, bytes_of(out), nullptr) == 1);
  CHECK(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
  return out;
}

std::string Sha256::finish_hex() { return hex_encode(finish()); }

std::string sha256(std::string_view bytes) { return digest(EVP_sha256(), bytes); }
std::string sha256_hex(std::string_view bytes) { return hex_encode(sha256(bytes)); }
std::string sha512_hex(std::string_view bytes) { return hex_encode(digest(EVP_sha512(), bytes)); }

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  init_openssl();
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(bytes), bytes.size(),
             bytes_of(out), &size) != nullptr);
  out.resize(size);
  return out;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string seal(std::string_view key, std::string_view plain, std::string_view bound) {
  init_openssl();
  CHECK(key.size() == kKeyBytes);
  std::string box = random_bytes(kNonceBytes);
  box.resize(kNonceBytes + plain.size() + kTagBytes);
  CipherPtr context(EVP_CIPHER_CTX_new());
  int size = 0;
  CHECK(EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key),
                           bytes_of(box)) == 1);
  CHECK(EVP_EncryptUpdate(context.get(), nullptr, &size, bytes_of(bound),
                          static_cast<int>(bound.size())) == 1);
  CHECK(EVP_EncryptUpdate(context.get(), bytes_of(box) + kNonceBytes, &size, bytes_of(plain),
                          static_cast<int>(plain.size())) == 1);
  CHECK(EVP_EncryptFinal_ex(context.get(), bytes_of(box) + kNonceBytes + size, &size) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                            bytes_of(box) + box.size() - kTagBytes) == 1);
  return box;
}

Result<std::string> open(std::string_view key, std::string_view box, std::string_view bound) {
  init_openssl();
  CHECK(key.size() == kKeyBytes);
  if (box.size() < kNonceBytes + kTagBytes) return Error::internal("the sealed data is too short");
  std::string_view cipher = box.substr(kNonceBytes, box.size() - kNonceBytes - kTagBytes);
  std::string tag(box.substr(box.size() - kTagBytes));
  std::string plain(cipher.size(), '\0');
  CipherPtr context(EVP_CIPHER_CTX_new());
  int size = 0;
  bool good =
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key), bytes_of(box)) ==
          1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &size, bytes_of(bound),
                        static_cast<int>(bound.size())) == 1 &&
      EVP_DecryptUpdate(context.get(), bytes_of(plain), &size, bytes_of(cipher),
                        static_cast<int>(cipher.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context.get(), bytes_of(plain) + size, &size) == 1;
  ERR_clear_error();
  if (!good) return Error::internal("the sealed data does not open: wrong key, or it was changed");
  return plain;
}

}  // namespace wherry::pki
