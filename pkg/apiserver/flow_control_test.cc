#include "apiserver/flow_control.h"

#include "apiserver/flow_keeper.h"
#include "apiserver/test_server.h"

namespace wherry::apiserver {
namespace {

class FlowControlTest : public MachineryTest {
 protected:
  FlowControlTest() : keeper_(*machinery_), control_(*store_, waiting_clock_, 48) {
    EXPECT_TRUE(keeper_.keep().ok());
    EXPECT_TRUE(control_.start().ok());
  }

  struct Asked {
    std::string user = "jane";
    std::vector<std::string> groups{"system:authenticated"};
    std::string verb = "get";
    std::string group, resource, subresource, ns;
    std::string path;
  };
  struct Seen {
    FlowControl::Verdict verdict;
    std::string schema, level;  // Names.
    std::shared_ptr<http::Response> response;
  };
  Seen admit(const Asked& asked, std::string_view query = {},
             std::shared_ptr<http::Turn> turn = nullptr) {
    User user;
    user.name = asked.user;
    user.groups = asked.groups;
    Attributes attributes{user,        asked.verb,     asked.path,        asked.path.empty(),
                          asked.group, asked.resource, asked.subresource, asked.ns,
                          {}};
    http::Request request;
    request.query = http::Query::parse(query).value();
    request.turn = std::move(turn);
    Seen seen;
    seen.response = std::make_shared<http::Response>();
    seen.verdict = control_.admit(request, *seen.response, attributes);
    seen.schema = name_of(api::kFlowSchemaResource,
                          seen.response->headers.get("X-Kubernetes-PF-FlowSchema-UID"));
    seen.level = name_of(api::kPriorityLevelResource,
                         seen.response->headers.get("X-Kubernetes-PF-PriorityLevel-UID"));
    return seen;
  }
  std::string name_of(std::string_view resource, std::string_view uid) {
    std::string name;
    store_->snapshot(resource)->scan("", "", "", [&](const ObjectPtr& object) {
      if (object->uid() == uid) name = object->name();
      return true;
    });
    return name;
  }
  void add_level(const std::string& name, std::string_view limited) {
    create(api::kPriorityLevelResource, "",
           fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"type":"Limited","limited":{}}}}})",
                       name, limited));
  }
  void add_schema(const std::string& name, const std::string& level, const std::string& user,
                  int precedence) {
    create(
        api::kFlowSchemaResource, "",
        fmt::format(
            R"({{"metadata":{{"name":"{}"}},"spec":{{"priorityLevelConfiguration":{{"name":"{}"}},)"
            R"("matchingPrecedence":{},"rules":[{{"subjects":[{{"kind":"User","user":{{"name":"{}"}}}}],)"
            R"("resourceRules":[{{"verbs":["*"],"apiGroups":["*"],"resources":["*"],)"
            R"("clusterScope":true,"namespaces":["*"]}}]}}]}}}})",
            name, level, precedence, user));
  }
  std::string condition(const std::string& schema) {
    ObjectPtr object = machinery_->get(target(api::kFlowSchemaResource, "", schema)).value();
    json::Document document = object->document();
    json::Value one = document.root()["status"]["conditions"].at(0);
    return fmt::format("{} {} {}: {}", one["type"].as_string(), one["status"].as_string(),
                       one["reason"].as_string(), one["message"].as_string());
  }

  FlowKeeper keeper_;
  const SystemClock waiting_clock_;
  FlowControl control_;
};

