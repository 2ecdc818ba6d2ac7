// ReplicaSet and Deployment over a cluster in memory.

#include <gtest/gtest.h>

#include "controller/all.h"
#include "controller/controller_test.h"
#include "controller/owners.h"

namespace wherry::controller {
namespace {

const ObjectKey kWeb{"default", "web"};

constexpr std::string_view kSet = R"(
metadata: {name: web, namespace: default, generation: 1}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}
)";

TEST(ReplicaSet, MakesWhatIsMissingAndReportsIt) {
  ControllerTest test(kReplicaSet);
  test.cluster.put(api::resource("replicasets.apps"), kSet);
  test.settle();
  EXPECT_EQ(test.list("pods").size(), 3U);
  json::Document set = test.find("replicasets.apps", "web")->document();
  EXPECT_EQ(set.root()["status"]["replicas"].as_int(), 3);
  EXPECT_EQ(set.root()["status"]["observedGeneration"].as_int(), 1);
  EXPECT_EQ(test.event_reasons().size(), 3U);
}

TEST(ReplicaSet, HealsAndRemovesTheFourth) {
  ControllerTest test(kReplicaSet);
  test.cluster.put(api::resource("replicasets.apps"), kSet);
  test.settle();
  test.cluster.erase(api::resource("pods"), "default", test.list("pods")[0]->name());
  test.settle();
  EXPECT_EQ(test.list("pods").size(), 3U);
  test.cluster.put(api::resource("pods"),
                   "metadata: {name: extra, namespace: default, labels: {app: web}}");
  test.settle();
  EXPECT_EQ(test.list("pods").size(), 3U);
}

TEST(ReplicaSet, AdoptsOrphansAndReleasesWhatNoLongerMatches) {
  ControllerTest test(kReplicaSet);
  test.cluster.put(api::resource("pods"),
                   "metadata: {name: old, namespace: default, labels: {app: web}}");
  ObjectPtr set = test.cluster.put(api::resource("replicasets.apps"), kSet);
  test.settle();
  EXPECT_EQ(test.list("pods").size(), 3U);
  EXPECT_TRUE(controlled_by(*test.find("pods", "old"), set->uid()));
  test.cluster.change(api::resource("pods"), "default", "old", "metadata: {labels: {app: other}}");
  test.settle();
  EXPECT_FALSE(controller_of(*test.find("pods", "old")));
  EXPECT_EQ(test.list("pods").size(), 4U);
}

TEST(ReplicaSet, AFailedCreateShowsAsCondition) {
  ControllerTest test(kReplicaSet);
  test.cluster.create_errors.emplace("pods", Error::make(Code::kForbidden, "exceeded quota: q"));
  test.cluster.put(api::resource("replicasets.apps"), kSet);
  EXPECT_FALSE(test.try_pass(kWeb).ok());
  json::Document set = test.find("replicasets.apps", "web")->document();
  json::Value condition = set.root()["status"]["conditions"].at(0);
  EXPECT_EQ(condition["type"].as_string(), "ReplicaFailure");
  EXPECT_EQ(condition["reason"].as_string(), "FailedCreate");
  // Refused again in other words: the condition stands, so that nothing calls for another try.
  auto version = test.find("replicasets.apps", "web")->revision();
  test.cluster.create_errors.emplace("pods", Error::make(Code::kForbidden, "exceeded quota: r"));
  EXPECT_FALSE(test.try_pass(kWeb).ok());
  EXPECT_EQ(test.find("replicasets.apps", "web")->revision(), version);
  test.settle();
  json::Document healed = test.find("replicasets.apps", "web")->document();
  EXPECT_FALSE(healed.root()["status"]["conditions"]);
}

constexpr std::string_view kDeploymentText = R"(
metadata: {name: web, namespace: default, generation: 1}
spec:
  replicas: 3
  progressDeadlineSeconds: 600
  revisionHistoryLimit: 10
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: 'i:1'}]}}
)";

