#include "api/patch.h"

#include <gtest/gtest.h>

#include "api/schema_apps_v1.h"
#include "api/schema_core_v1.h"

namespace wherry::api {
namespace {

json::Document parse(std::string_view text) { return json::Document::parse(text).value(); }

std::string shown(const Result<json::Draft>& result) {
  return result.ok() ? result->dump() : "error: " + result.error().message();
}

std::string json_patched(std::string_view original, std::string_view patch) {
  json::Document a = parse(original), b = parse(patch);
  return shown(json_patch(a.root(), b.root()));
}
std::string merged(std::string_view original, std::string_view patch) {
  json::Document a = parse(original), b = parse(patch);
  return shown(merge_patch(a.root(), b.root()));
}
std::string strategic(std::string_view original, std::string_view patch) {
  json::Document a = parse(original), b = parse(patch);
  return shown(strategic_merge_patch(schema::core_v1::kPodSpec, a.root(), b.root()));
}

constexpr const char* kUnfit =
    "error: the server rejected our request due to an error in our request";

TEST(JsonPatch, Operations) {
  EXPECT_EQ(json_patched(R"({"a":1})", R"([{"op":"add","path":"/b","value":[2]}])"),
            R"({"a":1,"b":[2]})");
  EXPECT_EQ(json_patched(R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])"),
            R"({"a":[1,2,3]})");
  EXPECT_EQ(json_patched(R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":2}])"),
            R"({"a":[1,2]})");
  EXPECT_EQ(json_patched(R"({"a":1,"b":2})", R"([{"op":"remove","path":"/a"}])"), R"({"b":2})");
  EXPECT_EQ(json_patched(R"({"a":1})", R"([{"op":"replace","path":"/a","value":{"x":null}}])"),
            R"({"a":{"x":null}})");
  EXPECT_EQ(json_patched(R"({"a":[1,2]})", R"([{"op":"move","from":"/a/0","path":"/b"}])"),
            R"({"a":[2],"b":1})");
  EXPECT_EQ(json_patched(R"({"a":{"x":1}})", R"([{"op":"copy","from":"/a","path":"/b"}])"),
            R"({"a":{"x":1},"b":{"x":1}})");
  EXPECT_EQ(json_patched(R"({"a/b":{"~":1}})", R"([{"op":"replace","path":"/a~1b/~0","value":2}])"),
            R"({"a/b":{"~":2}})");
}

TEST(JsonPatch, TestComparesDeeply) {
  EXPECT_EQ(json_patched(R"({"a":{"x":[1]}})", R"([{"op":"test","path":"/a","value":{"x":[1]}}])"),
            R"({"a":{"x":[1]}})");
  EXPECT_EQ(json_patched(R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])"), kUnfit);
  EXPECT_EQ(json_patched(R"({"a":1})", R"([{"op":"test","path":"/b","value":null}])"),
            R"({"a":1})");
}

TEST(JsonPatch, RefusesWhatDoesNotFit) {
  for (const char* patch :
       {R"([{"op":"remove","path":"/z"}])", R"([{"op":"add","path":"/z/y","value":1}])",
        R"([{"op":"add","path":"/l/9","value":1}])", R"([{"op":"foo","path":"/a"}])",
        R"([{"op":"add"}])", R"([{"op":"move","from":"/z","path":"/a"}])",
        R"([{"op":"replace","path":"/l/x","value":1}])"}) {
    EXPECT_EQ(json_patched(R"({"a":1,"l":[]})", patch), kUnfit) << patch;
  }
  EXPECT_EQ(json_patched("{}", "{}"),
            "error: error decoding patch: json: cannot unmarshal object into Go value of type "
            "[]handlers.jsonPatchOp");
}

TEST(JsonPatch, GrowthIsBounded) {
  std::string patch = "[";
  for (int i = 0; i < 40; ++i) {
    patch += R"({"op":"copy","from":"/a","path":"/a/-"},)";
  }
  patch.back() = ']';
  EXPECT_EQ(json_patched(R"({"a":["0123456789"]})", patch), kUnfit);
}

TEST(MergePatch, FollowsTheStandard) {
  EXPECT_EQ(merged(R"({"a":"b","c":{"d":"e","f":"g"}})", R"({"a":"z","c":{"f":null}})"),
            R"({"a":"z","c":{"d":"e"}})");
  EXPECT_EQ(merged(R"({"a":[1]})", R"({"a":{"b":{"c":null}}})"), R"({"a":{"b":{}}})");
  EXPECT_EQ(merged("{}", "[]"),
            "error: error decoding patch: json: cannot unmarshal array into Go value of type "
            "map[string]interface {}");
}

constexpr const char* kTwo =
    R"({"containers":[{"name":"a","image":"1"},{"name":"b","image":"2"}]})";

TEST(StrategicPatch, MergesItemsByKey) {
  EXPECT_EQ(strategic(kTwo, R"({"containers":[{"name":"b","image":"3"}]})"),
            R"({"containers":[{"name":"a","image":"1"},{"name":"b","image":"3"}]})");
  EXPECT_EQ(
      strategic(kTwo, R"({"containers":[{"name":"c","image":"3"}]})"),
      R"({"containers":[{"name":"c","image":"3"},{"name":"a","image":"1"},{"name":"b","image":"2"}]})");
}

TEST(StrategicPatch, Directives) {
  EXPECT_EQ(strategic(kTwo, R"({"containers":[{"name":"a","$patch":"delete"}]})"),
            R"({"containers":[{"name":"b","image":"2"}]})");
  EXPECT_EQ(strategic(kTwo, R"({"containers":[{"$patch":"replace"},{"name":"z","image":"9"}]})"),
            R"({"containers":[{"name":"z","image":"9"}]})");
  EXPECT_EQ(strategic(R"({"nodeSelector":{"a":"1"}})",
                      R"({"nodeSelector":{"$patch":"replace","b":"2"}})"),
            R"({"nodeSelector":{"b":"2"}})");
  EXPECT_EQ(strategic(R"({"nodeSelector":{"a":"1"}})", R"({"nodeSelector":{"$patch":"delete"}})"),
            R"({"nodeSelector":{}})");
  EXPECT_EQ(
      strategic(R"({"volumes":[{"name":"v","configMap":{"name":"x"}}]})",
                R"({"volumes":[{"name":"v","$retainKeys":["name","emptyDir"],"emptyDir":{}}]})"),
      R"({"volumes":[{"name":"v","emptyDir":{}}]})");
}

TEST(StrategicPatch, ElementOrder) {
  EXPECT_EQ(strategic(kTwo, R"({"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]})"),
            R"({"containers":[{"name":"b","image":"2"},{"name":"a","image":"1"}]})");
  EXPECT_EQ(
      strategic(kTwo,
                R"({"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"a"}]})"),
      "error: The order in patch list:\n[map[name:a]]\n doesn't match $setElementOrder list:\n"
      "[map[name:b]]\n");
}

