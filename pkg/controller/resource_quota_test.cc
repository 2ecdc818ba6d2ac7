#include <gtest/gtest.h>

#include "controller/all.h"
#include "controller/controller_test.h"

namespace wherry::controller {
namespace {

class ResourceQuotaTest : public ::testing::Test {
 protected:
  std::string status(std::string_view list, std::string_view what) {
    ObjectPtr quota = test_.find("resourcequotas", "q");
    json::Document document = quota->document();
    return std::string(document.root()["status"][list][what].as_string("none"));
  }
  void put_quota(std::string_view spec) {
    test_.cluster.put(api::resource("resourcequotas"),
                      fmt::format(R"({{"kind":"ResourceQuota","apiVersion":"v1","metadata":{{)"
                                  R"("name":"q","namespace":"default"}},"spec":{}}})",
                                  spec));
  }
  void put_pod(std::string_view name, std::string_view cpu) {
    test_.cluster.put(
        api::resource("pods"),
        fmt::format(R"({{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{}","namespace":)"
                    R"("default"}},"spec":{{"containers":[{{"name":"c","resources":{{"requests":)"
                    R"({{"cpu":"{}"}}}}}}]}},"status":{{"phase":"Running"}}}})",
                    name, cpu));
  }
  void pass() { test_.settle(); }

  ControllerTest test_{kResourceQuota};
};

TEST_F(ResourceQuotaTest, CountsANewQuota) {
  put_pod("a", "100m");
  put_quota(R"({"hard":{"pods":"5","cpu":"1","count/secrets":"3","example.com/unknown":"1"}})");
  pass();
  EXPECT_EQ(status("hard", "cpu"), "1");
  EXPECT_EQ(status("used", "pods"), "1");
  EXPECT_EQ(status("used", "cpu"), "100m");
  EXPECT_EQ(status("used", "count/secrets"), "0");
  EXPECT_EQ(status("used", "example.com/unknown"), "none");
}

TEST_F(ResourceQuotaTest, ReleasesWhatGoesAndWhatEnds) {
  put_quota(R"({"hard":{"pods":"5","count/pods":"5","cpu":"1"}})");
  put_pod("a", "100m");
  put_pod("b", "200m");
  pass();
  // What is created is admission's to charge; as if it had.
  test_.cluster.change(api::resource("resourcequotas"), "default", "q",
                       R"({"status":{"used":{"pods":"2","count/pods":"2","cpu":"300m"}}})");
  test_.cluster.change(api::resource("pods"), "default", "a", R"({"status":{"phase":"Failed"}})");
  pass();
  EXPECT_EQ(status("used", "pods"), "1");
  EXPECT_EQ(status("used", "count/pods"), "2");
  EXPECT_EQ(status("used", "cpu"), "200m");
  test_.cluster.erase(api::resource("pods"), "default", "b");
  pass();
  EXPECT_EQ(status("used", "pods"), "0");
  EXPECT_EQ(status("used", "count/pods"), "1");
}

TEST_F(ResourceQuotaTest, FollowsTheSpec) {
  put_quota(R"({"hard":{"pods":"5"}})");
  pass();
  test_.cluster.change(api::resource("resourcequotas"), "default", "q",
                       R"({"spec":{"hard":{"pods":"7","services":"1"}}})");
  pass();
  EXPECT_EQ(status("hard", "pods"), "7");
  EXPECT_EQ(status("used", "services"), "0");
}

TEST_F(ResourceQuotaTest, LeavesAQuotaAloneThatIsRight) {
  put_quota(R"({"hard":{"pods":"5"}})");
  pass();
  test_.cluster.calls.clear();
  EXPECT_EQ(test_.pass({"default", "q"}), std::nullopt);
  EXPECT_TRUE(test_.cluster.calls.empty());
}

TEST_F(ResourceQuotaTest, APodThatIsStuckStopsCounting) {
  put_quota(R"({"hard":{"pods":"5"}})");
  put_pod("a", "1m");
  pass();
  test_.cluster.change(
      api::resource("pods"), "default", "a",
      fmt::format(R"({{"metadata":{{"deletionTimestamp":"{}","deletionGracePeriodSeconds":30}}}})",
                  format_time(test_.clock.now() + std::chrono::seconds(30))));
  std::optional<Duration> wait = test_.pass({"default", "q"});
  ASSERT_TRUE(wait.has_value());
  EXPECT_EQ(status("used", "pods"), "1");
  test_.clock.advance(*wait);
  test_.pass({"default", "q"});
  EXPECT_EQ(status("used", "pods"), "0");
}

}  // namespace
}  // namespace wherry::controller
