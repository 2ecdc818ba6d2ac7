#include "pki/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "base/check.h"
#include "pki/openssl.h"

namespace wherry::pki {
namespace {

constexpr size_t kCoordinateBytes = 32;
constexpr int kRsaBitsMin = 2048;
constexpr size_t kNumberBytesMax = 2048;

using NumberPtr = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;

Result<Key> make(const char* type, const ParamsPtr& params) {
  KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  CHECK(context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1);
  EVP_PKEY* made = nullptr;
  if (EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return Error::invalid("not a key: {}", openssl_error());
  }
  std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>> key(made);
  if (EVP_PKEY_is_a(made, "RSA") == 1 && EVP_PKEY_get_bits(made) < kRsaBitsMin) {
    return Error::invalid("an RSA key of {} bits is not safe", EVP_PKEY_get_bits(made));
  }
  BioPtr bio = bio_for_output();
  CHECK(PEM_write_bio_PUBKEY(bio.get(), made) == 1);
  return Key::from_pem(text_of(bio.get()));
}

}  // namespace

Result<Key> rsa_public_key(std::string_view modulus, std::string_view exponent) {
  init_openssl();
  if (modulus.size() > kNumberBytesMax || exponent.size() > kNumberBytesMax) {
    return Error::invalid("the numbers of the key are too large");
  }
  NumberPtr n(BN_bin2bn(bytes_of(modulus), static_cast<int>(modulus.size()), nullptr));
  NumberPtr e(BN_bin2bn(bytes_of(exponent), static_cast<int>(exponent.size()), nullptr));
  BuilderPtr builder(OSSL_PARAM_BLD_new());
  CHECK(n != nullptr && e != nullptr && builder != nullptr);
  CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 1);
  CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 1);
  return make("RSA", ParamsPtr(OSSL_PARAM_BLD_to_param(builder.get())));
}

Result<Key> p256_public_key(std::string_view x, std::string_view y) {
  init_openssl();
  if (x.size() != kCoordinateBytes || y.size() != kCoordinateBytes) {
    return Error::invalid("a coordinate of P-256 has {} bytes", kCoordinateBytes);
  }
  std::string point = "\x04" + std::string(x) + std::string(y);  // Uncompressed.
  BuilderPtr builder(OSSL_PARAM_BLD_new());
  CHECK(builder != nullptr);
  CHECK(OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) ==
        1);
  CHECK(OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) == 1);
  return make("EC", ParamsPtr(OSSL_PARAM_BLD_to_param(builder.get())));
}

}  // namespace wherry::pki
