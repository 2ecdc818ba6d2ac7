// The Client and Cache of an agent against a real API server over TLS.

#include <atomic>
#include <set>

#include "client/remote_cache.h"
#include "client/remote_client.h"
#include "testbed.h"

namespace wherry {
namespace {

using client::ObjectPtr;
using test::create;
using test::eventually;

std::string config_map(const std::string& name, const std::string& value) {
  return R"({"metadata":{"name":")" + name + R"("},"data":{"k":")" + value + R"("}})";
}

std::string value_of(const ObjectPtr& object) {
  return object == nullptr ? "" : std::string(object->document().root()["data"]["k"].as_string());
}

class RemoteTest : public ::testing::Test {
 protected:
  RemoteTest() : identity(plane.admin_options()), remote(plane.url(), identity) {}

  std::unique_ptr<client::RemoteCache> cache(client::RemoteCacheOptions options = {}) {
    options.server = plane.url();
    return std::make_unique<client::RemoteCache>(std::move(options), identity, remote);
  }
  void set(const std::string& name, const std::string& value) {
    json::Document patch = json::Document::parse(R"({"data":{"k":")" + value + R"("}})").value();
    ASSERT_TRUE(
        plane.admin->patch(maps, "default", name, client::PatchType::kMerge, patch.root()).ok());
  }

  test::ControlPlane plane;
  client::Identity identity;
  client::RemoteClient remote;
  const api::Resource& maps = api::resource("configmaps");
};

TEST_F(RemoteTest, ClientDoesWhatTheLocalOneDoes) {
  ObjectPtr made = create(remote, "configmaps", "default", config_map("a", "1"));
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->kind(), "ConfigMap");
  EXPECT_EQ(remote.get(maps, "default", "a").value()->revision(), made->revision());

  json::Document document = made->document();
  json::Draft changed(document.root());
  changed.root()["data"].set("k", "2");
  json::Document body = changed.freeze();
  EXPECT_EQ(value_of(remote.update(maps, "default", "a", body.root(), {}).value()), "2");
  // The version it carries is an old one now.
  EXPECT_TRUE(remote.update(maps, "default", "a", body.root(), {}).error().is(Code::kConflict));

  json::Document patch = json::Document::parse(R"({"data":{"k":"3"}})").value();
  EXPECT_EQ(value_of(remote
                         .patch(maps, "default", "a", client::PatchType::kMerge, patch.root(),
                                {.field_manager = "tester"})
                         .value()),
            "3");
  client::List listed = remote.list(maps, "default", {}).value();
  ASSERT_EQ(listed.items.size(), 1u);
  EXPECT_EQ(listed.items[0]->kind(), "ConfigMap");
  EXPECT_EQ(listed.items[0]->api_version(), "v1");
  EXPECT_GT(listed.revision, made->revision());

  EXPECT_TRUE(remote.remove(maps, "default", "a", {.uid = "other"}).error().is(Code::kConflict));
  EXPECT_TRUE(remote.remove(maps, "default", "a", {.uid = std::string(made->uid())}).ok());
  Error gone = remote.get(maps, "default", "a").error();
  EXPECT_TRUE(gone.is(Code::kNotFound));
  EXPECT_EQ(gone.message(), "configmaps \"a\" not found");
  EXPECT_EQ(gone.details().name, "a");
}

TEST_F(RemoteTest, SubresourcesAnswerWithTheirOwnKind) {
  create(*plane.admin, "serviceaccounts", "default", R"({"metadata":{"name":"robot"}})");
  json::Document body = json::Document::parse(R"({"apiVersion":"authentication.k8s.io/v1",
      "kind":"TokenRequest","spec":{"audiences":[],"expirationSeconds":3600}})")
                            .value();
  Result<ObjectPtr> token = remote.create_subresource(api::resource("serviceaccounts"), "default",
                                                      "robot", "token", body.root());
  ASSERT_TRUE(token.ok()) << token.error().message();
  EXPECT_FALSE((*token)->document().root()["status"]["token"].as_string().empty());
}

TEST_F(RemoteTest, CacheListsThenFollows) {
  create(*plane.admin, "configmaps", "default", config_map("a", "1"));
  auto copy = cache();
  const client::Lister& lister = copy->lister(maps);
  Mutex mutex;
  std::vector<std::string> seen;
  copy->subscribe(maps, [&](const client::Change& change) {
    MutexLock lock(mutex);
    const ObjectPtr& either = change.after != nullptr ? change.after : change.before;
    if (either->ns() != "default") return;  // The system has some of its own.
    seen.push_back((change.before == nullptr  ? "add "
                    : change.after == nullptr ? "delete "
                                              : "change ") +
                   std::string(either->name()));
  });
  ASSERT_TRUE(copy->start().ok());
  EXPECT_EQ(value_of(lister.find("default", "a")), "1");
  create(*plane.admin, "configmaps", "default", config_map("b", "1"));
  set("a", "2");
  EXPECT_TRUE(plane.admin->remove(maps, "default", "b").ok());
  ASSERT_TRUE(eventually([&] {
    MutexLock lock(mutex);
    return seen.size() == 4;
  }));
  EXPECT_EQ(seen, (std::vector<std::string>{"add a", "add b", "change a", "delete b"}));
  EXPECT_EQ(value_of(lister.find("default", "a")), "2");
  EXPECT_EQ(lister.find("default", "b"), nullptr);
  EXPECT_EQ(lister.list("default").size(), 1u);
  EXPECT_TRUE(lister.list("elsewhere").empty());
}

