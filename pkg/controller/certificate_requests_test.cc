#include "controller/certificate_requests.h"

#include <gtest/gtest.h>

#include <set>

#include "base/encoding.h"
#include "controller/all.h"
#include "controller/controller_test.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kResource = "certificatesigningrequests.certificates.k8s.io";
constexpr const char* kClient = "kubernetes.io/kube-apiserver-client";
constexpr const char* kKubeletClient = "kubernetes.io/kube-apiserver-client-kubelet";
constexpr const char* kServing = "kubernetes.io/kubelet-serving";

class CertificateRequestsTest : public testing::Test {
 protected:
  CertificateRequestsTest() {
    test_.facts.client_authority = [this] { return clients_; };
    test_.facts.serving_authority = [this] { return servers_; };
  }
  struct Wish {
    std::string signer;
    pki::Subject subject;
    std::vector<std::string> usages;
    std::vector<std::string> dns_names = {};
    std::string username = "joe";
    std::vector<std::string> groups = {"system:authenticated"};
    int64_t seconds = 0;
  };
  void ask(const Wish& wish, bool approved) {
    std::string pem = pki::SigningRequest::create(key_, wish.subject, wish.dns_names);
    json::Draft draft;
    json::Node root = draft.root();
    root.set("kind", "CertificateSigningRequest");
    root.set("apiVersion", "certificates.k8s.io/v1");
    root.set_object("metadata").set("name", "r");
    root["metadata"].set("creationTimestamp", format_time(test_.clock.now()));
    json::Node spec = root.set_object("spec");
    spec.set("request", base64_encode(pem));
    spec.set("signerName", wish.signer);
    spec.set("username", wish.username);
    if (wish.seconds != 0) spec.set("expirationSeconds", wish.seconds);
    json::Node usages = spec.set_array("usages");
    for (const std::string& usage : wish.usages) usages.push(usage);
    json::Node groups = spec.set_array("groups");
    for (const std::string& group : wish.groups) groups.push(group);
    if (approved) {
      json::Node condition = root.set_object("status").set_array("conditions").push_object();
      condition.set("type", "Approved");
      condition.set("status", "True");
      condition.set("lastUpdateTime", format_time(test_.clock.now()));
    }
    json::Document made = draft.freeze();
    test_.cluster.put(api::resource(kResource), made.root().dump());
  }
  json::Document now() { return test_.find(kResource, "r", "")->document(); }
  std::string last_condition() {
    json::Document document = now();
    json::Value list = document.root()["status"]["conditions"];
    if (list.empty()) return "none";
    json::Value last = list.at(list.size() - 1);
    return fmt::format("{} {} {}", last["type"].as_string(), last["reason"].as_string(),
                       last["message"].as_string());
  }
  std::optional<pki::Certificate> issued() {
    json::Document document = now();
    std::string pem =
        base64_decode(document.root()["status"]["certificate"].as_string()).value_or("");
    if (pem.empty()) return std::nullopt;
    return pki::Certificate::from_pem(pem).value();
  }

  ControllerTest test_{kCertificateRequests};
  pki::Authority clients_ = pki::Authority::create("clients", test_.clock.now());
  pki::Authority servers_ = pki::Authority::create("servers", test_.clock.now());
  pki::Key key_ = pki::Key::generate();
};

TEST_F(CertificateRequestsTest, SignsWhatIsApproved) {
  ask({.signer = kClient, .subject = {"joe", {"dev"}}, .usages = {"client auth"}, .seconds = 3600},
      false);
  test_.settle();
  EXPECT_FALSE(issued());
  ask({.signer = kClient, .subject = {"joe", {"dev"}}, .usages = {"client auth"}, .seconds = 3600},
      true);
  test_.pass({"", "r"});
  ASSERT_TRUE(issued());
  EXPECT_EQ(issued()->subject().common_name, "joe");
  EXPECT_TRUE(issued()->signed_by(clients_.certificate));
  EXPECT_TRUE(issued()->matches(key_));
  EXPECT_EQ(issued()->not_after(), test_.clock.now() + std::chrono::hours(1));
}

TEST_F(CertificateRequestsTest, ServersAreSignedByTheirOwnAuthority) {
  ask({.signer = kServing,
       .subject = {"system:node:n", {"system:nodes"}},
       .usages = {"server auth", "digital signature"},
       .dns_names = {"n"}},
      true);
  test_.pass({"", "r"});
  ASSERT_TRUE(issued());
  EXPECT_TRUE(issued()->signed_by(servers_.certificate));
  EXPECT_EQ(issued()->dns_names(), std::vector<std::string>{"n"});
}

