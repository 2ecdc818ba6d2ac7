#include <gtest/gtest.h>

#include "base/encoding.h"
#include "controller/all.h"
#include "controller/controller_test.h"

namespace wherry::controller {
namespace {

std::string data_of(const ObjectPtr& secret, std::string_view key) {
  json::Document document = secret->document();
  return base64_decode(document.root()["data"][key].as_string()).value_or("?");
}

class ServiceAccountTokensTest : public testing::Test {
 protected:
  ServiceAccountTokensTest() {
    test_.facts.root_ca_pem = [] { return "PEM"; };
    test_.facts.legacy_token = [](std::string_view ns, std::string_view name, std::string_view uid,
                                  std::string_view secret) {
      return fmt::format("token {} {} {} {}", ns, name, uid, secret);
    };
    test_.cluster.put(api::resource("serviceaccounts"),
                      R"({"metadata":{"name":"a","namespace":"default","uid":"u1"}})");
  }
  void put(const std::string& name, const std::string& account, const std::string& more = "") {
    test_.cluster.put(
        api::resource("secrets"),
        fmt::format(R"({{"type":"kubernetes.io/service-account-token","metadata":{{"name":"{}",)"
                    R"("namespace":"default","annotations":{{)"
                    R"("kubernetes.io/service-account.name":"{}"{}}}}}}})",
                    name, account, more));
  }
  ControllerTest test_{kServiceAccountTokens};
};

TEST_F(ServiceAccountTokensTest, FillsAndLeavesAlone) {
  put("s", "a");
  test_.settle();
  ObjectPtr secret = test_.find("secrets", "s");
  std::string uid(test_.find("serviceaccounts", "a")->uid());
  EXPECT_EQ(data_of(secret, "token"), "token default a " + uid + " s");
  EXPECT_EQ(data_of(secret, "ca.crt"), "PEM");
  EXPECT_EQ(data_of(secret, "namespace"), "default");
  test_.pass({"default", "s"});
  EXPECT_EQ(test_.find("secrets", "s")->revision(), secret->revision());
}

TEST_F(ServiceAccountTokensTest, GoWithTheirAccount) {
  put("s", "nobody");
  put("other", "a", R"(,"kubernetes.io/service-account.uid":"of-an-earlier-one")");
  test_.settle();
  EXPECT_EQ(test_.find("secrets", "s"), nullptr);
  EXPECT_EQ(test_.find("secrets", "other"), nullptr);
  put("s", "a");
  test_.settle();
  ASSERT_NE(test_.find("secrets", "s"), nullptr);
  ASSERT_TRUE(test_.cluster.remove(api::resource("serviceaccounts"), "default", "a", {}).ok());
  test_.settle();
  EXPECT_EQ(test_.find("secrets", "s"), nullptr);
}

TEST(TokenCleaner, RemovesExpiredTokens) {
  ControllerTest test(kTokenCleaner);
  auto put = [&test](const std::string& name, const std::string& type, Time expires) {
    test.cluster.put(api::resource("secrets"),
                     fmt::format(R"({{"type":"{}","metadata":{{"name":"{}",)"
                                 R"("namespace":"kube-system"}},"data":{{"expiration":"{}"}}}})",
                                 type, name, base64_encode(format_time(expires))));
  };
  Time soon = test.clock.now() + std::chrono::hours(1);
  put("t", "bootstrap.kubernetes.io/token", soon);
  put("o", "Opaque", soon);
  EXPECT_EQ(test.pass({"kube-system", "t"}), Duration(std::chrono::hours(1)));
  EXPECT_EQ(test.pass({"kube-system", "o"}), std::nullopt);
  test.clock.advance(std::chrono::hours(1));
  test.pass({"kube-system", "t"});
  test.pass({"kube-system", "o"});
  EXPECT_EQ(test.find("secrets", "t", "kube-system"), nullptr);
  EXPECT_NE(test.find("secrets", "o", "kube-system"), nullptr);
}

}  // namespace
}  // namespace wherry::controller
