#include "api/defaults.h"

#include <gtest/gtest.h>

#include "api/schema_apps_v1.h"
#include "api/schema_core_v1.h"

namespace wherry::api {
namespace {

std::string defaulted(const Struct& type, std::string_view text) {
  Result<json::Draft> draft = json::Draft::parse(text);
  EXPECT_TRUE(draft.ok());
  apply_defaults(type, draft->root());
  return draft->dump();
}

TEST(Defaults, FillAbsentFieldsAtAnyDepth) {
  EXPECT_EQ(defaulted(schema::core_v1::kService,
                      R"({"spec":{"ports":[{"port":80},{"port":1,"protocol":"UDP"}]}})"),
            R"({"spec":{"ports":[{"port":80,"protocol":"TCP"},{"port":1,"protocol":"UDP"}],)"
            R"("type":"ClusterIP","sessionAffinity":"None"}})");
  json::Draft pod = json::Draft::parse(R"({"spec":{"containers":[{"name":"a","livenessProbe":{
      "periodSeconds":5}}],"volumes":[{"configMap":{}}]}})")
                        .value();
  apply_defaults(schema::core_v1::kPod, pod.root());
  json::Node spec = pod.root()["spec"];
  EXPECT_EQ(spec["restartPolicy"].as_string(), "Always");
  EXPECT_EQ(spec["terminationGracePeriodSeconds"].as_int(), 30);
  EXPECT_EQ(spec["securityContext"].dump(), "{}");
  EXPECT_EQ(spec["containers"].at(0)["livenessProbe"]["periodSeconds"].as_int(), 5);
  EXPECT_EQ(spec["containers"].at(0)["livenessProbe"]["failureThreshold"].as_int(), 3);
  EXPECT_EQ(spec["volumes"].at(0)["configMap"]["defaultMode"].as_int(), 420);
}

TEST(Defaults, TellZeroFromAbsentForPointersOnly) {
  EXPECT_EQ(defaulted(schema::apps_v1::kReplicaSetSpec, R"({"replicas":0})"), R"({"replicas":0})");
  EXPECT_EQ(defaulted(schema::core_v1::kProbe, R"({"periodSeconds":0})"),
            R"({"periodSeconds":10,"timeoutSeconds":1,"successThreshold":1,"failureThreshold":3})");
}

TEST(Defaults, FillTheStructsTheyBring) {
  json::Draft set = json::Draft::parse(R"({"spec":{}})").value();
  apply_defaults(schema::apps_v1::kStatefulSet, set.root());
  EXPECT_EQ(set.root()["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"].as_string(),
            "Retain");
}

TEST(Defaults, ChangeNothingTheSecondTime) {
  json::Draft pod =
      json::Draft::parse(R"({"spec":{"containers":[{"ports":[{}]}]},"status":{}})").value();
  apply_defaults(schema::core_v1::kPod, pod.root());
  std::string once = pod.dump();
  apply_defaults(schema::core_v1::kPod, pod.root());
  EXPECT_EQ(pod.dump(), once);
}

}  // namespace
}  // namespace wherry::api
