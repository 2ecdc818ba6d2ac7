#include "api/openapi.h"

#include <gtest/gtest.h>

#include "api/schema_apps_v1.h"
#include "api/schema_autoscaling_v1.h"
#include "json/json.h"

namespace wherry::api {
namespace {

constexpr std::string_view kScaleVerbs[] = {"get", "update", "patch"};
constexpr Subresource kSubresources[] = {
    {.name = "status", .kind = "Deployment", .verbs = kScaleVerbs},
    {.name = "scale",
     .kind = "Scale",
     .group = "autoscaling",
     .version = "v1",
     .verbs = kScaleVerbs,
     .schema = &schema::autoscaling_v1::kScale},
};
const Resource kDeployments = {
    .group = "apps",
    .version = "v1",
    .kind = "Deployment",
    .plural = "deployments",
    .singular = "deployment",
    .schema = &schema::apps_v1::kDeployment,
    .subresources = kSubresources,
};

json::Document deployments() {
  const Resource* rows[] = {&kDeployments};
  return json::Document::parse(openapi_v3("apps", "v1", rows)).value();
}

TEST(OpenApiV3, HasThePathsOfAResource) {
  json::Document document = deployments();
  json::Value paths = document.root()["paths"];
  EXPECT_EQ(paths.size(), 5u);
  json::Value one = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
  EXPECT_EQ(one["patch"]["operationId"].as_string(), "patchAppsV1NamespacedDeployment");
  EXPECT_EQ(one["patch"]["x-kubernetes-action"].as_string(), "patch");
  EXPECT_EQ(one["patch"]["x-kubernetes-group-version-kind"]["kind"].as_string(), "Deployment");
  bool validates = false;
  for (json::Value parameter : one["patch"]["parameters"].items()) {
    validates = validates || parameter["name"].as_string() == "fieldValidation";
  }
  EXPECT_TRUE(validates);  // By this kubectl decides to let the server validate.
  json::Value scale = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"];
  EXPECT_EQ(scale["get"]["x-kubernetes-group-version-kind"]["group"].as_string(), "autoscaling");
  EXPECT_TRUE(paths["/apis/apps/v1/deployments"]["get"]);
}

TEST(OpenApiV3, DefinesEverythingItMentions) {
  json::Document document = deployments();
  json::Value schemas = document.root()["components"]["schemas"];
  std::string text = document.root().dump();
  constexpr std::string_view kPrefix = "#/components/schemas/";
  size_t references = 0;
  for (size_t at = 0; (at = text.find(kPrefix, at)) != std::string::npos; ++references) {
    at += kPrefix.size();
    std::string name = text.substr(at, text.find('"', at) - at);
    EXPECT_TRUE(schemas[name]) << name;
  }
  EXPECT_GT(references, 200u);
}

TEST(OpenApiV3, CarriesWhatPatchesNeed) {
  json::Document document = deployments();
  json::Value schemas = document.root()["components"]["schemas"];
  json::Value containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
  EXPECT_EQ(containers["x-kubernetes-patch-merge-key"].as_string(), "name");
  EXPECT_EQ(containers["x-kubernetes-patch-strategy"].as_string(), "merge");
  EXPECT_EQ(containers["x-kubernetes-list-type"].as_string(), "map");
  json::Value deployment = schemas["io.k8s.api.apps.v1.Deployment"];
  EXPECT_EQ(deployment["x-kubernetes-group-version-kind"].at(0)["kind"].as_string(), "Deployment");
  EXPECT_EQ(schemas["io.k8s.api.apps.v1.DeploymentSpec"]["required"].dump(),
            R"(["selector","template"])");
  EXPECT_EQ(schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["oneOf"].size(), 2u);
}

TEST(OpenApiV2, IsWholeAndHasAProtobufForm) {
  json::Document document = json::Document::parse(openapi_v2()).value();
  EXPECT_EQ(document.root()["swagger"].as_string(), "2.0");
  EXPECT_TRUE(document.root()["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]);
  EXPECT_TRUE(document.root()["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["get"]);
  EXPECT_TRUE(
      openapi_v2_protobuf().starts_with("\x0a\x03"
                                        "2.0"));
}

TEST(OpenApiV3, HasAnIndexWithHashes) {
  const Resource* custom[] = {&kDeployments};
  json::Document index = json::Document::parse(openapi_v3_index(custom)).value();
  std::string url(index.root()["paths"]["api/v1"]["serverRelativeURL"].as_string());
  EXPECT_TRUE(url.starts_with("/openapi/v3/api/v1?hash=")) << url;
  EXPECT_EQ(openapi_v3_index(), openapi_v3_index());
}

TEST(OpenApi, NamesDefinitionsOfCustomKinds) {
  Resource widget{.group = "example.com", .version = "v1", .kind = "Widget"};
  EXPECT_EQ(openapi_definition_name(widget), "com.example.v1.Widget");
}

}  // namespace
}  // namespace wherry::api
