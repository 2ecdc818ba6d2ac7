#include "api/pod_policy.h"

#include <gtest/gtest.h>

namespace wherry::api {
namespace {

std::string judge(const char* level, const char* version, std::string_view pod) {
  PodPolicy policy{*parse_pod_level(level), *parse_pod_policy_version(version)};
  json::Document document = json::Document::parse(pod).value();
  json::Value root = document.root();
  return violations_text(pod_violations(policy, root["metadata"], root["spec"]));
}

constexpr std::string_view kPlain = R"({"spec":{"containers":[{"name":"c"},{"name":"d"}]}})";
constexpr std::string_view kHardened = R"({"spec":{
    "securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},
    "volumes":[{"name":"v","emptyDir":{}}],
    "containers":[{"name":"c","securityContext":{"allowPrivilegeEscalation":false,
        "capabilities":{"drop":["ALL"],"add":["NET_BIND_SERVICE"]}}}]}})";

TEST(PodPolicy, ParsesLevelsAndVersions) {
  EXPECT_FALSE(parse_pod_level("nope"));
  EXPECT_FALSE(parse_pod_policy_version("1.20"));
  EXPECT_FALSE(parse_pod_policy_version("v1.x"));
  EXPECT_FALSE(parse_pod_policy_version("v1.01"));
  EXPECT_EQ(*parse_pod_policy_version("v1.0"), 0);
  EXPECT_EQ((PodPolicy{PodLevel::kBaseline, 22}.text()), "baseline:v1.22");
}

TEST(PodPolicy, PlainPodsAreBaseline) {
  EXPECT_EQ(judge("privileged", "latest", R"({"spec":{"hostNetwork":true}})"), "");
  EXPECT_EQ(judge("baseline", "latest", kPlain), "");
  EXPECT_EQ(judge("restricted", "latest", kHardened), "");
  EXPECT_EQ(judge("restricted", "latest", kPlain),
            "allowPrivilegeEscalation != false (containers \"c\", \"d\" must set "
            "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities "
            "(containers \"c\", \"d\" must set securityContext.capabilities.drop=[\"ALL\"]), "
            "runAsNonRoot != true (pod or containers \"c\", \"d\" must set "
            "securityContext.runAsNonRoot=true), seccompProfile (pod or containers \"c\", \"d\" "
            "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
            "\"Localhost\")");
}

TEST(PodPolicy, RulesCameWithVersions) {
  EXPECT_EQ(judge("restricted", "v1.7", kPlain),
            "runAsNonRoot != true (pod or containers \"c\", \"d\" must set "
            "securityContext.runAsNonRoot=true)");
  constexpr std::string_view kTimes = R"({"spec":{"securityContext":{"sysctls":[
      {"name":"net.ipv4.tcp_fin_timeout"},{"name":"net.ipv4.tcp_rmem"}]}}})";
  EXPECT_EQ(judge("baseline", "v1.28", kTimes),
            "forbidden sysctls (net.ipv4.tcp_fin_timeout, net.ipv4.tcp_rmem)");
  EXPECT_EQ(judge("baseline", "v1.29", kTimes), "forbidden sysctls (net.ipv4.tcp_rmem)");
  EXPECT_EQ(judge("baseline", "v1.32", kTimes), "");
  constexpr std::string_view kOwn = R"({"spec":{"hostUsers":false,"containers":[
      {"name":"c","securityContext":{"procMount":"Unmasked"}}]}})";
  EXPECT_NE(judge("baseline", "v1.34", kOwn), "");
  EXPECT_EQ(judge("baseline", "v1.35", kOwn), "");
}

TEST(PodPolicy, EphemeralContainersCount) {
  EXPECT_EQ(judge("baseline", "latest",
                  R"({"spec":{"ephemeralContainers":[{"name":"e","securityContext":
                      {"privileged":true,"capabilities":{"add":["SYS_ADMIN"]}}}]}})"),
            "non-default capabilities (container \"e\" must not include \"SYS_ADMIN\" in "
            "securityContext.capabilities.add), privileged (container \"e\" must not set "
            "securityContext.privileged=true)");
}

}  // namespace
}  // namespace wherry::api
