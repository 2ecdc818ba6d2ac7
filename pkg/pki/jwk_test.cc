#include "pki/jwk.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/encoding.h"
#include "pki/openssl.h"

namespace wherry::pki {
namespace {

// A member of the JSON object that public_jwk() writes, decoded.
std::string member(const Key& key, const std::string& name) {
  std::string jwk = key.public_jwk();
  size_t at = jwk.find("\"" + name + "\":\"") + name.size() + 4;
  return base64url_decode(jwk.substr(at, jwk.find('"', at) - at)).value();
}

Key rsa_key(unsigned bits) {
  std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>> made(EVP_RSA_gen(bits));
  BioPtr bio = bio_for_output();
  EXPECT_EQ(PEM_write_bio_PrivateKey(bio.get(), made.get(), nullptr, nullptr, 0, nullptr, nullptr),
            1);
  return Key::from_pem(text_of(bio.get())).value();
}

TEST(Jwk, NumbersMakeTheKeyAgain) {
  Key p256 = Key::generate();
  Result<Key> read = p256_public_key(member(p256, "x"), member(p256, "y"));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read->id(), p256.id());
  EXPECT_FALSE(read->is_private());
  EXPECT_TRUE(verify_token(parse_token(sign_token(p256, "{}")).value(), *read));

  Key rsa = rsa_key(2048);
  Result<Key> public_rsa = rsa_public_key(member(rsa, "n"), member(rsa, "e"));
  ASSERT_TRUE(public_rsa.ok()) << public_rsa.error().message();
  EXPECT_EQ(public_rsa->id(), rsa.id());
  EXPECT_TRUE(verify_token(parse_token(sign_token(rsa, "{}")).value(), *public_rsa));
}

TEST(Jwk, WhatIsNoKeyIsRefused) {
  Key p256 = Key::generate();
  std::string x = member(p256, "x"), y = member(p256, "y");
  EXPECT_FALSE(p256_public_key(x, x).ok());  // Not on the curve.
  EXPECT_FALSE(p256_public_key(x, y + "1").ok());
  EXPECT_FALSE(p256_public_key("", "").ok());
  Key small = rsa_key(1024);
  EXPECT_FALSE(rsa_public_key(member(small, "n"), member(small, "e")).ok());
  EXPECT_FALSE(rsa_public_key("", "").ok());
  EXPECT_FALSE(rsa_public_key(std::string(4096, '\xff'), "\x03").ok());
}

}  // namespace
}  // namespace wherry::pki
