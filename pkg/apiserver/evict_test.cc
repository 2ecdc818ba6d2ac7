#include <atomic>
#include <thread>

#include "apiserver/test_server.h"

namespace wherry::apiserver {
namespace {

class EvictTest : public MachineryTest {
 protected:
  void make_pod(std::string_view name) {
    create("pods", "default",
           fmt::format(R"({{"metadata":{{"name":"{}","labels":{{"a":"b"}}}},"spec":{{"nodeName":)"
                       R"("n","containers":[{{"name":"c","image":"x"}}]}}}})",
                       name));
    ASSERT_TRUE(try_patch(target("pods", "default", std::string(name), "status"), PatchType::kMerge,
                          R"({"status":{"phase":"Running","conditions":[{"type":"Ready",
                              "status":"True"}]}})")
                    .ok());
  }
  void make_budget(int allowed, std::string_view name = "b") {
    create("poddisruptionbudgets.policy", "default",
           fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"minAvailable":2,"selector":)"
                       R"({{"matchLabels":{{"a":"b"}}}}}}}})",
                       name));
    ASSERT_TRUE(
        try_patch(target("poddisruptionbudgets.policy", "default", std::string(name), "status"),
                  PatchType::kMerge,
                  fmt::format(R"({{"status":{{"observedGeneration":1,"disruptionsAllowed":{},)"
                              R"("desiredHealthy":2,"currentHealthy":2}}}})",
                              allowed))
            .ok());
  }
  Result<ObjectPtr> evict(const std::string& name) {
    Context context = context_;
    json::Document body =
        json::Document::parse(fmt::format(R"({{"metadata":{{"name":"{}"}}}})", name)).value();
    return machinery_->create_subresource(context, target("pods", "default", name, "eviction"),
                                          body.root());
  }
};

TEST_F(EvictTest, SpendsTheBudget) {
  make_pod("p1");
  make_pod("p2");
  make_budget(1);
  ASSERT_TRUE(evict("p1").ok());
  ObjectPtr pod = store_->get("pods", "default", "p1");
  EXPECT_TRUE(pod->deleting());
  EXPECT_NE(pod->json().find("EvictionByEvictionAPI"), std::string::npos);
  ObjectPtr budget = store_->get("poddisruptionbudgets.policy", "default", "b");
  EXPECT_EQ(text(budget, "status.disruptionsAllowed"), "0");
  EXPECT_NE(text(budget, "status.disruptedPods.p1"), "");
  Result<ObjectPtr> second = evict("p2");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kTooManyRequests);
  EXPECT_EQ(second.error().message(),
            "Cannot evict pod as it would violate the pod's disruption budget.");
  ASSERT_EQ(second.error().details().causes.size(), 1U);
  EXPECT_EQ(second.error().details().causes[0].reason, "DisruptionBudget");
  EXPECT_EQ(second.error().details().causes[0].message,
            "The disruption budget b needs 2 healthy pods and has 2 currently");
  EXPECT_TRUE(evict("p1").ok());  // It is on its way already.
}

TEST_F(EvictTest, OneBudgetOnly) {
  make_pod("p1");
  make_budget(1);
  make_budget(1, "c");
  EXPECT_EQ(evict("p1").error().code(), Code::kInternal);
}

TEST_F(EvictTest, RacingEvictionsSpendItOnce) {
  constexpr int kPods = 24;
  for (int i = 0; i < kPods; ++i) make_pod(fmt::format("p{}", i));
  make_budget(5);
  std::atomic<int> gone = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < kPods; ++i) {
      clients.emplace_back([&, i] { gone += evict(fmt::format("p{}", i)).ok(); });
    }
  }
  EXPECT_EQ(gone, 5);
}

}  // namespace
}  // namespace wherry::apiserver
