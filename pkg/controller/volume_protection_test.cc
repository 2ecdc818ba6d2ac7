#include <gtest/gtest.h>

#include "controller/all.h"
#include "controller/controller_test.h"

namespace wherry::controller {
namespace {

constexpr const char* kMarked = R"(,"finalizers":["kubernetes.io/pvc-protection","a.b/c"])";
constexpr const char* kGoing = R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")";

class ClaimProtectionTest : public ::testing::Test {
 protected:
  void put_claim(std::string_view more) {
    test_.cluster.put(api::resource("persistentvolumeclaims"),
                      fmt::format(R"({{"kind":"PersistentVolumeClaim","apiVersion":"v1",)"
                                  R"("metadata":{{"name":"c","namespace":"default"{}}}}})",
                                  more));
  }
  void put_pod(std::string_view volume, std::string_view node) {
    test_.cluster.put(api::resource("pods"),
                      fmt::format(R"({{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"p",)"
                                  R"("namespace":"default"}},"spec":{{"nodeName":"{}",)"
                                  R"("volumes":[{}]}}}})",
                                  node, volume));
  }
  std::vector<std::string> finalizers() {
    std::vector<std::string> out;
    ObjectPtr claim = test_.find("persistentvolumeclaims", "c");
    if (claim == nullptr) return out;
    json::Document document = claim->document();
    for (json::Value item : document.root()["metadata"]["finalizers"].items())
      out.emplace_back(item.as_string());
    return out;
  }
  static std::vector<std::string> both() { return {"a.b/c", "kubernetes.io/pvc-protection"}; }

  ControllerTest test_{kClaimProtection};
};

constexpr const char* kVolume = R"({"name":"v","persistentVolumeClaim":{"claimName":"c"}})";

TEST_F(ClaimProtectionTest, MarksWhatIsNotMarked) {
  put_claim(R"(,"finalizers":["a.b/c"])");
  test_.settle();
  EXPECT_EQ(finalizers(), both());
}

TEST_F(ClaimProtectionTest, LetsAnUnusedClaimGo) {
  put_claim(std::string(kMarked) + kGoing);
  test_.settle();
  EXPECT_EQ(finalizers(), std::vector<std::string>{"a.b/c"});
}

TEST_F(ClaimProtectionTest, HoldsAClaimUntilItsPodIsGone) {
  put_pod(kVolume, "n");
  put_claim(std::string(kMarked) + kGoing);
  test_.settle();
  EXPECT_EQ(finalizers().size(), 2U);
  ASSERT_TRUE(
      test_.cluster.remove(api::resource("pods"), "default", "p", {.grace_period_seconds = 0})
          .ok());
  test_.settle();
  EXPECT_EQ(finalizers(), std::vector<std::string>{"a.b/c"});
}

TEST_F(ClaimProtectionTest, AnEphemeralVolumeIsAUseToo) {
  put_pod(R"({"name":"v","ephemeral":{}})", "n");
  test_.cluster.put(api::resource("persistentvolumeclaims"),
                    fmt::format(R"({{"kind":"PersistentVolumeClaim","apiVersion":"v1",)"
                                R"("metadata":{{"name":"p-v","namespace":"default"{}{}}}}})",
                                kMarked, kGoing));
  test_.settle();
  json::Document document = test_.find("persistentvolumeclaims", "p-v")->document();
  EXPECT_EQ(document.root()["metadata"]["finalizers"].size(), 2U);
}

TEST_F(ClaimProtectionTest, APodWithoutANodeDoesNotHoldIt) {
  put_pod(kVolume, "");
  put_claim(std::string(kMarked) + kGoing);
  test_.settle();
  EXPECT_EQ(finalizers(), std::vector<std::string>{"a.b/c"});
}

std::vector<std::string> finalizers_of(ControllerTest& test, std::string_view resource) {
  std::vector<std::string> out;
  ObjectPtr object = test.find(resource, "v", "");
  if (object == nullptr) return out;
  json::Document document = object->document();
  for (json::Value item : document.root()["metadata"]["finalizers"].items())
    out.emplace_back(item.as_string());
  return out;
}

TEST(VolumeProtection, HoldsABoundVolume) {
  ControllerTest test(kVolumeProtection);
  auto put = [&](const char* phase) {
    test.cluster.put(api::resource("persistentvolumes"),
                     fmt::format(R"({{"kind":"PersistentVolume","apiVersion":"v1","metadata":{{)"
                                 R"("name":"v","finalizers":["kubernetes.io/pv-protection",)"
                                 R"("a.b/c"]{}}},"status":{{"phase":"{}"}}}})",
                                 kGoing, phase));
  };
  put("Bound");
  test.settle();
  EXPECT_EQ(finalizers_of(test, "persistentvolumes").size(), 2U);
  put("Released");
  test.settle();
  EXPECT_EQ(finalizers_of(test, "persistentvolumes"), std::vector<std::string>{"a.b/c"});
}

TEST(AttributesProtection, HoldsAClassThatAClaimNames) {
  ControllerTest test(kAttributesProtection);
  test.cluster.put(api::resource("persistentvolumeclaims"),
                   R"({"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":{"name":"c",)"
                   R"("namespace":"default"},"spec":{"volumeAttributesClassName":"v"}})");
  constexpr const char* kResource = "volumeattributesclasses.storage.k8s.io";
  test.cluster.put(
      api::resource(kResource),
      fmt::format(R"({{"kind":"VolumeAttributesClass","apiVersion":"storage.k8s.io/v1",)"
                  R"("metadata":{{"name":"v","finalizers":["kubernetes.io/vac-protection",)"
                  R"("a.b/c"]{}}}}})",
                  kGoing));
  test.settle();
  EXPECT_EQ(finalizers_of(test, kResource).size(), 2U);
  ASSERT_TRUE(
      test.cluster.remove(api::resource("persistentvolumeclaims"), "default", "c", {}).ok());
  test.settle();
  EXPECT_EQ(finalizers_of(test, kResource), std::vector<std::string>{"a.b/c"});
}

}  // namespace
}  // namespace wherry::controller
