#include <atomic>
#include <set>
#include <thread>

#include "apiserver/test_server.h"

namespace wherry::apiserver {
namespace {

class QuotaTest : public MachineryTest {
 protected:
  void make_quota(std::string_view name, std::string_view spec) {
    create("resourcequotas", "default",
           fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{}}})", name, spec));
  }
  std::string used(std::string_view name, std::string_view what) {
    json::Document document = store_->get("resourcequotas", "default", name)->document();
    return std::string(document.root()["status"]["used"][what].as_string());
  }
  static std::string pod(std::string_view name, std::string_view resources = "{}",
                         std::string_view more = "") {
    return fmt::format(
        R"({{"metadata":{{"name":"{}"}},"spec":{{{}"containers":[{{"name":"c","image":"x",)"
        R"("resources":{}}}]}}}})",
        name, more, resources);
  }
  size_t count(std::string_view resource) {
    size_t out = 0;
    store_->snapshot(resource)->scan("default", "", "", [&out](const ObjectPtr&) {
      ++out;
      return true;
    });
    return out;
  }
  std::string refusal(std::string_view resource, const std::string& body) {
    Result<ObjectPtr> made = try_create(resource, "default", body);
    return made.ok() ? "made" : made.error().message();
  }
};

TEST_F(QuotaTest, ChargesWithTheObject) {
  make_quota("q", R"({"hard":{"pods":"2","cpu":"1","limits.memory":"1Gi"}})");
  EXPECT_EQ(refusal("pods", pod("a")),
            "pods \"a\" is forbidden: failed quota: q: must specify cpu for: c; limits.memory "
            "for: c");
  std::string fits = R"({"requests":{"cpu":"600m"},"limits":{"memory":"64Mi"}})";
  EXPECT_EQ(refusal("pods", pod("a", fits)), "made");
  EXPECT_EQ(used("q", "pods"), "1");
  EXPECT_EQ(used("q", "cpu"), "600m");
  EXPECT_EQ(used("q", "limits.memory"), "64Mi");
  EXPECT_EQ(refusal("pods", pod("b", fits)),
            "pods \"b\" is forbidden: exceeded quota: q, requested: cpu=600m, used: cpu=600m, "
            "limited: cpu=1");
  // What was refused for another reason costs nothing.
  EXPECT_EQ(refusal("pods", pod("a", R"({"limits":{"cpu":"1m","memory":"1Mi"}})")),
            "pods \"a\" already exists");
  EXPECT_EQ(used("q", "pods"), "1");
}

TEST_F(QuotaTest, CountsWhatWasThereBefore) {
  create("configmaps", "default", R"({"metadata":{"name":"a"}})");
  make_quota("q", R"({"hard":{"count/configmaps":"2","configmaps":"9"}})");
  create("configmaps", "default", R"({"metadata":{"name":"b"}})");
  EXPECT_EQ(used("q", "count/configmaps"), "2");
  EXPECT_EQ(used("q", "configmaps"), "2");
  EXPECT_EQ(refusal("configmaps", R"({"metadata":{"name":"c"}})"),
            "configmaps \"c\" is forbidden: exceeded quota: q, requested: count/configmaps=1, "
            "used: count/configmaps=2, limited: count/configmaps=2");
}

TEST_F(QuotaTest, ScopesChooseThePods) {
  make_quota("best", R"({"hard":{"pods":"1"},"scopes":["BestEffort"]})");
  make_quota("short", R"({"hard":{"pods":"1"},"scopes":["Terminating"]})");
  make_quota("high", R"({"hard":{"pods":"0"},"scopeSelector":{"matchExpressions":[
      {"scopeName":"PriorityClass","operator":"In","values":["system-node-critical"]}]}})");
  std::string some = R"({"requests":{"cpu":"1m"}})";
  EXPECT_EQ(refusal("pods", pod("a")), "made");
  EXPECT_EQ(refusal("pods", pod("b")),
            "pods \"b\" is forbidden: exceeded quota: best, requested: pods=1, used: pods=1, "
            "limited: pods=1");
  EXPECT_EQ(refusal("pods", pod("b", some)), "made");
  EXPECT_EQ(refusal("pods", pod("c", some, R"("activeDeadlineSeconds":5,)")), "made");
  EXPECT_EQ(refusal("pods", pod("d", some, R"("activeDeadlineSeconds":5,)")),
            "pods \"d\" is forbidden: exceeded quota: short, requested: pods=1, used: pods=1, "
            "limited: pods=1");
  EXPECT_EQ(refusal("pods", pod("e", some, R"("priorityClassName":"system-node-critical",)")),
            "pods \"e\" is forbidden: exceeded quota: high, requested: pods=1, used: pods=0, "
            "limited: pods=0");
}

