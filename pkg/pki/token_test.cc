#include <gtest/gtest.h>

#include "base/encoding.h"
#include "pki/pki.h"

namespace wherry::pki {
namespace {

// RFC 7515, appendix A.3.
constexpr const char* kRfcToken =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    "."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
// The same key in SubjectPublicKeyInfo form, from its x and y.
std::string rfc_key_pem() {
  std::string der = *hex_decode("3059301306072a8648ce3d020106082a8648ce3d03010703420004") +
                    *base64url_decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU") +
                    *base64url_decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
  return "-----BEGIN PUBLIC KEY-----\n" + base64_encode(der) + "\n-----END PUBLIC KEY-----\n";
}

TEST(Token, VerifiesTheExampleOfTheRfc) {
  Result<Key> key = Key::from_pem(rfc_key_pem());
  ASSERT_TRUE(key.ok()) << key.error().message();
  Result<Token> token = parse_token(kRfcToken);
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->header_json, R"({"alg":"ES256"})");
  EXPECT_TRUE(verify_token(*token, *key));
}

TEST(Token, RoundTripAndTampering) {
  Key key = Key::generate();
  std::string text = sign_token(key, R"({"sub":"system:serviceaccount:a:b"})");
  Result<Token> token = parse_token(text);
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->payload_json, R"({"sub":"system:serviceaccount:a:b"})");
  EXPECT_NE(token->header_json.find(key.id()), std::string::npos);
  EXPECT_TRUE(verify_token(*token, key));
  EXPECT_FALSE(verify_token(*token, Key::generate()));
  for (size_t i = 0; i < token->signature.size(); i += 7) {
    Token changed = *token;
    changed.signature[i] = static_cast<char>(changed.signature[i] ^ 1);
    EXPECT_FALSE(verify_token(changed, key));
  }
  Token changed = *token;
  changed.signed_part += "x";
  EXPECT_FALSE(verify_token(changed, key));
  changed = *token;
  changed.signature.clear();
  EXPECT_FALSE(verify_token(changed, key));
}

TEST(Token, RefusesMalformedText) {
  for (const char* text : {"", ".", "..", "a.b", "a.b.c.d", "!.b.c", "YQ.YQ.Y!"}) {
    Result<Token> token = parse_token(text);
    if (token.ok()) {
      EXPECT_FALSE(verify_token(*token, Key::generate())) << text;
    } else {
      EXPECT_EQ(token.error().code(), Code::kUnauthorized);
    }
  }
}

TEST(Key, PemForms) {
  Key key = Key::generate();
  Result<Key> again = Key::from_pem(key.private_pem());
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->is_private());
  EXPECT_EQ(again->id(), key.id());
  Result<Key> half = Key::from_pem(key.public_pem());
  ASSERT_TRUE(half.ok());
  EXPECT_FALSE(half->is_private());
  EXPECT_EQ(half->public_jwk(), key.public_jwk());
  EXPECT_NE(key.public_jwk().find(R"("crv":"P-256")"), std::string::npos);
  EXPECT_FALSE(Key::from_pem("nothing").ok());
}

TEST(Digest, KnownValues) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha512_hex("abc").substr(0, 16), "ddaf35a193617aba");
  // RFC 4231, test case 2.
  EXPECT_EQ(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  Sha256 running;
  running.update("a");
  running.update("");
  running.update("bc");
  EXPECT_EQ(running.finish_hex(), sha256_hex("abc"));
  EXPECT_EQ(running.finish_hex(), sha256_hex(""));
}

TEST(Box, OpensOnlyUnchanged) {
  const std::string key(32, 'k');
  std::string box = seal(key, "secret", "/registry/secrets/a");
  EXPECT_NE(box, seal(key, "secret", "/registry/secrets/a"));
  Result<std::string> plain = open(key, box, "/registry/secrets/a");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(*plain, "secret");
  EXPECT_FALSE(open(key, box, "/registry/secrets/b").ok());
  EXPECT_FALSE(open(std::string(32, 'x'), box, "/registry/secrets/a").ok());
  EXPECT_FALSE(open(key, box.substr(1), "/registry/secrets/a").ok());
  EXPECT_FALSE(open(key, "short", "").ok());
  box[20] = static_cast<char>(box[20] ^ 1);
  EXPECT_FALSE(open(key, box, "/registry/secrets/a").ok());
  EXPECT_TRUE(open(key, seal(key, "", {}), {}).ok());
}

TEST(Compare, ConstantTime) {
  EXPECT_TRUE(constant_time_equal("abc", "abc"));
  EXPECT_FALSE(constant_time_equal("abc", "abd"));
  EXPECT_FALSE(constant_time_equal("abc", "ab"));
}

}  // namespace
}  // namespace wherry::pki