// As upstream v1.36 classifies with its default objects.
TEST_F(FlowControlTest, ClassifiesByTheDefaults) {
  const std::string in = "system:authenticated";
  struct Case {
    Asked asked;
    std::string_view schema, level;
  };
  const Case cases[] = {
      {{.user = "admin", .groups = {"system:masters", in}, .resource = "pods"}, "exempt", "exempt"},
      {{.groups = {"system:unauthenticated"}, .path = "/readyz"}, "probes", "exempt"},
      {{.groups = {"system:unauthenticated"}, .path = "/version"},
       "global-default",
       "global-default"},
      {{.user = "system:kube-scheduler",
        .verb = "update",
        .group = "coordination.k8s.io",
        .resource = "leases",
        .ns = "kube-system"},
       "system-leader-election",
       "leader-election"},
      {{.user = "system:kube-scheduler",
        .verb = "list",
        .group = "coordination.k8s.io",
        .resource = "leases",
        .ns = "kube-system"},
       "kube-scheduler",
       "workload-high"},
      {{.user = "system:node:n",
        .groups = {"system:nodes", in},
        .resource = "nodes",
        .subresource = "status"},
       "system-node-high",
       "node-high"},
      {{.user = "system:node:n", .groups = {"system:nodes", in}, .resource = "pods"},
       "system-nodes",
       "system"},
      {{.user = "system:serviceaccount:kube-system:a",
        .groups = {"system:serviceaccounts", in},
        .resource = "pods"},
       "kube-system-service-accounts",
       "workload-high"},
      {{.user = "system:serviceaccount:kube-systems:a",
        .groups = {"system:serviceaccounts", in},
        .resource = "pods"},
       "service-accounts",
       "workload-low"},
      {{.resource = "pods", .ns = "default"}, "global-default", "global-default"},
      {{.groups = {"other"}, .resource = "pods"}, "", ""},
      {{.resource = "pods", .subresource = "log", .ns = "default"}, "", ""},
  };
  for (const Case& one : cases) {
    Seen seen = admit(one.asked);
    EXPECT_EQ(seen.schema, one.schema) << one.asked.user << one.asked.path;
    EXPECT_EQ(seen.level, one.level) << one.asked.user << one.asked.path;
    EXPECT_EQ(seen.verdict, FlowControl::Verdict::kRun);
  }
}

TEST_F(FlowControlTest, RefusesInUpstreamsWordsAndFollowsChanges) {
  add_level("narrow", R"({"nominalConcurrencyShares":0,"borrowingLimitPercent":0,)"
                      R"("limitResponse":{"type":"Reject"}})");
  add_schema("jane", "narrow", "jane", 50);
  Seen first = admit({.resource = "pods"});
  EXPECT_EQ(first.level, "narrow");
  EXPECT_EQ(first.verdict, FlowControl::Verdict::kRun);  // Upstream lets one run.
  Seen second = admit({.resource = "pods"});
  EXPECT_EQ(second.verdict, FlowControl::Verdict::kRefused);
  EXPECT_EQ(second.response->status, 429);
  EXPECT_EQ(second.response->headers.get("Retry-After"), "1");
  EXPECT_EQ(second.response->pieces()[0].bytes, "Too many requests, please try again later.\n");
  first.response.reset();
  EXPECT_EQ(admit({.resource = "pods"}).verdict, FlowControl::Verdict::kRun);
  ASSERT_TRUE(remove(target(api::kPriorityLevelResource, "", "narrow")).ok());
  EXPECT_EQ(admit({.resource = "pods"}).schema, "global-default");
}

TEST_F(FlowControlTest, WaitsForATurnAndTakesItsSeat) {
  add_level("single", R"({"nominalConcurrencyShares":1,"borrowingLimitPercent":0,)"
                      R"("limitResponse":{"type":"Queue","queuing":{"queues":4,"handSize":1,)"
                      R"("queueLengthLimit":50}}})");
  add_schema("jane", "single", "jane", 50);
  Seen first = admit({.resource = "pods"});
  Seen second = admit({.resource = "pods"});
  ASSERT_EQ(second.verdict, FlowControl::Verdict::kWait);
  std::shared_ptr<http::Turn> turn = second.response->take_turn();
  EXPECT_FALSE(turn->granted());
  // When its time is over before that, it is refused.
  EXPECT_EQ(admit({.resource = "pods"}, "", std::make_shared<FlowTurn>(MonotonicTime{}, 1)).verdict,
            FlowControl::Verdict::kRefused);
  first.response.reset();
  ASSERT_TRUE(turn->granted());
  Seen again = admit({.resource = "pods"}, "", turn);
  EXPECT_EQ(again.verdict, FlowControl::Verdict::kRun);
  EXPECT_EQ(admit({.resource = "pods"}).verdict, FlowControl::Verdict::kWait);
}

