#include "api/apply.h"

#include <gtest/gtest.h>

#include "api/schema_apps_v1.h"
#include "api/schema_core_v1.h"

namespace wherry::api {
namespace {

const Time kNow = parse_time("2026-01-02T03:04:05Z").value();

json::Document parse(std::string_view text) { return json::Document::parse(text).value(); }

ApplyOptions by(std::string_view manager) {
  ApplyOptions options;
  options.manager = manager;
  options.api_version = "v1";
  options.now = kNow;
  return options;
}

// One object under several writers.
class Written {
 public:
  explicit Written(const Struct& type) : type_(type) {}

  std::string apply(std::string_view manager, std::string_view config, bool force = false) {
    ApplyOptions options = by(manager);
    options.force = force;
    json::Document document = parse(config);
    Result<json::Draft> result = api::apply(&type_, live_.root(), document.root(), options);
    if (!result.ok()) return result.error().message();
    live_ = result->freeze();
    return "";
  }
  void update(std::string_view manager, std::string_view object) {
    json::Draft next(parse(object).root());
    next.root()
        .ensure_object("metadata")
        .set("managedFields", live_.root()["metadata"]["managedFields"]);
    track_update(&type_, live_.root(), next.root(), by(manager));
    live_ = next.freeze();
  }
  std::string data() const { return live_.root()["data"].dump(); }
  std::string owned(std::string_view manager) const {
    for (json::Value entry : live_.root()["metadata"]["managedFields"].items()) {
      if (entry["manager"].as_string() == manager) return entry["fieldsV1"].dump();
    }
    return "";
  }
  json::Value root() const { return live_.root(); }

 private:
  const Struct& type_;
  json::Document live_;
};

TEST(Apply, OwnsWhatItStates) {
  Written map(schema::core_v1::kConfigMap);
  EXPECT_EQ(
      map.apply(
          "m",
          R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"1"}})"),
      "");
  EXPECT_EQ(map.owned("m"), R"({"f:data":{"f:a":{}}})");
}

TEST(Apply, WhatIsResetIsNobodysButANewObjectHasIt) {
  constexpr std::string_view kData[] = {"data"};
  ApplyOptions options = by("a");
  options.reset_fields = kData;
  json::Document config = parse(R"({"metadata":{"name":"m","labels":{"x":"y"}},"data":{"k":"1"}})");
  json::Document made =
      api::apply(&schema::core_v1::kConfigMap, {}, config.root(), options).value().freeze();
  EXPECT_EQ(made.root()["data"]["k"].as_string(), "1");
  EXPECT_EQ(made.root()["metadata"]["managedFields"].at(0)["fieldsV1"].dump(),
            R"({"f:metadata":{"f:labels":{"f:x":{}}}})");
  json::Document other = parse(R"({"metadata":{"name":"m","labels":{"x":"y"}},"data":{"k":"2"}})");
  json::Document again =
      api::apply(&schema::core_v1::kConfigMap, made.root(), other.root(), options).value().freeze();
  EXPECT_EQ(again.root()["data"]["k"].as_string(), "1");
}

TEST(Apply, GivesUpWhatItNoLongerStates) {
  Written map(schema::core_v1::kConfigMap);
  EXPECT_EQ(map.apply("m", R"({"data":{"a":"1","b":"2"}})"), "");
  EXPECT_EQ(map.apply("m", R"({"data":{"b":"2"}})"), "");
  EXPECT_EQ(map.data(), R"({"b":"2"})");
}

TEST(Apply, KeepsWhatAnotherHolds) {
  Written map(schema::core_v1::kConfigMap);
  EXPECT_EQ(map.apply("m", R"({"data":{"a":"1","b":"2"}})"), "");
  EXPECT_EQ(map.apply("n", R"({"data":{"a":"1"}})"), "");
  EXPECT_EQ(map.apply("m", R"({"data":{"b":"2"}})"), "");
  EXPECT_EQ(map.data(), R"({"a":"1","b":"2"})");
}

TEST(Apply, ConflictsNameTheHolder) {
  Written map(schema::core_v1::kConfigMap);
  map.update("kubectl-client-side-apply", R"({"data":{"a":"1","b":"2"}})");
  EXPECT_EQ(map.apply("m", R"({"data":{"a":"9"}})"),
            "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: "
            ".data.a");
  EXPECT_EQ(
      map.apply("m", R"({"data":{"a":"9","b":"9"}})"),
      "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using v1:\n"
      "- .data.a\n- .data.b");
  EXPECT_EQ(map.apply("m", R"({"data":{"a":"9"}})", true), "");
  EXPECT_EQ(map.owned("kubectl-client-side-apply"), R"({"f:data":{".":{},"f:b":{}}})");
  EXPECT_EQ(map.owned("m"), R"({"f:data":{"f:a":{}}})");
}