TEST_F(QuotaTest, UpdatesPayForWhatTheyAdd) {
  make_quota("q", R"({"hard":{"services":"5","services.nodeports":"1"}})");
  create(
      "services", "default",
      R"({"metadata":{"name":"s"},"spec":{"ports":[{"name":"a","port":1},{"name":"b","port":2}]}})");
  Target at = target("services", "default", "s");
  Result<ObjectPtr> over = try_patch(at, PatchType::kMerge, R"({"spec":{"type":"NodePort"}})");
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().message(),
            "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=2, "
            "used: services.nodeports=0, limited: services.nodeports=1");
  ASSERT_TRUE(try_patch(at, PatchType::kMerge,
                        R"({"spec":{"type":"NodePort","ports":[{"name":"a","port":1}]}})")
                  .ok());
  EXPECT_EQ(used("q", "services.nodeports"), "1");
  ASSERT_TRUE(try_patch(at, PatchType::kMerge, R"({"metadata":{"labels":{"a":"b"}}})").ok());
  EXPECT_EQ(used("q", "services.nodeports"), "1");
}

TEST_F(QuotaTest, DryRunsAreJudgedAndNotCharged) {
  make_quota("q", R"({"hard":{"count/configmaps":"1"}})");
  WriteOptions dry{.dry_run = true};
  EXPECT_TRUE(try_create("configmaps", "default", R"({"metadata":{"name":"a"}})", dry).ok());
  create("configmaps", "default", R"({"metadata":{"name":"a"}})");
  EXPECT_FALSE(try_create("configmaps", "default", R"({"metadata":{"name":"b"}})", dry).ok());
  EXPECT_EQ(used("q", "count/configmaps"), "1");
}

// Many writers at once, against a quota that somebody else keeps changing.
TEST_F(QuotaTest, RacingWritersNeverExceedIt) {
  constexpr int kRounds = 100;
  constexpr int kClients = 64;
  constexpr int kHard = 10;
  make_quota("q", R"({"hard":{"count/configmaps":"10"}})");
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> made = 0;
    {
      std::vector<std::jthread> clients;
      for (int i = 0; i < kClients; ++i) {
        clients.emplace_back([&, i] {
          Context context = context_;
          json::Document body =
              json::Document::parse(fmt::format(R"({{"metadata":{{"name":"m{}"}}}})", i)).value();
          Result<Written> written =
              machinery_->create(context, target("configmaps", "default"), body.root());
          made += written.ok();
          if (!written.ok()) {
            EXPECT_EQ(written.error().code(), Code::kForbidden) << written.error().message();
          }
        });
      }
      for (int i = 0; i < 5; ++i) {
        Context context = context_;
        json::Document label =
            json::Document::parse(fmt::format(R"({{"metadata":{{"labels":{{"n":"{}"}}}}}})", i))
                .value();
        Result<Written> patched = machinery_->patch(
            context, target("resourcequotas", "default", "q"), PatchType::kMerge, label.root());
        EXPECT_TRUE(patched.ok() || patched.error().is(Code::kConflict));  // Lost every race.
      }
    }
    EXPECT_EQ(made, kHard);
    EXPECT_EQ(count("configmaps"), static_cast<size_t>(kHard));
    EXPECT_EQ(used("q", "count/configmaps"), "10");
    ListOptions all;
    ASSERT_TRUE(
        machinery_->remove_collection(context_, target("configmaps", "default"), all, {}).ok());
    // Their going is the controller's to count; here the quota says again that it knows nothing.
    ASSERT_TRUE(try_patch(target("resourcequotas", "default", "q", "status"), PatchType::kMerge,
                          R"({"status":null})")
                    .ok());
  }
}

}  // namespace
}  // namespace wherry::apiserver
