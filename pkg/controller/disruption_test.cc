#include <gtest/gtest.h>

#include "controller/all.h"
#include "controller/controller_test.h"

namespace wherry::controller {
namespace {

class DisruptionTest : public ::testing::Test {
 protected:
  void put_budget(std::string_view spec) {
    test_.cluster.put(api::resource("poddisruptionbudgets.policy"),
                      fmt::format(R"({{"kind":"PodDisruptionBudget","apiVersion":"policy/v1",)"
                                  R"("metadata":{{"name":"b","namespace":"default",)"
                                  R"("generation":1}},"spec":{}}})",
                                  spec));
  }
  void put_pod(std::string_view name, std::string_view owner = "") {
    test_.cluster.put(
        api::resource("pods"),
        fmt::format(R"({{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{}","namespace":)"
                    R"("default","labels":{{"a":"b"}}{}}},"spec":{{"nodeName":"n"}},)"
                    R"("status":{{"phase":"Running","conditions":[{{"type":"Ready",)"
                    R"("status":"True"}}]}}}})",
                    name, owner));
  }
  json::Document budget() { return test_.find("poddisruptionbudgets.policy", "b")->document(); }
  int64_t status(std::string_view what) { return budget().root()["status"][what].as_int(); }
  std::string reason() {
    json::Document document = budget();
    return std::string(document.root()["status"]["conditions"].at(0)["reason"].as_string());
  }

  ControllerTest test_{kDisruption};
};

constexpr std::string_view kTwo = R"({"minAvailable":2,"selector":{"matchLabels":{"a":"b"}}})";

TEST_F(DisruptionTest, CountsHealthyPods) {
  put_budget(kTwo);
  test_.settle();
  EXPECT_EQ(status("desiredHealthy"), 2);
  EXPECT_EQ(status("expectedPods"), 0);
  EXPECT_EQ(reason(), "InsufficientPods");
  for (const char* name : {"p1", "p2", "p3"}) put_pod(name);
  test_.settle();
  EXPECT_EQ(status("currentHealthy"), 3);
  EXPECT_EQ(status("disruptionsAllowed"), 1);
  EXPECT_EQ(status("observedGeneration"), 1);
  EXPECT_EQ(reason(), "SufficientPods");
  test_.cluster.change(api::resource("pods"), "default", "p1",
                       R"({"status":{"conditions":[{"type":"Ready","status":"False"}]}})");
  test_.settle();
  EXPECT_EQ(status("disruptionsAllowed"), 0);
}

TEST_F(DisruptionTest, AnEvictedPodCountsAsGoneForAWhile) {
  put_budget(kTwo);
  for (const char* name : {"p1", "p2", "p3"}) put_pod(name);
  test_.settle();
  test_.cluster.change(api::resource("poddisruptionbudgets.policy"), "default", "b",
                       fmt::format(R"({{"status":{{"disruptedPods":{{"p1":"{}"}}}}}})",
                                   format_time(test_.clock.now())));
  std::optional<Duration> wait = test_.pass({"default", "b"});
  ASSERT_TRUE(wait.has_value());
  EXPECT_EQ(status("currentHealthy"), 2);
  EXPECT_EQ(status("disruptionsAllowed"), 0);
  test_.clock.advance(*wait);
  test_.pass({"default", "b"});
  EXPECT_EQ(status("disruptionsAllowed"), 1);
  EXPECT_TRUE(budget().root()["status"]["disruptedPods"].empty());
}

TEST_F(DisruptionTest, MaxUnavailableLooksAtTheControllers) {
  test_.cluster.put(api::resource("replicasets.apps"),
                    R"({"kind":"ReplicaSet","apiVersion":"apps/v1","metadata":{"name":"r",
                        "namespace":"default","uid":"r-uid"},"spec":{"replicas":10}})");
  put_budget(R"({"maxUnavailable":"15%","selector":{}})");
  put_pod("p1", R"(,"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r",
      "uid":"r-uid","controller":true}])");
  test_.settle();
  EXPECT_EQ(status("expectedPods"), 10);
  EXPECT_EQ(status("desiredHealthy"), 8);  // The share that may be away is rounded up.
}

TEST_F(DisruptionTest, WhatCannotBeScaledFailsTheBudget) {
  put_budget(R"({"maxUnavailable":1,"selector":{}})");
  put_pod("p1", R"(,"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"j",
      "uid":"j-uid","controller":true}])");
  EXPECT_FALSE(test_.try_pass({"default", "b"}).ok());
  EXPECT_EQ(reason(), "SyncFailed");
  EXPECT_EQ(status("disruptionsAllowed"), 0);
}

}  // namespace
}  // namespace wherry::controller
