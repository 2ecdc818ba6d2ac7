#include "api/schema.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "api/schema_apps_v1.h"
#include "api/schema_core_v1.h"
#include "api/views.h"
#include "api/views_apps_v1.h"
#include "api/views_core_v1.h"

namespace wherry::api {
namespace {

TEST(Schema, FindsStructsByDefinition) {
  EXPECT_EQ(find_struct("io.k8s.api.core.v1.Pod"), &schema::core_v1::kPod);
  EXPECT_EQ(find_struct("io.k8s.api.apps.v1.Deployment"), &schema::apps_v1::kDeployment);
  EXPECT_EQ(find_struct("io.k8s.api.core.v1.Nothing"), nullptr);
}

TEST(Schema, FindsFieldsByNameAndNumber) {
  const Struct& port = schema::core_v1::kContainerPort;
  ASSERT_NE(port.find("protocol"), nullptr);
  EXPECT_EQ(port.find("protocol")->default_json, "\"TCP\"");
  EXPECT_EQ(port.find(4), port.find("protocol"));
  EXPECT_EQ(port.find("Protocol"), nullptr);
  EXPECT_EQ(port.find(99), nullptr);
}

TEST(Schema, KnowsListKeysAndPatchStrategies) {
  const Field* ports = schema::core_v1::kServiceSpec.find("ports");
  ASSERT_NE(ports, nullptr);
  EXPECT_EQ(ports->list_type, ListType::kMap);
  ASSERT_EQ(ports->list_map_keys.size(), 2u);
  EXPECT_EQ(ports->list_map_keys[1], "protocol");
  EXPECT_EQ(ports->patch_merge_key, "port");
  EXPECT_TRUE(schema::core_v1::kPodSpec.find("volumes")->patch_retain_keys);
  EXPECT_TRUE(schema::core_v1::kPersistentVolumeSpec.find("claimRef")->map_granular);
}

TEST(Schema, FlattensInlinedStructs) {
  const Struct& volume = schema::core_v1::kVolume;
  ASSERT_NE(volume.find("emptyDir"), nullptr);
  EXPECT_EQ(volume.find("emptyDir")->number, 0u);  // In protobuf it is inside the marker's message.
  ASSERT_NE(volume.find(2), nullptr);
  EXPECT_TRUE(volume.find(2)->name.empty());
  EXPECT_EQ(volume.find(2)->type.structure, &schema::core_v1::kVolumeSource);
}

TEST(Schema, IsSoundThroughout) {
  ASSERT_GT(all_structs().size(), 500u);
  for (const Struct* made : all_structs()) {
    SCOPED_TRACE(made->definition);
    EXPECT_EQ(find_struct(made->definition), made);
    for (const Field& field : made->fields) {
      SCOPED_TRACE(field.name);
      EXPECT_EQ(field.type.kind == Kind::kList || field.type.kind == Kind::kMap,
                field.type.element != nullptr);
      if (field.type.kind == Kind::kStruct) {
        EXPECT_NE(field.type.structure, nullptr);
      }
      if (!field.name.empty()) {
        EXPECT_EQ(made->find(field.name), &field);
      }
      if (!field.default_json.empty()) {
        EXPECT_TRUE(json::Document::parse(field.default_json).ok());
      }
      for (std::string_view key : field.list_map_keys) {
        ASSERT_NE(field.type.element, nullptr);
        EXPECT_NE(field.type.element->structure->find(key), nullptr);
      }
    }
    for (size_t i = 1; i < made->by_number.size(); ++i) {
      EXPECT_LT(made->fields[made->by_number[i - 1]].number,
                made->fields[made->by_number[i]].number);
    }
  }
}

TEST(Views, ReadADocument) {
  auto document =
      json::Document::parse(R"({"kind":"Deployment","metadata":{"name":"web","labels":{"a":"b"}},
      "spec":{"replicas":3,"template":{"spec":{"hostPID":true,"containers":[
        {"name":"one","args":["x","y"]},{"name":"two","ports":[{"containerPort":80}]}]}}}})");
  ASSERT_TRUE(document.ok());
  apps_v1::DeploymentView deployment(document->root());
  EXPECT_EQ(deployment.metadata().name(), "web");
  EXPECT_EQ(deployment.metadata().labels()["a"].as_string(), "b");
  EXPECT_EQ(deployment.spec().replicas(), 3);
  EXPECT_EQ(deployment.spec().progress_deadline_seconds(), std::nullopt);
  core_v1::PodSpecView spec = deployment.spec().template_().spec();
  EXPECT_TRUE(spec.host_pid());
  std::string names;
  for (core_v1::ContainerView container : spec.containers()) {
    names += container.name();
    for (std::string_view arg : container.args()) names += arg;
  }
  EXPECT_EQ(names, "onexytwo");
  EXPECT_EQ(spec.containers()[1].ports()[0].container_port(), 80);
  EXPECT_FALSE(spec.security_context());
}

TEST(Views, AreNullSafe) {
  core_v1::PodView nothing;
  EXPECT_FALSE(nothing);
  EXPECT_EQ(nothing.spec().containers()[3].image(), "");
  EXPECT_TRUE(nothing.spec().volumes().empty());
}

}  // namespace
}  // namespace wherry::api
