#include "api/secret_tls.h"

#include <gtest/gtest.h>

#include "pki/pki.h"

namespace wherry::api {
namespace {

struct Pair {
  std::string certificate, key;
};

Pair made() {
  pki::Authority authority = pki::Authority::create("ca", SystemClock().now());
  return {authority.certificate.pem(), authority.key.private_pem()};
}

TEST(KeyPairProblem, HasNothingToSayOfAPair) {
  Pair pair = made();
  EXPECT_EQ(key_pair_problem(pair.certificate, pair.key), "");
}

TEST(KeyPairProblem, NamesWhatIsMissing) {
  Pair pair = made();
  EXPECT_EQ(key_pair_problem("a", pair.key),
            "tls: failed to find any PEM data in certificate input");
  EXPECT_EQ(key_pair_problem(pair.certificate, ""),
            "tls: failed to find any PEM data in key input");
  EXPECT_EQ(key_pair_problem(pair.key, pair.certificate),
            "tls: failed to find certificate PEM data in certificate input, but did find a private "
            "key; PEM inputs may have been switched");
  EXPECT_EQ(key_pair_problem(pair.certificate, pair.certificate),
            "tls: found a certificate rather than a key in the PEM for the private key");
}

TEST(KeyPairProblem, TellsAKeyOfAnother) {
  EXPECT_EQ(key_pair_problem(made().certificate, made().key),
            "tls: private key does not match public key");
  EXPECT_EQ(key_pair_problem("-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n",
                             made().key),
            "x509: malformed certificate");
}

}  // namespace
}  // namespace wherry::api
