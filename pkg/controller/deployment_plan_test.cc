#include "controller/deployment_plan.h"

#include <gtest/gtest.h>

namespace wherry::controller {
namespace {

Rolling rolling(int64_t replicas, int64_t surge, int64_t unavailable) {
  return {
      .replicas = replicas, .recreate = false, .max_surge = surge, .max_unavailable = unavailable};
}

SetSize set(int64_t replicas, int64_t available, std::string created = "1", int64_t then = 0) {
  return {"set" + created, created, replicas, available, then};
}

TEST(DeploymentPlan, PercentagesRoundSurgeUpAndUnavailableDown) {
  json::Document spec =
      json::Document::parse(
          R"({"replicas":10,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}})")
          .value();
  Rolling out = rolling_of(spec.root());
  EXPECT_EQ(out.max_surge, 3);
  EXPECT_EQ(out.max_unavailable, 2);
}

TEST(DeploymentPlan, SomethingMayAlwaysMove) {
  json::Document spec =
      json::Document::parse(
          R"({"replicas":1,"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":"25%"}}})")
          .value();
  EXPECT_EQ(rolling_of(spec.root()).max_unavailable, 1);
}

TEST(DeploymentPlan, TheNewSetGrowsIntoTheSurge) {
  EXPECT_EQ(new_set_size(rolling(10, 3, 2), 0, 10), 3);
  EXPECT_EQ(new_set_size(rolling(10, 3, 2), 3, 13), 3);
  EXPECT_EQ(new_set_size(rolling(10, 3, 2), 3, 11), 5);
  EXPECT_EQ(new_set_size(rolling(3, 1, 0), 3, 3), 3);
}

TEST(DeploymentPlan, OldPodsGoOnlyAsFarAsEnoughServe) {
  EXPECT_EQ(old_set_sizes(rolling(10, 3, 2), {set(10, 10)}, set(3, 0)), std::vector<int64_t>{8});
  EXPECT_EQ(old_set_sizes(rolling(10, 3, 2), {set(8, 8)}, set(5, 3)), std::vector<int64_t>{5});
  EXPECT_EQ(old_set_sizes(rolling(3, 1, 0), {set(3, 3)}, set(1, 0)), std::vector<int64_t>{3});
  EXPECT_EQ(old_set_sizes(rolling(3, 1, 0), {set(3, 3)}, set(1, 1)), std::vector<int64_t>{2});
}

TEST(DeploymentPlan, PodsThatServeNobodyGoFirst) {
  EXPECT_EQ(old_set_sizes(rolling(10, 3, 2), {set(4, 0, "1"), set(6, 6, "2")}, set(3, 3)),
            (std::vector<int64_t>{0, 5}));
}

TEST(DeploymentPlan, ScalingInTheMiddleSharesProportionally) {
  // 10 with surge 3, caught at 8 old and 5 new; now 15 are wanted.
  EXPECT_EQ(proportional_sizes(rolling(15, 3, 2), {set(8, 8, "1", 13), set(5, 3, "2", 13)}),
            (std::vector<int64_t>{11, 7}));
  EXPECT_EQ(proportional_sizes(rolling(0, 0, 0), {set(8, 8, "1", 13), set(5, 3, "2", 13)}),
            (std::vector<int64_t>{0, 0}));
}

}  // namespace
}  // namespace wherry::controller
