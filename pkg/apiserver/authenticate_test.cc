#include "apiserver/authenticate.h"

#include "apiserver/test_server.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

class AuthenticateTest : public MachineryTest {
 protected:
  AuthenticateTest() {
    certificate_->common_name = "front-proxy";
    certificate_->organizations = {"proxies"};
    certificate_->sha256 = "abc";
    certificate_->not_after = clock_.now() + std::chrono::hours(1);
  }
  // "name uid groups extra", or "refused".
  std::string who(std::vector<std::pair<std::string, std::string>> headers) {
    Authenticator authenticator(*store_, clock_, means_);
    http::Request request;
    (of_proxies_ ? request.proxy_certificate : request.certificate) = certificate_;
    if (of_proxies_ && certificate_ != nullptr) request.certificate_problem = "unknown authority";
    for (auto& [name, value] : headers) request.headers.add(name, value);
    Result<User> user = authenticator.authenticate(request);
    if (!user.ok()) return "refused";
    std::vector<std::string> extra;
    for (const auto& [key, values] : user->extra) extra.push_back(key + "=" + join(values, "+"));
    return fmt::format("{} {} {} {}", user->name, user->uid, join(user->groups, ","),
                       join(extra, ";"));
  }

  Authenticator::Means means_;
  bool of_proxies_ = true;  // Which authorities have signed the certificate.
  std::shared_ptr<http::PeerCertificate> certificate_ = std::make_shared<http::PeerCertificate>();
};

constexpr const char* kItself =
    "front-proxy  proxies,system:authenticated "
    "authentication.kubernetes.io/credential-id=X509SHA256=abc";

TEST(AuthenticatingProxies, KnowTheFieldsThatNameAUser) {
  AuthenticatingProxies proxies;
  proxies.user = {"X-Forwarded-User"};
  for (const char* field : {"x-forwarded-user", "X-Remote-Uid", "X-REMOTE-GROUP",
                            "X-Remote-Extra-Team", "Impersonate-User"}) {
    EXPECT_TRUE(proxies.is_identity_field(field)) << field;
  }
  for (const char* field : {"X-Remote-User", "X-Forwarded-For", "Accept"}) {
    EXPECT_FALSE(proxies.is_identity_field(field)) << field;
  }
}

TEST_F(AuthenticateTest, AProxyThatIsAllowedSpeaksForOthers) {
  means_.proxies.allowed_names = {"front-proxy"};
  EXPECT_EQ(who({{"X-Remote-User", "joe"}}), "joe  system:authenticated ");
  EXPECT_EQ(who({{"x-remote-user", "joe"},
                 {"X-Remote-Uid", "7"},
                 {"X-Remote-Group", "a"},
                 {"X-Remote-Group", "b,c"},
                 {"X-Remote-Extra-Some%2fKey", "v1"},
                 {"X-Remote-Extra-Some%2Fkey", "v2"},
                 {"X-Remote-Extra-Bad%zz", "v"}}),
            "joe 7 a,b,c,system:authenticated bad%zz=v;some/key=v1+v2");
  EXPECT_EQ(who({{"X-Remote-User", "joe"}, {"Authorization", "Bearer x"}}),
            "joe  system:authenticated ");
  EXPECT_EQ(who({{"X-Remote-User", "system:anonymous"}}), "system:anonymous   ");
  // It is nobody itself.
  EXPECT_EQ(who({{"X-Remote-User", ""}, {"X-Remote-Group", "a"}}), "refused");
  EXPECT_EQ(who({}), "refused");
  means_.proxies.allowed_names.clear();
  EXPECT_EQ(who({{"X-Remote-User", "joe"}}), "joe  system:authenticated ");
}

TEST_F(AuthenticateTest, NobodyElseDoes) {
  means_.proxies.allowed_names = {"front-proxy"};
  means_.static_tokens = {{"secret", {.name = "jane", .uid = {}, .groups = {}, .extra = {}}}};
  certificate_->common_name = "other";
  EXPECT_EQ(who({{"X-Remote-User", "joe"}}), "refused");
  EXPECT_EQ(who({{"X-Remote-User", "joe"}, {"Authorization", "Bearer secret"}}),
            "jane  system:authenticated ");
  certificate_->common_name = "front-proxy";
  certificate_->not_after = clock_.now();
  EXPECT_EQ(who({{"X-Remote-User", "joe"}}), "refused");
  // A client of the cluster is itself, whatever it says and whatever it is called.
  certificate_->not_after = clock_.now() + std::chrono::hours(1);
  of_proxies_ = false;
  EXPECT_EQ(who({{"X-Remote-User", "joe"}}), kItself);
  certificate_ = nullptr;
  EXPECT_EQ(who({{"X-Remote-User", "joe"}}), "system:anonymous  system:unauthenticated ");
}

TEST_F(AuthenticateTest, TokensWithoutAnAudienceAreForTheApiServer) {
  TokenIssuer issuer({pki::Key::generate()}, "https://here");
  means_.tokens = &issuer;
  means_.static_tokens = {{"secret", {.name = "jane", .uid = {}, .groups = {}, .extra = {}}}};
  Authenticator authenticator(*store_, clock_, means_);
  EXPECT_TRUE(authenticator.check_token("secret", {}).ok());
  EXPECT_TRUE(authenticator.check_token("secret", {"vault", "https://here"}).ok());
  EXPECT_FALSE(authenticator.check_token("secret", {"vault"}).ok());
}

}  // namespace
}  // namespace wherry::apiserver
