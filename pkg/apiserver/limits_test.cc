#include "apiserver/test_server.h"

namespace wherry::apiserver {
namespace {

std::string pod(std::string_view name, std::string_view resources) {
  return fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"containers":[{{"name":"c",)"
                     R"("image":"x","resources":{}}}]}}}})",
                     name, resources);
}

TEST_F(MachineryTest, LimitRangesGiveDefaultsAndSetBounds) {
  create("limitranges", "default", R"({"metadata":{"name":"l"},"spec":{"limits":[
      {"type":"Container","default":{"cpu":"500m"},"defaultRequest":{"cpu":"200m"},
       "max":{"cpu":"1"}}]}})");
  ObjectPtr filled = create("pods", "default", pod("a", "{}"));
  json::Document document = filled->document();
  json::Value resources = document.root()["spec"]["containers"].at(0)["resources"];
  EXPECT_EQ(resources["requests"]["cpu"].as_string(), "200m");
  EXPECT_EQ(resources["limits"]["cpu"].as_string(), "500m");
  EXPECT_EQ(document.root()["metadata"]["annotations"]["kubernetes.io/limit-ranger"].as_string(),
            "LimitRanger plugin set: cpu request for container c; cpu limit for container c");
  Result<ObjectPtr> over = try_create("pods", "default", pod("b", R"({"limits":{"cpu":"1500m"}})"));
  EXPECT_EQ(over.error().message(),
            "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 1500m");
  // A range that changes counts at once.
  ASSERT_TRUE(try_patch(target("limitranges", "default", "l"), PatchType::kMerge,
                        R"({"spec":{"limits":[{"type":"Container","max":{"cpu":"2"}}]}})")
                  .ok());
  EXPECT_TRUE(try_create("pods", "default", pod("b", R"({"limits":{"cpu":"1500m"}})")).ok());
}

}  // namespace
}  // namespace wherry::apiserver
