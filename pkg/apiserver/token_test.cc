#include <gtest/gtest.h>

#include "api/table.h"
#include "apiserver/bootstrap_token.h"
#include "apiserver/legacy_tokens.h"
#include "apiserver/test_server.h"
#include "apiserver/token.h"
#include "apiserver/token_file.h"

namespace wherry::apiserver {
namespace {

TEST(TokenFile, ReadsUsersAndNamesTheLineAtFault) {
  std::vector<StaticToken> all =
      parse_token_file("# who\nt1,joe,7\n\nt2,ann,8,\"dev,ops\"\nt3,\"b,c\",9,one\n").value();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].user.name, "joe");
  EXPECT_TRUE(all[0].user.groups.empty());
  EXPECT_EQ(all[1].user.groups, (std::vector<std::string>{"dev", "ops"}));
  EXPECT_EQ(all[2].user.name, "b,c");
  std::string message = parse_token_file("t1,joe,7\nsecret,joe\n").error().message();
  EXPECT_NE(message.find("line 2"), std::string::npos);
  EXPECT_EQ(message.find("secret"), std::string::npos);
  EXPECT_FALSE(parse_token_file("t1,\"joe,7\n").ok());
  EXPECT_FALSE(parse_token_file(",joe,7\n").ok());
}

TEST(BootstrapToken, HasItsForm) {
  EXPECT_TRUE(looks_like_bootstrap_token("abcdef.0123456789abcdef"));
  for (const char* wrong : {"", "abcdef.0123456789abcde", "abcdeF.0123456789abcdef",
                            "abcdef-0123456789abcdef", "abcdef.0123456789abcdef0"}) {
    EXPECT_FALSE(looks_like_bootstrap_token(wrong)) << wrong;
  }
}

class TokenTest : public MachineryTest {
 protected:
  TokenSubject subject() {
    ObjectPtr account = store_->get("serviceaccounts", "default", "default");
    return {"default", "default", std::string(account->uid())};
  }
  Result<User> check(const std::string& token, const std::vector<std::string>& audiences = {}) {
    return issuer_.verify(token, audiences, *store_, clock_.now());
  }
  pki::Key first_ = pki::Key::generate();
  TokenIssuer issuer_{{first_}};
};

TEST_F(TokenTest, KeysMayChangeAndOldOnesVerify) {
  std::string old = issuer_.issue(subject(), {}, {}, clock_.now(), std::chrono::hours(1));
  pki::Key second = pki::Key::generate();
  issuer_.set_keys({second, pki::Key::from_pem(first_.public_pem()).value()});
  std::string fresh = issuer_.issue(subject(), {}, {}, clock_.now(), std::chrono::hours(1));
  EXPECT_TRUE(check(old).ok());
  EXPECT_TRUE(check(fresh).ok());
  EXPECT_TRUE(TokenIssuer({second}).verify(fresh, {}, *store_, clock_.now()).ok());
  issuer_.set_keys({second});
  EXPECT_FALSE(check(old).ok());
}

// Of what was asked for only what the token says of itself: more would pass one service's tokens
// off as another's.
TEST_F(TokenTest, TellsTheAudiencesThatATokenIsFor) {
  auto fitting = [this](const std::vector<std::string>& of_token,
                        const std::vector<std::string>& wanted) {
    std::string token = issuer_.issue(subject(), {}, of_token, clock_.now(), std::chrono::hours(1));
    std::vector<std::string> out;
    Result<User> user = issuer_.verify(token, wanted, *store_, clock_.now(), &out);
    return user.ok() ? out : std::vector<std::string>{"refused"};
  };
  using Audiences = std::vector<std::string>;
  EXPECT_EQ(fitting({"vault"}, {"vault", issuer_.issuer()}), Audiences{"vault"});
  EXPECT_EQ(fitting({}, {"vault", issuer_.issuer()}), Audiences{issuer_.issuer()});
  EXPECT_EQ(fitting({"b", "a"}, {"a", "b", "c"}), (Audiences{"b", "a"}));
  EXPECT_EQ(fitting({}, {}), Audiences{issuer_.issuer()});
  EXPECT_EQ(fitting({"vault"}, {}), Audiences{"refused"});
}