TEST_F(RemoteTest, CacheComesBackAfterTheServerAndMissesNothing) {
  for (const char* name : {"a", "b", "c"}) {
    create(*plane.admin, "configmaps", "default", config_map(name, "1"));
  }
  auto copy = cache();
  const client::Lister& lister = copy->lister(maps);
  std::atomic<int> changes = 0;
  copy->subscribe(maps, [&](const client::Change& change) {
    if (change.after != nullptr && change.after->ns() == "default") ++changes;
  });
  ASSERT_TRUE(copy->start().ok());
  EXPECT_EQ(changes, 3);
  for (int round = 2; round <= 4; ++round) {
    plane.stop();
    plane.start();
    set("a", std::to_string(round));
    ASSERT_TRUE(
        eventually([&] { return value_of(lister.find("default", "a")) == std::to_string(round); }));
  }
  // Nothing was told twice.
  EXPECT_EQ(changes, 6);
}

TEST_F(RemoteTest, StartSaysWhenTheServerIsAwayAndGoesOn) {
  create(*plane.admin, "configmaps", "default", config_map("a", "1"));
  auto copy = cache({.patience = std::chrono::milliseconds(100)});
  const client::Lister& lister = copy->lister(maps);
  std::atomic<bool> synced = false;
  copy->when_synced([&] { synced = true; });
  plane.stop();
  EXPECT_TRUE(copy->start().error().is(Code::kTimeout));
  EXPECT_FALSE(synced);
  plane.start();
  EXPECT_TRUE(eventually([&] { return synced.load(); }));
  EXPECT_EQ(value_of(lister.find("default", "a")), "1");
}

TEST_F(RemoteTest, FieldSelectorsNarrowWhatIsFollowed) {
  auto copy = cache({.rules = {{.resource = "configmaps", .field_selector = "metadata.name=a"}}});
  const client::Lister& lister = copy->lister(maps);
  ASSERT_TRUE(copy->start().ok());
  create(*plane.admin, "configmaps", "default", config_map("b", "1"));
  create(*plane.admin, "configmaps", "default", config_map("a", "1"));
  EXPECT_TRUE(eventually([&] { return lister.find("default", "a") != nullptr; }));
  EXPECT_EQ(lister.find("default", "b"), nullptr);
}

// Secrets here stand for pods: what they hold names the ConfigMap they need.
TEST_F(RemoteTest, SingleObjectsAreFollowedWhileSomethingNeedsThem) {
  client::RemoteCacheOptions options;
  options.rules = {{.resource = "configmaps", .by_reference = true}};
  options.referrers = "secrets";
  options.references = [](const api::Object& object) {
    json::Document document = object.document();
    std::vector<client::ObjectRef> out;
    for (auto [name, value] : document.root()["data"].members()) {
      out.push_back({"configmaps", "default", std::string(name)});
    }
    return out;
  };
  auto copy = cache(std::move(options));
  const client::Lister& lister = copy->lister(maps);
  copy->subscribe(api::resource("secrets"), [](const client::Change&) {});
  Mutex mutex;
  std::set<std::string> told;
  copy->subscribe(maps, [&](const client::Change& change) {
    MutexLock lock(mutex);
    if (change.after != nullptr) told.insert(value_of(change.after));
  });
  ASSERT_TRUE(copy->start().ok());
  create(*plane.admin, "configmaps", "default", config_map("a", "1"));
  create(*plane.admin, "configmaps", "default", config_map("b", "1"));
  // Not followed, but found when asked for.
  EXPECT_EQ(value_of(lister.find("default", "a")), "1");
  EXPECT_TRUE(lister.list("default").empty());
  create(*plane.admin, "secrets", "default", R"({"metadata":{"name":"s"},"data":{"a":""}})");
  ASSERT_TRUE(eventually([&] { return lister.list("default").size() == 1; }));
  set("a", "2");
  ASSERT_TRUE(eventually([&] {
    MutexLock lock(mutex);
    return told.contains("2");
  }));
  EXPECT_EQ(value_of(lister.find("default", "a")), "2");
  EXPECT_TRUE(plane.admin->remove(api::resource("secrets"), "default", "s").ok());
  EXPECT_TRUE(eventually([&] { return lister.list("default").empty(); }));
  set("a", "3");
  EXPECT_EQ(value_of(lister.find("default", "a")), "3");
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  int code = RUN_ALL_TESTS();
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  std::printf("%d passed, %d failed, %d skipped\n", all.successful_test_count(),
              all.failed_test_count(), all.skipped_test_count());
  return code;
}
