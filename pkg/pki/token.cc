// Signed tokens: JWS compact form with ES256 and RS256 (RFC 7515, RFC 7518 §3.3 and §3.4).

#include <openssl/err.h>

#include "base/encoding.h"
#include "base/strings.h"
#include "pki/openssl.h"
#include "pki/pki.h"

namespace wherry::pki {
namespace {

constexpr size_t kCoordinateBytes = 32;

using EcdsaPtr = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;

// ES256 has the two numbers side by side; OpenSSL has them in DER.
std::string raw_from_der(std::string_view der) {
  const unsigned char* at = bytes_of(der);
  EcdsaPtr numbers(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  CHECK(numbers != nullptr);
  std::string raw(2 * kCoordinateBytes, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(numbers.get()), bytes_of(raw), kCoordinateBytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(numbers.get()), bytes_of(raw) + kCoordinateBytes, kCoordinateBytes);
  return raw;
}

std::string der_from_raw(std::string_view raw) {
  EcdsaPtr numbers(ECDSA_SIG_new());
  ECDSA_SIG_set0(numbers.get(), BN_bin2bn(bytes_of(raw), kCoordinateBytes, nullptr),
                 BN_bin2bn(bytes_of(raw) + kCoordinateBytes, kCoordinateBytes, nullptr));
  unsigned char* der = nullptr;
  int size = i2d_ECDSA_SIG(numbers.get(), &der);
  std::string out(reinterpret_cast<char*>(der), size > 0 ? static_cast<size_t>(size) : 0);
  OPENSSL_free(der);
  return out;
}

}  // namespace

std::string_view token_algorithm(const Key& key) { return key.is_rsa() ? "RS256" : "ES256"; }

std::string sign_token(const Key& key, std::string_view payload_json) {
  CHECK(key.is_private());
  std::string header = fmt::format(R"({{"alg":"{}","kid":"{}"}})", token_algorithm(key), key.id());
  std::string text = base64url_encode(header) + "." + base64url_encode(payload_json);
  DigestPtr context(EVP_MD_CTX_new());
  size_t size = 0;
  CHECK(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.raw()) == 1);
  CHECK(EVP_DigestSign(context.get(), nullptr, &size, bytes_of(text), text.size()) == 1);
  std::string signature(size, '\0');
  CHECK(EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(text), text.size()) ==
        1);
  signature.resize(size);
  if (!key.is_rsa()) signature = raw_from_der(signature);
  return text + "." + base64url_encode(signature);
}

Result<Token> parse_token(std::string_view text) {
  std::vector<std::string_view> parts = split(text, '.');
  Error malformed(Code::kUnauthorized, "the token is malformed");
  if (parts.size() != 3) return malformed;
  std::optional<std::string> header = base64url_decode(parts[0]);
  std::optional<std::string> payload = base64url_decode(parts[1]);
  std::optional<std::string> signature = base64url_decode(parts[2]);
  if (!header || !payload || !signature) return malformed;
  return Token{std::move(*header), std::move(*payload),
               std::string(text.substr(0, parts[0].size() + 1 + parts[1].size())),
               std::move(*signature)};
}

bool verify_token(const Token& token, const Key& key) {
  std::string signature = token.signature;
  if (!key.is_rsa()) {
    if (signature.size() != 2 * kCoordinateBytes) return false;
    signature = der_from_raw(signature);
  }
  DigestPtr context(EVP_MD_CTX_new());
  CHECK(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.raw()) == 1);
  bool good = EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                               bytes_of(token.signed_part), token.signed_part.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace wherry::pki