TEST_F(TokenTest, KnownTokensAreLookedAtAllTheSame) {
  std::string token = issuer_.issue(subject(), {}, {}, clock_.now(), std::chrono::hours(1));
  EXPECT_TRUE(check(token).ok());
  EXPECT_TRUE(check(token).ok());
  // What was put together of two good ones is no third.
  std::string other = issuer_.issue(subject(), {}, {}, clock_.now(), std::chrono::hours(2));
  EXPECT_TRUE(check(other).ok());
  std::string swapped =
      token.substr(0, token.rfind('.')) + std::string(other).substr(other.rfind('.'));
  EXPECT_FALSE(check(swapped).ok());
  EXPECT_FALSE(check(token, {"elsewhere"}).ok());
  clock_.advance(std::chrono::hours(1));
  EXPECT_FALSE(check(token).ok());
  EXPECT_TRUE(check(other).ok());
}

TEST_F(TokenTest, ExpiresAndKeepsToItsAudience) {
  std::string token = issuer_.issue(subject(), {}, {"vault"}, clock_.now(), std::chrono::hours(1));
  EXPECT_FALSE(check(token).ok());
  EXPECT_TRUE(check(token, {"vault", "other"}).ok());
  EXPECT_FALSE(check(token, {"other"}).ok());
  clock_.advance(std::chrono::hours(1));
  EXPECT_FALSE(check(token, {"vault"}).ok());
}

TEST_F(TokenTest, StandsAndFallsWithWhatItIsBoundTo) {
  ObjectPtr secret = create("secrets", "default", R"({"metadata":{"name":"s"}})");
  TokenBinding binding{.kind = "secret", .name = "s", .uid = std::string(secret->uid())};
  std::string bound = issuer_.issue(subject(), binding, {}, clock_.now(), std::chrono::hours(1));
  ObjectPtr node = create("nodes", "", R"({"metadata":{"name":"n"}})");
  TokenBinding to_node{.kind = "node", .name = "n", .uid = std::string(node->uid())};
  std::string on_node = issuer_.issue(subject(), to_node, {}, clock_.now(), std::chrono::hours(1));
  EXPECT_TRUE(check(bound).ok());
  EXPECT_TRUE(check(on_node).ok());
  ASSERT_TRUE(remove(target("secrets", "default", "s")).ok());
  ASSERT_TRUE(remove(target("nodes", "", "n")).ok());
  EXPECT_FALSE(check(bound).ok());
  EXPECT_FALSE(check(on_node).ok());
}

TEST_F(TokenTest, ALegacyTokenIsGoodForAsLongAsItsSecretHoldsIt) {
  std::string token = issuer_.issue_legacy(subject(), "s");
  EXPECT_FALSE(check(token).ok());
  create("secrets", "default",
         fmt::format(R"({{"metadata":{{"name":"s"}},"stringData":{{"token":"{}"}}}})", token));
  EXPECT_TRUE(check(token).ok());
  // Another one for the same Secret, which that does not hold: signatures differ.
  EXPECT_FALSE(check(issuer_.issue_legacy(subject(), "s")).ok());
  ASSERT_TRUE(remove(target("secrets", "default", "s")).ok());
  EXPECT_FALSE(check(token).ok());
}

TEST_F(TokenTest, TheUseOfALegacyTokenIsNotedOnceADay) {
  issuer_.set_legacy_use([this](const api::Object& secret, const std::string& day) {
    note_legacy_use(*machinery_, secret, day);
  });
  std::string token = issuer_.issue_legacy(subject(), "s");
  create("secrets", "default",
         fmt::format(R"({{"metadata":{{"name":"s"}},"stringData":{{"token":"{}"}}}})", token));
  auto stored = [this] { return store_->get("secrets", "default", "s"); };
  auto day = [&] {
    json::Document document = stored()->document();
    return std::string(document.root()["metadata"]["labels"][kLegacyLastUsed].as_string());
  };
  EXPECT_TRUE(check(token).ok());
  std::string today = format_time(clock_.now()).substr(0, 10);
  EXPECT_EQ(day(), today);
  Revision before = stored()->revision();
  EXPECT_TRUE(check(token).ok());
  EXPECT_EQ(stored()->revision(), before);
  clock_.advance(std::chrono::hours(24));
  EXPECT_TRUE(check(token).ok());
  EXPECT_NE(day(), today);

  ASSERT_TRUE(
      try_patch(target("secrets", "default", "s"), PatchType::kMerge,
                R"({"metadata":{"labels":{"kubernetes.io/legacy-token-invalid-since":"x"}}})")
          .ok());
  Result<User> refused = check(token);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(),
            "the token in secret default/s for service account default/default has been marked "
            "invalid. Use tokens from the TokenRequest API or manually created secret-based "
            "tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the "
            "secret to temporarily allow use of this token");
}

}  // namespace
}  // namespace wherry::apiserver