TEST(Apply, TheSameTwiceChangesNothing) {
  Written map(schema::core_v1::kConfigMap);
  constexpr const char* kConfig = R"({"metadata":{"name":"x"},"data":{"a":"1"}})";
  EXPECT_EQ(map.apply("m", kConfig), "");
  std::string before = map.root().dump();
  EXPECT_EQ(map.apply("m", kConfig), "");
  EXPECT_EQ(map.root().dump(), before);
}

TEST(Apply, ListItemsByTheirKeys) {
  Written deployment(schema::apps_v1::kDeployment);
  EXPECT_EQ(
      deployment.apply("m", R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"1"},
      {"name":"b","image":"2","ports":[{"containerPort":80}]}]}}}})"),
      "");
  EXPECT_EQ(deployment.apply(
                "n", R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"3"}]}}}})"),
            "");
  EXPECT_EQ(deployment.apply(
                "m", R"({"spec":{"template":{"spec":{"containers":[{"name":"b","image":"2"}]}}}})"),
            "");
  EXPECT_EQ(deployment.root()["spec"]["template"]["spec"].dump(),
            R"({"containers":[{"name":"b","image":"2"},{"name":"c","image":"3"}]})");
  EXPECT_EQ(deployment.owned("n"),
            R"({"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},)"
            R"("f:image":{},"f:name":{}}}}}}})");
}

TEST(Apply, RefusesWhatItCannotType) {
  Written deployment(schema::apps_v1::kDeployment);
  EXPECT_EQ(
      deployment.apply("m", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},
      "spec":{"foo":1}})"),
      "failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.foo: field not "
      "declared in schema");
  EXPECT_EQ(deployment.apply("m", R"({"metadata":{"managedFields":[{}]}})"),
            "metadata.managedFields must be nil");
}

TEST(Apply, ObjectsFromBeforeHaveAHolder) {
  Written map(schema::core_v1::kConfigMap);
  map.update("u", R"({"data":{"a":"1"}})");
  json::Draft bare(map.root());
  bare.root()["metadata"].remove("managedFields");
  json::Document live = bare.freeze(), config = parse(R"({"data":{"a":"2"}})");
  Result<json::Draft> result =
      apply(&schema::core_v1::kConfigMap, live.root(), config.root(), by("m"));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message(),
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
}

TEST(Apply, KubectlTakesOverItsOwnAnnotation) {
  json::Document live = parse(R"({"metadata":{"annotations":
      {"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"a\":\"1\"}}"},
      "managedFields":[{"manager":"kubectl-client-side-apply","operation":"Update","apiVersion":"v1",
      "fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:a":{}}}}]},"data":{"a":"1"}})");
  json::Document config = parse(R"({"data":{"a":"2"}})");
  EXPECT_FALSE(apply(&schema::core_v1::kConfigMap, live.root(), config.root(), by("other")).ok());
  Result<json::Draft> result =
      apply(&schema::core_v1::kConfigMap, live.root(), config.root(), by("kubectl"));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(
      result->root()["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
          .as_string(),
      "{\"data\":{\"a\":\"2\"}}\n");
}

TEST(TrackUpdate, OwnsWhatChanged) {
  Written map(schema::core_v1::kConfigMap);
  map.update("u", R"({"metadata":{"name":"x"},"data":{"a":"1"}})");
  EXPECT_EQ(map.owned("u"), R"({"f:data":{".":{},"f:a":{}}})");
  map.update("v", R"({"metadata":{"name":"x"},"data":{"a":"2"}})");
  EXPECT_EQ(map.owned("u"), R"({"f:data":{}})");
  EXPECT_EQ(map.owned("v"), R"({"f:data":{"f:a":{}}})");
}

TEST(TrackUpdate, StructsThatAreAlwaysThereAreNotOwned) {
  json::Draft next(parse(R"({"spec":{"strategy":{"type":"Recreate"},"template":{"spec":{
      "containers":[{"name":"c","resources":{}}]}}}})")
                       .root());
  track_update(&schema::apps_v1::kDeployment, {}, next.root(), by("u"));
  EXPECT_EQ(next.root()["metadata"]["managedFields"].at(0)["fieldsV1"].dump(),
            R"({"f:spec":{"f:strategy":{"f:type":{}},"f:template":{"f:spec":{"f:containers":)"
            R"({"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:resources":{}}}}}}})");
}

TEST(TrackUpdate, ManyWritersAreMerged) {
  Written map(schema::core_v1::kConfigMap);
  std::string data;
  for (int i = 0; i < 15; ++i) {
    data += (i == 0 ? "" : ",") + ("\"k" + std::to_string(i) + "\":\"1\"");
    map.update("writer-" + std::to_string(i), "{\"data\":{" + data + "}}");
  }
  EXPECT_EQ(map.root()["metadata"]["managedFields"].size(), 10u);
  EXPECT_NE(map.owned("ancient-changes"), "");
}

TEST(Apply, ManagerFromUserAgent) {
  EXPECT_EQ(manager_from_user_agent("kubectl/v1.36.0 (linux/amd64) kubernetes/1"), "kubectl");
  EXPECT_EQ(manager_from_user_agent("curl"), "curl");
}

}  // namespace
}  // namespace wherry::api