TEST(StrategicPatch, PrimitiveLists) {
  json::Document pod = parse(R"({"metadata":{"finalizers":["a/b","c/d"]}})");
  auto with = [&](std::string_view text) {
    json::Document patch = parse(text);
    return shown(strategic_merge_patch(schema::core_v1::kPod, pod.root(), patch.root()));
  };
  EXPECT_EQ(with(R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a/b"]}})"),
            R"({"metadata":{"finalizers":["c/d"]}})");
  EXPECT_EQ(with(R"({"metadata":{"finalizers":["e/f"]}})"),
            R"({"metadata":{"finalizers":["e/f","a/b","c/d"]}})");
}

TEST(StrategicPatch, SaysWhatIsWrong) {
  EXPECT_EQ(strategic(kTwo, R"({"containers":[{"image":"x"}]})"),
            "error: map: map[image:x] does not contain declared merge key: name");
  EXPECT_EQ(strategic(kTwo, R"({"containers":[{"name":"a","$patch":"zz"}]})"),
            "error: unknown patch type: zz in map: map[$patch:zz name:a]");
  EXPECT_EQ(strategic(kTwo, R"({"containers":5})"),
            "error:  \"\" is invalid: patch: Invalid value: \"map[containers:5]\": cannot restore "
            "slice from "
            "int64");
}

}  // namespace
}  // namespace wherry::api