TEST_F(CertificateRequestsTest, SaysWhyItDoesNotSign) {
  const std::pair<Wish, std::string> kRefusals[] = {
      {{kClient, {"joe", {}}, {"server auth"}},
       "invalid usage for client certificate: server auth"},
      {{kClient, {"joe", {}}, {"digital signature"}},
       "missing required usage for client certificate: client auth"},
      {{kKubeletClient, {"joe", {"system:nodes"}}, {"client auth", "digital signature"}},
       "subject common name does not begin with system:node:"},
      {{kKubeletClient, {"system:node:n", {"system:nodes"}}, {"client auth"}},
       "usages did not match [client auth digital signature key encipherment]"},
      {{kKubeletClient, {"system:node:n", {"system:nodes"}}, {"client auth"}, {"n"}},
       "DNS subjectAltNames are not allowed"},
      {{kServing, {"system:node:n", {"system:nodes"}}, {"server auth", "digital signature"}},
       "DNS or IP subjectAltName is required"},
      {{kServing, {"system:node:n", {}}, {"server auth", "digital signature"}, {"n"}},
       "subject organization is not system:nodes"},
  };
  for (const auto& [wish, why] : kRefusals) {
    ask(wish, true);
    test_.pass({"", "r"});
    EXPECT_EQ(last_condition(), "Failed SignerValidationFailure " + why);
    EXPECT_FALSE(issued());
  }
}

TEST_F(CertificateRequestsTest, OthersSignersRequestsAreLeftAlone) {
  ask({.signer = "example.com/mine", .subject = {"joe", {}}, .usages = {"client auth"}}, true);
  test_.pass({"", "r"});
  EXPECT_FALSE(issued());
}

TEST_F(CertificateRequestsTest, NodesAreApprovedByRight) {
  // Who may do what, as "user subresource"; the server's groups and bindings are not played here.
  std::set<std::string> rights;
  std::string asked;
  test_.cluster.completions["subjectaccessreviews.authorization.k8s.io"] = [&](json::Node review) {
    json::Node spec = review["spec"];
    json::Node wanted = spec["resourceAttributes"];
    asked = fmt::format("{} {}/{}.{}", wanted["verb"].as_string(), wanted["resource"].as_string(),
                        wanted["subresource"].as_string(), wanted["group"].as_string());
    std::string right =
        fmt::format("{} {}", spec["user"].as_string(), wanted["subresource"].as_string());
    review.ensure_object("status").set("allowed", rights.contains(right));
  };
  Wish wish{.signer = kKubeletClient,
            .subject = {"system:node:n", {"system:nodes"}},
            .usages = {"client auth", "digital signature", "key encipherment"}};
  auto outcome = [&](std::string username, std::string right) {
    wish.username = std::move(username);
    rights = {wish.username + " " + right};
    ask(wish, false);
    test_.pass({"", "r"});
    return last_condition();
  };
  EXPECT_EQ(outcome("joe", "none"), "none");
  EXPECT_EQ(asked, "create certificatesigningrequests/nodeclient.certificates.k8s.io");
  EXPECT_EQ(test_.pass({"", "r"}), Duration(std::chrono::seconds(1)));
  test_.clock.advance(std::chrono::seconds(30));
  EXPECT_EQ(test_.pass({"", "r"}), Duration(std::chrono::seconds(30)));
  EXPECT_EQ(outcome("joe", "selfnodeclient"), "none");
  EXPECT_EQ(outcome("system:node:other", "selfnodeclient"), "none");
  EXPECT_EQ(outcome("system:node:n", "selfnodeclient"),
            "Approved AutoApproved Auto approving self kubelet client certificate after "
            "SubjectAccessReview.");
  EXPECT_EQ(outcome("system:bootstrap:abcdef", "nodeclient"),
            "Approved AutoApproved Auto approving kubelet client certificate after "
            "SubjectAccessReview.");
  test_.pass({"", "r"});
  EXPECT_TRUE(issued());
}

TEST_F(CertificateRequestsTest, OldRequestsAreClearedAway) {
  ask({.signer = kClient, .subject = {"joe", {}}, .usages = {"client auth"}}, false);
  EXPECT_EQ(test_.pass({"", "r"}), Duration(std::chrono::hours(24)));
  test_.clock.advance(std::chrono::hours(24));
  EXPECT_EQ(test_.pass({"", "r"}), std::nullopt);
  EXPECT_EQ(test_.find(kResource, "r", ""), nullptr);
  ask({.signer = kClient, .subject = {"joe", {}}, .usages = {"client auth"}, .seconds = 1200},
      true);
  test_.pass({"", "r"});
  EXPECT_EQ(test_.pass({"", "r"}), Duration(std::chrono::minutes(20)));
  test_.clock.advance(std::chrono::minutes(20));
  test_.pass({"", "r"});
  EXPECT_EQ(test_.find(kResource, "r", ""), nullptr);
}

}  // namespace
}  // namespace wherry::controller
