#include <gtest/gtest.h>

#include "controller/all.h"
#include "controller/controller_test.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kRoles = "clusterroles.rbac.authorization.k8s.io";

class ClusterRoleAggregationTest : public ::testing::Test {
 protected:
  // `labels` and `aggregates` in YAML's short form: "{to-view: x}".
  void put(const std::string& name, const std::string& labels, const std::string& rest) {
    test_.cluster.put(api::resource(kRoles),
                      fmt::format("metadata: {{name: {}, labels: {}}}\n{}", name, labels, rest));
  }
  std::string rules(std::string_view name) {
    json::Document document = test_.find(kRoles, name, "")->document();
    return document.root()["rules"].dump();
  }
  static std::string rule(const char* resource) {
    return fmt::format("{{verbs: [get], apiGroups: [\"\"], resources: [{}]}}", resource);
  }
  static std::string json_rule(const char* resource) {
    // As YAML is read: members by name.
    return fmt::format(R"({{"apiGroups":[""],"resources":["{}"],"verbs":["get"]}})", resource);
  }

  ControllerTest test_{kClusterRoleAggregation};
};

TEST_F(ClusterRoleAggregationTest, GathersInOrderOfNamesAndOnce) {
  put("b", "{to: view}", fmt::format("rules: [{}, {}]", rule("pods"), rule("nodes")));
  put("a", "{to: view}", fmt::format("rules: [{}]", rule("nodes")));
  put("c", "{to: other}", fmt::format("rules: [{}]", rule("secrets")));
  put("view", "{}", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: view}}]}");
  test_.settle();
  EXPECT_EQ(rules("view"), fmt::format("[{},{}]", json_rule("nodes"), json_rule("pods")));
}

TEST_F(ClusterRoleAggregationTest, FollowsChangesThroughAChain) {
  put("a", "{to: view}", fmt::format("rules: [{}]", rule("pods")));
  put("view", "{to: edit}", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: view}}]}");
  put("edit", "{}", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: edit}}]}");
  test_.settle();
  EXPECT_EQ(rules("edit"), fmt::format("[{}]", json_rule("pods")));
  put("z", "{to: view}", fmt::format("rules: [{}]", rule("nodes")));
  test_.settle();
  EXPECT_EQ(rules("edit"), fmt::format("[{},{}]", json_rule("pods"), json_rule("nodes")));
  size_t calls = test_.cluster.calls.size();
  put("quiet", "{}", fmt::format("rules: [{}]", rule("x")));
  test_.settle();
  EXPECT_EQ(test_.cluster.calls.size(), calls);
}

}  // namespace
}  // namespace wherry::controller
