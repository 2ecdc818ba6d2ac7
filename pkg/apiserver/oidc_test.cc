#include "apiserver/oidc.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/strings.h"
#include "http/server.h"
#include "json/json.h"

namespace wherry::apiserver {
namespace {

// A small OpenID provider on loopback.
class Provider {
 public:
  Provider() {
    Time now = SystemClock().now();
    pki::Key key = pki::Key::generate();
    pki::CertificateSpec spec;
    spec.subject.common_name = "issuer";
    spec.ip_addresses = {"127.0.0.1"};
    spec.server_auth = true;
    spec.now = now;
    pki::Authority authority = pki::Authority::create("test", now);
    ca_pem = authority.certificate.pem();
    http::Server::Options options;
    options.addresses = {"127.0.0.1:0"};
    options.tls = std::make_shared<http::TlsCredentials>(
        http::TlsCredentials{authority.issue(key, spec).value().pem(), key.private_pem(), {}});
    options.handler = [this](http::Request& request, http::Response& response) {
      answer(request, response);
    };
    server_ = std::make_unique<http::Server>(std::move(options));
    server_->start().value();
  }

  std::string url() const { return fmt::format("https://127.0.0.1:{}/realm", server_->port()); }
  void set_keys(std::vector<pki::Key> keys) {
    MutexLock lock(mutex_);
    keys_ = std::move(keys);
  }

  std::string ca_pem;
  std::atomic<int> fetches = 0;

 private:
  void answer(const http::Request& request, http::Response& response) {
    std::string body;
    if (request.path == "/realm/.well-known/openid-configuration") {
      body = fmt::format(R"({{"issuer":"{0}","jwks_uri":"{0}/keys"}})", url());
    } else if (request.path == "/realm/keys") {
      ++fetches;
      MutexLock lock(mutex_);
      std::vector<std::string> keys = {R"({"kty":"OKP","crv":"Ed25519","kid":"other"})"};
      for (const pki::Key& key : keys_) keys.push_back(key.public_jwk());
      body = R"({"keys":[)" + join(keys, ",") + "]}";
    } else {
      response.status = 404;
    }
    response.set_body("application/json", std::move(body));
  }

  Mutex mutex_;
  std::vector<pki::Key> keys_ GUARDED_BY(mutex_);
  std::unique_ptr<http::Server> server_;
};

class OidcTest : public ::testing::Test {
 protected:
  OidcTest() {
    provider_.set_keys({key_});
    options_.issuer_url = provider_.url();
    options_.client_id = "wherry";
    options_.groups_claim = "roles";
    options_.groups_prefix = "oidc:";
    options_.signing_algorithms = {"ES256"};
    options_.ca_pem = provider_.ca_pem;
  }
  void start() {
    verifier_ = std::make_unique<OidcVerifier>(options_, clock_);
    verifier_->start();
  }

  // Good claims with a merge: members of `changes` replace or, when null, remove.
  std::string claims(std::string_view changes = "{}") {
    json::Draft draft;
    json::Node root = draft.root();
    root.set("iss", provider_.url());
    root.set("aud", "wherry");
    root.set("sub", "jane");
    root.set("exp", seconds(60));
    root.set("jti", "7");
    json::Document changed = json::Document::parse(changes).value();
    for (auto [key, value] : changed.root().members()) {
      root.remove(key);
      if (!value.is_null()) root.set(key, value);
    }
    return draft.dump();
  }
  int64_t seconds(int64_t later) const {
    return std::chrono::duration_cast<std::chrono::seconds>(clock_.now().time_since_epoch())
               .count() +
           later;
  }
  // "name groups", or why it was refused.
  std::string who(const std::string& claims_json, const pki::Key& key) {
    pki::Token token = pki::parse_token(pki::sign_token(key, claims_json)).value();
    Result<User> user = verifier_->verify(token);
    return user.ok() ? user->name + " " + join(user->groups, ",") : user.error().message();
  }
  std::string who(const std::string& claims_json) { return who(claims_json, key_); }