// All pods of a set become available: what a ReplicaSet controller and nodes would do.
void make_available(ControllerTest& test) {
  for (const ObjectPtr& set : test.list("replicasets.apps")) {
    json::Document document = set->document();
    int64_t size = document.root()["spec"]["replicas"].as_int();
    test.cluster.change(
        api::resource("replicasets.apps"), "default", set->name(),
        fmt::format("status: {{replicas: {0}, readyReplicas: {0}, availableReplicas: {0}}}", size));
  }
}

std::vector<int64_t> sizes(ControllerTest& test) {
  std::vector<int64_t> out;
  for (const ObjectPtr& set : test.list("replicasets.apps")) {
    json::Document document = set->document();
    out.push_back(document.root()["spec"]["replicas"].as_int());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string_view condition_reason(json::Value object, std::string_view type) {
  for (json::Value condition : object["status"]["conditions"].items()) {
    if (condition["type"].as_string() == type) return condition["reason"].as_string();
  }
  return {};
}

TEST(Deployment, RollsStepByStepWithinItsLimits) {
  ControllerTest test(kDeployment);
  test.cluster.put(api::resource("deployments.apps"), kDeploymentText);
  test.settle();
  EXPECT_EQ(sizes(test), std::vector<int64_t>{3});
  make_available(test);
  test.settle();
  json::Document done = test.find("deployments.apps", "web")->document();
  EXPECT_EQ(condition_reason(done.root(), "Progressing"), "NewReplicaSetAvailable");
  EXPECT_EQ(condition_reason(done.root(), "Available"), "MinimumReplicasAvailable");

  test.cluster.change(api::resource("deployments.apps"), "default", "web",
                      "spec: {template: {spec: {containers: [{name: c, image: 'i:2'}]}}}");
  test.settle();
  EXPECT_EQ(sizes(test), (std::vector<int64_t>{1, 3}));
  for (int step = 0; step < 6; ++step) {
    make_available(test);
    test.settle();
    std::vector<int64_t> now = sizes(test);
    EXPECT_LE(now[0] + now[1], 4);
    EXPECT_GE(now[0] + now[1], 3);
  }
  EXPECT_EQ(sizes(test), (std::vector<int64_t>{0, 3}));
  json::Document rolled = test.find("deployments.apps", "web")->document();
  EXPECT_EQ(
      rolled.root()["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_string(),
      "2");
}

TEST(Deployment, RollingBackReusesTheOldSetUnderANewRevision) {
  ControllerTest test(kDeployment);
  test.cluster.put(api::resource("deployments.apps"), kDeploymentText);
  test.settle();
  std::string first(test.list("replicasets.apps")[0]->name());
  for (const char* image : {"i:2", "i:1"}) {
    make_available(test);
    test.settle();
    test.cluster.change(
        api::resource("deployments.apps"), "default", "web",
        fmt::format("spec: {{template: {{spec: {{containers: [{{name: c, image: '{}'}}]}}}}}}",
                    image));
    test.settle();
  }
  EXPECT_EQ(test.list("replicasets.apps").size(), 2U);
  json::Document set = test.find("replicasets.apps", first)->document();
  EXPECT_EQ(set.root()["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_string(),
            "3");
}

TEST(Deployment, PausedDoesNotRollButScales) {
  ControllerTest test(kDeployment);
  test.cluster.put(api::resource("deployments.apps"), kDeploymentText);
  test.settle();
  make_available(test);
  test.settle();
  test.cluster.change(api::resource("deployments.apps"), "default", "web",
                      "spec: {paused: true, replicas: 5, template: {spec: {containers: [{name: c, "
                      "image: 'i:2'}]}}}");
  test.settle();
  EXPECT_EQ(sizes(test), std::vector<int64_t>{5});
}

TEST(Deployment, SaysWhenTheDeadlineHasPassed) {
  ControllerTest test(kDeployment);
  test.cluster.put(api::resource("deployments.apps"), kDeploymentText);
  test.settle();
  test.clock.advance(std::chrono::seconds(700));
  test.settle();
  json::Document late = test.find("deployments.apps", "web")->document();
  EXPECT_EQ(condition_reason(late.root(), "Progressing"), "ProgressDeadlineExceeded");
}

}  // namespace
}  // namespace wherry::controller
