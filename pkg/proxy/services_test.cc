#include "proxy/services.h"

#include <gtest/gtest.h>

namespace wherry::proxy {
namespace {

json::Document parse(std::string_view text) { return json::Document::parse(text).value(); }

std::vector<Entry> entries(std::string_view service, std::vector<std::string> slices) {
  json::Document document = parse(service);
  std::vector<json::Document> documents;
  std::vector<json::Value> roots;
  for (const std::string& slice : slices) documents.push_back(parse(slice));
  for (const json::Document& slice : documents) roots.push_back(slice.root());
  return entries_of(document.root(), roots, "n1");
}

Backend backend(const char* address, uint16_t port) { return {*Ipv4::parse(address), port}; }
Frontend frontend(const char* address, Protocol protocol, uint16_t port) {
  return {*Ipv4::parse(address), protocol, port};
}

constexpr const char* kSlice =
    R"({"addressType":"IPv4","ports":[{"name":"","protocol":"TCP","port":8080}],
  "endpoints":[{"addresses":["10.42.0.9"],"conditions":{"ready":true},"nodeName":"n1"},
               {"addresses":["10.42.1.9"],"nodeName":"n2"},
               {"addresses":["10.42.0.8"],"conditions":{"ready":false},"nodeName":"n1"}]})";

TEST(Services, ClusterAddress) {
  auto got = entries(R"({"spec":{"clusterIP":"10.43.0.7","ports":[{"port":80}]}})", {kSlice});
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].frontend, frontend("10.43.0.7", Protocol::kTcp, 80));
  EXPECT_EQ(got[0].target.backends,
            (std::vector{backend("10.42.0.9", 8080), backend("10.42.1.9", 8080)}));
  EXPECT_FALSE(got[0].target.masquerade);
}

TEST(Services, NodePortAndExternalAddresses) {
  auto got = entries(R"({"spec":{"type":"LoadBalancer","clusterIP":"10.43.0.7",
      "clusterIPs":["10.43.0.7","fd00::7"],"externalIPs":["192.0.2.9"],
      "ports":[{"port":80,"nodePort":30080}]},
      "status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.10"},{"ip":"192.0.2.11","ipMode":"Proxy"},
                                           {"hostname":"x"}]}}})",
                     {kSlice});
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[1].frontend, frontend("192.0.2.9", Protocol::kTcp, 80));
  EXPECT_EQ(got[2].frontend, frontend("192.0.2.10", Protocol::kTcp, 80));
  EXPECT_EQ(got[3].frontend, frontend("0.0.0.0", Protocol::kTcp, 30080));
  for (int i : {1, 2, 3}) EXPECT_TRUE(got[i].target.masquerade);
}

TEST(Services, LocalPolicies) {
  auto got = entries(R"({"spec":{"type":"NodePort","clusterIP":"10.43.0.7",
      "externalTrafficPolicy":"Local","ports":[{"port":80,"nodePort":30080}]}})",
                     {kSlice});
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].target.backends.size(), 2u);
  EXPECT_EQ(got[1].target.backends, std::vector{backend("10.42.0.9", 8080)});
  EXPECT_FALSE(got[1].target.masquerade);
  got = entries(R"({"spec":{"clusterIP":"10.43.0.7","internalTrafficPolicy":"Local",
      "ports":[{"port":80}]}})",
                {kSlice});
  EXPECT_EQ(got[0].target.backends, std::vector{backend("10.42.0.9", 8080)});
}

TEST(Services, PortsByNameAndProtocolOverSeveralSlices) {
  const char* dns = R"({"addressType":"IPv4","ports":[{"name":"dns","protocol":"UDP","port":5353},
      {"name":"dns-tcp","protocol":"TCP","port":5354}],"endpoints":[{"addresses":["10.42.0.2"]}]})";
  const char* more = R"({"addressType":"IPv4","ports":[{"name":"dns","protocol":"UDP","port":53}],
      "endpoints":[{"addresses":["10.42.0.1"]},{"addresses":["10.42.0.1"]}]})";
  const char* other = R"({"addressType":"IPv6","ports":[{"name":"dns","protocol":"UDP","port":53}],
      "endpoints":[{"addresses":["fd00::1"]}]})";
  auto got = entries(R"({"spec":{"clusterIP":"10.43.0.10","ports":[
      {"name":"dns","port":53,"protocol":"UDP"},{"name":"dns-tcp","port":53,"protocol":"TCP"}]}})",
                     {dns, more, other});
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].target.backends,
            (std::vector{backend("10.42.0.1", 53), backend("10.42.0.2", 5353)}));
  EXPECT_EQ(got[1].target.backends, std::vector{backend("10.42.0.2", 5354)});
}

TEST(Services, TerminatingEndpointsServeWhenNoneIsReady) {
  const char* slice = R"({"addressType":"IPv4","ports":[{"port":80}],"endpoints":[
      {"addresses":["10.42.0.1"],"conditions":{"ready":false,"serving":true,"terminating":true}},
      {"addresses":["10.42.0.2"],
       "conditions":{"ready":false,"serving":false,"terminating":true}}]})";
  const char* service = R"({"spec":{"clusterIP":"10.43.0.7","ports":[{"port":80}]}})";
  EXPECT_EQ(entries(service, {slice})[0].target.backends, std::vector{backend("10.42.0.1", 80)});
  EXPECT_EQ(entries(service, {slice, kSlice})[0].target.backends.size(), 2u);
}

TEST(Services, Affinity) {
  auto got = entries(R"({"spec":{"clusterIP":"10.43.0.7","sessionAffinity":"ClientIP",
      "ports":[{"port":80}]}})",
                     {});
  EXPECT_EQ(got[0].target.affinity_seconds, 10800u);
  got = entries(R"({"spec":{"clusterIP":"10.43.0.7","sessionAffinity":"ClientIP",
      "sessionAffinityConfig":{"clientIP":{"timeoutSeconds":5}},"ports":[{"port":80}]}})",
                {});
  EXPECT_EQ(got[0].target.affinity_seconds, 5u);
}

TEST(Services, WithoutAnythingToProgram) {
  EXPECT_TRUE(entries(R"({"spec":{"clusterIP":"None","ports":[{"port":80}]}})", {kSlice}).empty());
  EXPECT_TRUE(entries(R"({"spec":{"type":"ExternalName","externalName":"x"}})", {kSlice}).empty());
  EXPECT_TRUE(entries(R"({"spec":{"clusterIP":"","ports":[{"port":80}]}})", {kSlice}).empty());
  EXPECT_TRUE(entries(R"({"metadata":{"labels":{"service.kubernetes.io/service-proxy-name":"x"}},
      "spec":{"clusterIP":"10.43.0.7","ports":[{"port":80}]}})",
                      {kSlice})
                  .empty());
}

}  // namespace
}  // namespace wherry::proxy