  FakeClock clock_;
  pki::Key key_ = pki::Key::generate();
  Provider provider_;
  OidcOptions options_;
  std::unique_ptr<OidcVerifier> verifier_;
};

TEST_F(OidcTest, AGoodTokenIsItsUser) {
  start();
  std::string prefix = provider_.url() + "#";
  EXPECT_EQ(who(claims()), prefix + "jane system:authenticated");
  EXPECT_EQ(who(claims(R"({"roles":["a","b"],"aud":["x","wherry"]})")),
            prefix + "jane oidc:a,oidc:b,system:authenticated");
  EXPECT_EQ(who(claims(R"({"roles":"a"})")), prefix + "jane oidc:a,system:authenticated");
  EXPECT_EQ(who(claims(R"({"roles":null})")), prefix + "jane system:authenticated");
  EXPECT_EQ(who(claims(fmt::format(R"({{"exp":"{}","nbf":{}}})", seconds(9), seconds(50)))),
            prefix + "jane system:authenticated");
  pki::Token token = pki::parse_token(pki::sign_token(key_, claims())).value();
  EXPECT_TRUE(verifier_->is_issuer_of(token));
  Result<User> user = verifier_->verify(token);
  ASSERT_TRUE(user.ok() && user->extra.size() == 1);
  EXPECT_EQ(user->extra[0].second, std::vector<std::string>{"JTI=7"});
}

TEST_F(OidcTest, WhatIsNotGoodIsRefused) {
  start();
  EXPECT_EQ(who(claims(R"({"aud":"other"})")), "oidc: for another audience");
  EXPECT_EQ(who(claims(R"({"aud":null})")), "oidc: for another audience");
  EXPECT_EQ(who(claims(R"({"iss":"https://evil.example"})")), "oidc: of another issuer");
  EXPECT_EQ(who(claims(R"({"exp":null})")), "oidc: the token has expired");
  EXPECT_EQ(who(claims(R"({"exp":1e300})")), "oidc: the claim \"exp\" is no time");
  EXPECT_EQ(who(claims(R"({"nbf":"noon"})")), "oidc: the claim \"nbf\" is no time");
  EXPECT_EQ(who(claims(fmt::format(R"({{"nbf":{}}})", seconds(61)))),
            "oidc: the token is not valid yet");
  EXPECT_EQ(who(claims(R"({"sub":null})")), "oidc: the claim \"sub\" is missing");
  EXPECT_EQ(who(claims(R"({"roles":{"a":1}})")), "oidc: the claim roles is no list");
  EXPECT_EQ(who(claims(R"({"_claim_names":{"roles":"there"}})")),
            "oidc: groups that stand elsewhere (distributed claims) are not supported");
  EXPECT_EQ(who(claims(), pki::Key::generate()), "oidc: no key of the issuer has signed it");
  std::string good = claims();
  clock_.advance(std::chrono::seconds(61));
  EXPECT_EQ(who(good), "oidc: the token has expired");
  // The header's algorithm must be an allowed one, and the key's.
  pki::Token token = pki::parse_token(pki::sign_token(key_, claims())).value();
  token.header_json = R"({"alg":"none"})";
  EXPECT_FALSE(verifier_->verify(token).ok());
  token.header_json = R"({"alg":"RS256"})";
  EXPECT_FALSE(verifier_->verify(token).ok());
}

TEST_F(OidcTest, NamesAndClaimsAsTheFlagsSay) {
  options_.username_claim = "email";
  options_.required_claims = {"hd=example.com"};
  start();
  EXPECT_EQ(who(claims(R"({"email":"j@example.com","hd":"example.com"})")),
            "j@example.com system:authenticated");
  EXPECT_EQ(who(claims(R"({"email":"j@example.com","hd":"example.com","email_verified":false})")),
            "oidc: the email is not verified");
  EXPECT_EQ(who(claims(R"({"email":"j@example.com"})")),
            "oidc: the claim \"hd\" is not as required");
  options_.username_claim = "sub";
  options_.username_prefix = "-";
  options_.required_claims.clear();
  start();
  EXPECT_EQ(who(claims()), "jane system:authenticated");
}

TEST_F(OidcTest, ANewKeyIsFetchedOnceWhenATokenNamesIt) {
  start();
  std::string name = provider_.url() + "#jane system:authenticated";
  EXPECT_EQ(who(claims()), name);
  EXPECT_EQ(provider_.fetches, 1);
  pki::Key next = pki::Key::generate();
  provider_.set_keys({next});
  // Not at once: tokens must not make us ask again and again.
  EXPECT_NE(who(claims(), next), name);
  EXPECT_EQ(provider_.fetches, 1);
  clock_.advance(std::chrono::seconds(11));
  EXPECT_EQ(who(claims(), next), name);
  EXPECT_EQ(provider_.fetches, 2);
  EXPECT_NE(who(claims(), key_), name);  // The old one has gone.
  EXPECT_EQ(provider_.fetches, 2);
}

TEST(OidcOptions, MistakesAreNamed) {
  OidcOptions options;
  options.issuer_url = "http://x";
  EXPECT_EQ(options.check().error().message(),
            "--oidc-issuer-url and --oidc-client-id go together");
  options.client_id = "c";
  EXPECT_EQ(options.check().error().message(), "--oidc-issuer-url http://x is no https URL");
  options.issuer_url = "https://x";
  options.signing_algorithms = {"HS256"};
  EXPECT_EQ(options.check().error().message(),
            "--oidc-signing-algs HS256: RS256 and ES256 are supported");
  options.signing_algorithms = {"RS256"};
  options.required_claims = {"a"};
  EXPECT_EQ(options.check().error().message(),
            "--oidc-required-claim a is not of the form key=value");
}

}  // namespace
}  // namespace wherry::apiserver