TEST_F(FlowControlTest, ListsAreAsWideAsTheyAreLong) {
  for (int i = 0; i < 250; ++i) {
    create("configmaps", "default", fmt::format(R"({{"metadata":{{"name":"m-{}"}}}})", i));
  }
  add_level("four", R"({"nominalConcurrencyShares":20,"borrowingLimitPercent":0,)"
                    R"("limitResponse":{"type":"Reject"}})");
  add_schema("jane", "four", "jane", 50);  // 48 * 20 / 265 seats.
  Seen list = admit({.verb = "list", .resource = "configmaps"});
  EXPECT_EQ(list.verdict, FlowControl::Verdict::kRun);  // Takes three.
  Seen one = admit({.resource = "configmaps"});
  EXPECT_EQ(one.verdict, FlowControl::Verdict::kRun);
  EXPECT_EQ(admit({.resource = "configmaps"}).verdict, FlowControl::Verdict::kRefused);
  list.response.reset();
  EXPECT_EQ(admit({.verb = "list", .resource = "configmaps"}, "limit=100").verdict,
            FlowControl::Verdict::kRun);
}

TEST_F(FlowControlTest, KeepsTheDefaultsUnlessToldNotTo) {
  auto shares = [&](const std::string& level) {
    return text(machinery_->get(target(api::kPriorityLevelResource, "", level)).value(),
                "spec.limited.nominalConcurrencyShares");
  };
  Target system = target(api::kPriorityLevelResource, "", "system");
  ASSERT_TRUE(try_patch(system, PatchType::kMerge,
                        R"({"spec":{"limited":{"nominalConcurrencyShares":31}}})")
                  .ok());
  ASSERT_TRUE(
      try_patch(target(api::kPriorityLevelResource, "", "node-high"), PatchType::kMerge,
                R"({"metadata":{"annotations":{"apf.kubernetes.io/autoupdate-spec":"false"}},)"
                R"("spec":{"limited":{"nominalConcurrencyShares":41}}})")
          .ok());
  ASSERT_TRUE(remove(target(api::kFlowSchemaResource, "", "probes")).ok());
  ASSERT_TRUE(remove(target(api::kPriorityLevelResource, "", "catch-all")).ok());
  EXPECT_EQ(condition("catch-all"),
            R"(Dangling False Found: This FlowSchema references the PriorityLevelConfiguration )"
            R"(object named "catch-all" and it exists)");
  ASSERT_TRUE(keeper_.keep().ok());
  EXPECT_EQ(shares("system"), "30");
  EXPECT_EQ(shares("node-high"), "41");
  EXPECT_TRUE(machinery_->get(target(api::kFlowSchemaResource, "", "probes")).ok());
  EXPECT_EQ(shares("catch-all"), "5");
  Revision settled = store_->revision();
  ASSERT_TRUE(keeper_.keep().ok());
  EXPECT_EQ(store_->revision(), settled);  // Nothing is written when nothing is to do.
}

TEST_F(FlowControlTest, SaysWhichSchemasDangle) {
  add_schema("lost", "nowhere", "dan", 51);
  EXPECT_EQ(admit({.user = "dan", .resource = "pods"}).schema, "global-default");
  ASSERT_TRUE(keeper_.keep().ok());
  EXPECT_EQ(condition("lost"),
            R"(Dangling True NotFound: This FlowSchema references the PriorityLevelConfiguration )"
            R"(object named "nowhere" but there is no such object)");
  add_level("nowhere", R"({"limitResponse":{"type":"Reject"}})");
  ASSERT_TRUE(keeper_.keep().ok());
  EXPECT_TRUE(condition("lost").starts_with("Dangling False Found"));
  EXPECT_EQ(admit({.user = "dan", .resource = "pods"}).schema, "lost");
}

TEST_F(FlowControlTest, TheThreadRepairsWhatIsDeleted) {
  ASSERT_TRUE(keeper_.start().ok());
  Target probes = target(api::kFlowSchemaResource, "", "probes");
  std::string before = text(machinery_->get(probes).value(), "metadata.uid");
  ASSERT_TRUE(remove(probes).ok());
  MonotonicTime limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!machinery_->get(probes).ok() && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  ASSERT_TRUE(machinery_->get(probes).ok());
  EXPECT_NE(text(machinery_->get(probes).value(), "metadata.uid"), before);
}

}  // namespace
}  // namespace wherry::apiserver
