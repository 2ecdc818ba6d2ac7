// Namespaces, service accounts, garbage collection, endpoints and node lifecycle over a cluster in
// memory.

#include <gtest/gtest.h>

#include "controller/all.h"
#include "controller/controller_test.h"

namespace wherry::controller {
namespace {

TEST(ServiceAccount, EveryNamespaceGetsItsDefaultBack) {
  ControllerTest test(kServiceAccount);
  test.cluster.put(api::resource("namespaces"), "metadata: {name: a}");
  test.settle();
  ASSERT_NE(test.find("serviceaccounts", "default", "a"), nullptr);
  test.cluster.erase(api::resource("serviceaccounts"), "a", "default");
  test.settle();
  EXPECT_NE(test.find("serviceaccounts", "default", "a"), nullptr);
}

TEST(RootCa, IsPublishedAndRepaired) {
  ControllerTest test(kRootCaPublisher);
  test.facts.root_ca_pem = [] { return "PEM"; };
  test.cluster.put(api::resource("namespaces"), "metadata: {name: a}");
  test.settle();
  test.cluster.change(api::resource("configmaps"), "a", "kube-root-ca.crt",
                      "data: {ca.crt: forged}");
  test.settle();
  json::Document map = test.find("configmaps", "kube-root-ca.crt", "a")->document();
  EXPECT_EQ(map.root()["data"]["ca.crt"].as_string(), "PEM");
}

TEST(Namespace, PodsGoBeforeEverythingElse) {
  ControllerTest test(kNamespace);
  test.cluster.put(api::resource("pods"),
                   "{metadata: {name: p, namespace: a}, spec: {nodeName: n1}}");
  test.cluster.put(api::resource("secrets"), "metadata: {name: s, namespace: a}");
  test.cluster.put(api::resource("namespaces"),
                   "{metadata: {name: a, deletionTimestamp: '2024-01-01T00:00:00Z'}, spec: "
                   "{finalizers: [kubernetes]}}");
  test.settle();
  EXPECT_TRUE(test.find("pods", "p", "a")->deleting());
  EXPECT_NE(test.find("secrets", "s", "a"), nullptr);
  test.cluster.erase(api::resource("pods"), "a", "p");
  test.settle();
  EXPECT_EQ(test.find("secrets", "s", "a"), nullptr);
  json::Document ns = test.find("namespaces", "a", "")->document();
  EXPECT_TRUE(ns.root()["spec"]["finalizers"].empty());
}

TEST(GarbageCollector, DependentsFollowTheirOwner) {
  ControllerTest test(kGarbageCollector);
  test.cluster.put(api::resource("configmaps"),
                   "metadata: {name: owner, namespace: default, uid: u1}");
  test.cluster.put(api::resource("secrets"),
                   "metadata: {name: child, namespace: default, ownerReferences: [{apiVersion: v1, "
                   "kind: ConfigMap, name: owner, uid: u1}]}");
  test.settle();
  ASSERT_NE(test.find("secrets", "child"), nullptr);
  test.cluster.erase(api::resource("configmaps"), "default", "owner");
  test.settle();
  EXPECT_EQ(test.find("secrets", "child"), nullptr);
}

TEST(GarbageCollector, ALivingSecondOwnerKeepsTheObject) {
  ControllerTest test(kGarbageCollector);
  test.cluster.put(api::resource("configmaps"),
                   "metadata: {name: one, namespace: default, uid: u1}");
  test.cluster.put(api::resource("configmaps"),
                   "metadata: {name: two, namespace: default, uid: u2}");
  test.cluster.put(api::resource("secrets"),
                   "metadata: {name: child, namespace: default, ownerReferences: ["
                   "{apiVersion: v1, kind: ConfigMap, name: one, uid: u1},"
                   "{apiVersion: v1, kind: ConfigMap, name: two, uid: u2}]}");
  test.cluster.erase(api::resource("configmaps"), "default", "one");
  test.settle();
  json::Document child = test.find("secrets", "child")->document();
  ASSERT_EQ(child.root()["metadata"]["ownerReferences"].size(), 1U);
  EXPECT_EQ(child.root()["metadata"]["ownerReferences"].at(0)["uid"].as_string(), "u2");
}

TEST(GarbageCollector, ForegroundWaitsForBlockingDependents) {
  ControllerTest test(kGarbageCollector);
  test.cluster.put(
      api::resource("secrets"),
      "metadata: {name: child, namespace: default, finalizers: [x/hold], ownerReferences: ["
      "{apiVersion: v1, kind: ConfigMap, name: owner, uid: u1, blockOwnerDeletion: true}]}");
  test.cluster.put(api::resource("configmaps"),
                   "metadata: {name: owner, namespace: default, uid: u1, deletionTimestamp: "
                   "'2024-01-01T00:00:00Z',"
                   " finalizers: [foregroundDeletion]}");
  test.settle();
  EXPECT_TRUE(test.find("secrets", "child")->deleting());
  json::Document waiting = test.find("configmaps", "owner")->document();
  EXPECT_EQ(waiting.root()["metadata"]["finalizers"].size(), 1U);
  test.cluster.erase(api::resource("secrets"), "default", "child");
  test.settle();
  json::Document done = test.find("configmaps", "owner")->document();
  EXPECT_TRUE(done.root()["metadata"]["finalizers"].empty());
}

TEST(GarbageCollector, ACircleOfOwnersIsNotBlocked) {
  ControllerTest test(kGarbageCollector);
  for (auto [name, owner] : {std::pair{"a", "c"}, {"b", "a"}, {"c", "b"}}) {
    test.cluster.put(
        api::resource("secrets"),
        fmt::format(
            "metadata: {{name: {0}, namespace: default, uid: u{0}, ownerReferences: ["
            "{{apiVersion: v1, kind: Secret, name: {1}, uid: u{1}, blockOwnerDeletion: true}}]}}",
            name, owner));
  }
  test.cluster.change(
      api::resource("secrets"), "default", "a",
      "metadata: {deletionTimestamp: '2024-01-01T00:00:00Z', finalizers: [foregroundDeletion]}");
  test.settle();
  test.settle();
  EXPECT_EQ(test.find("secrets", "c"), nullptr);
}

TEST(GarbageCollector, OrphaningLeavesDependentsWithoutReference) {
  ControllerTest test(kGarbageCollector);
  test.cluster.put(api::resource("secrets"),
                   "metadata: {name: child, namespace: default, ownerReferences: [{apiVersion: v1, "
                   "kind: ConfigMap, name: owner, uid: u1}]}");
  test.cluster.put(api::resource("configmaps"),
                   "metadata: {name: owner, namespace: default, uid: u1, deletionTimestamp: "
                   "'2024-01-01T00:00:00Z', finalizers: [orphan]}");
  test.settle();
  json::Document child = test.find("secrets", "child")->document();
  EXPECT_TRUE(child.root()["metadata"]["ownerReferences"].empty());
}

constexpr std::string_view kService = R"(
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.43.0.9, selector: {app: web}, ports: [{name: http, port: 80, targetPort: www, protocol: TCP}]}
)";
constexpr std::string_view kReadyPod = R"(
metadata: {name: p1, namespace: default, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: www, containerPort: 8080, protocol: TCP}]}]}
status: {phase: Running, podIP: 10.42.0.5, conditions: [{type: Ready, status: 'True'}]}
)";

TEST(EndpointSlice, FollowsReadiness) {
  ControllerTest test(kEndpointSlice);
  test.cluster.put(api::resource("services"), kService);
  test.cluster.put(api::resource("pods"), kReadyPod);
  test.settle();
  ASSERT_EQ(test.list("endpointslices.discovery.k8s.io").size(), 1U);
  json::Document slice = test.list("endpointslices.discovery.k8s.io")[0]->document();
  EXPECT_EQ(slice.root()["ports"].at(0)["port"].as_int(), 8080);
  EXPECT_TRUE(slice.root()["endpoints"].at(0)["conditions"]["ready"].as_bool());
  test.cluster.change(api::resource("pods"), "default", "p1",
                      "status: {conditions: [{type: Ready, status: 'False'}]}");
  test.settle();
  json::Document after = test.list("endpointslices.discovery.k8s.io")[0]->document();
  EXPECT_FALSE(after.root()["endpoints"].at(0)["conditions"]["ready"].as_bool());
}

TEST(EndpointSliceMirroring, CopiesHandMadeEndpoints) {
  ControllerTest test(kEndpointSliceMirroring);
  test.cluster.put(api::resource("services"),
                   "{metadata: {name: out, namespace: default}, spec: {ports: [{port: 80}]}}");
  test.cluster.put(
      api::resource("endpoints"),
      "{metadata: {name: out, namespace: default}, subsets: [{addresses: [{ip: 192.0.2.7}], "
      "ports: [{port: 80}]}]}");
  test.settle();
  ASSERT_EQ(test.list("endpointslices.discovery.k8s.io").size(), 1U);
  json::Document slice = test.list("endpointslices.discovery.k8s.io")[0]->document();
  EXPECT_EQ(slice.root()["endpoints"].at(0)["addresses"].at(0).as_string(), "192.0.2.7");
  test.cluster.erase(api::resource("endpoints"), "default", "out");
  test.settle();
  EXPECT_TRUE(test.list("endpointslices.discovery.k8s.io").empty());
}

TEST(Endpoints, NamesPodsByReadinessAndGoesWithTheService) {
  ControllerTest test(kEndpoints);
  test.cluster.put(api::resource("services"), kService);
  test.cluster.put(api::resource("pods"), kReadyPod);
  test.settle();
  json::Document endpoints = test.find("endpoints", "web")->document();
  EXPECT_EQ(endpoints.root()["subsets"].at(0)["addresses"].at(0)["ip"].as_string(), "10.42.0.5");
  test.cluster.erase(api::resource("services"), "default", "web");
  test.settle();
  EXPECT_EQ(test.find("endpoints", "web"), nullptr);
}

TEST(NodeLifecycle, ASilentNodeBecomesUnknownAndTainted) {
  ControllerTest test(kNodeLifecycle);
  test.cluster.put(
      api::resource("leases.coordination.k8s.io"),
      fmt::format(
          "{{metadata: {{name: n1, namespace: kube-node-lease}}, spec: {{renewTime: '{}'}}}}",
          format_micro_time(test.clock.now())));
  test.cluster.put(api::resource("nodes"),
                   "{metadata: {name: n1}, status: {conditions: [{type: Ready, status: 'True'}]}}");
  test.settle();
  test.clock.advance(std::chrono::seconds(60));
  test.settle();
  json::Document node = test.find("nodes", "n1", "")->document();
  EXPECT_EQ(node.root()["status"]["conditions"].at(0)["status"].as_string(), "Unknown");
  EXPECT_EQ(node.root()["spec"]["taints"].at(0)["key"].as_string(),
            "node.kubernetes.io/unreachable");
}

void renew_lease(ControllerTest& test, Time stamp) {
  test.cluster.put(
      api::resource("leases.coordination.k8s.io"),
      fmt::format(
          "{{metadata: {{name: n1, namespace: kube-node-lease}}, spec: {{renewTime: '{}'}}}}",
          format_micro_time(stamp)));
}

std::string ready_of(ControllerTest& test) {
  json::Document node = test.find("nodes", "n1", "")->document();
  return std::string(node.root()["status"]["conditions"].at(0)["status"].as_string());
}

TEST(NodeLifecycle, PodsOfALostNodeAreNotReady) {
  ControllerTest test(kNodeLifecycle);
  renew_lease(test, test.clock.now());
  test.cluster.put(api::resource("pods"),
                   "{metadata: {name: p, namespace: default}, spec: {nodeName: n1}, status: "
                   "{conditions: [{type: Ready, status: 'True'}]}}");
  test.cluster.put(api::resource("nodes"),
                   "{metadata: {name: n1}, status: {conditions: [{type: Ready, status: 'True'}]}}");
  test.settle();
  test.clock.advance(std::chrono::seconds(60));
  test.settle();
  json::Document pod = test.find("pods", "p")->document();
  EXPECT_EQ(pod.root()["status"]["conditions"].at(0)["status"].as_string(), "False");
}

// The server was down, or the node's clock is wrong: only what the server sees counts.
TEST(NodeLifecycle, AnOldStampIsNoProofOfSilence) {
  for (auto off : {std::chrono::hours(-10), std::chrono::hours(10)}) {
    ControllerTest test(kNodeLifecycle);
    renew_lease(test, test.clock.now() + off);
    test.cluster.put(
        api::resource("nodes"),
        "{metadata: {name: n1}, status: {conditions: [{type: Ready, status: 'True'}]}}");
    test.settle();
    EXPECT_EQ(ready_of(test), "True");
    for (int i = 0; i < 5; ++i) {
      test.clock.advance(std::chrono::seconds(30));
      renew_lease(test, test.clock.now() + off);
      test.settle();
      EXPECT_EQ(ready_of(test), "True");
    }
    test.clock.advance(std::chrono::seconds(51));
    test.settle();
    test.clock.advance(std::chrono::seconds(51));
    test.settle();
    EXPECT_EQ(ready_of(test), "Unknown");
  }
}

// Its status comes back before its Lease does.
TEST(NodeLifecycle, AStatusIsASignOfLifeToo) {
  ControllerTest test(kNodeLifecycle);
  renew_lease(test, test.clock.now());
  test.cluster.put(api::resource("nodes"),
                   "{metadata: {name: n1}, status: {conditions: [{type: Ready, status: 'True'}]}}");
  test.settle();
  test.clock.advance(std::chrono::seconds(60));
  test.settle();
  EXPECT_EQ(ready_of(test), "Unknown");
  test.clock.advance(std::chrono::seconds(60));
  test.cluster.change(api::resource("nodes"), "", "n1",
                      fmt::format("{{status: {{conditions: [{{type: Ready, status: 'True', "
                                  "lastHeartbeatTime: '{}'}}]}}}}",
                                  format_time(test.clock.now())));
  test.settle();
  EXPECT_EQ(ready_of(test), "True");
  test.clock.advance(std::chrono::seconds(51));
  test.settle();
  EXPECT_EQ(ready_of(test), "Unknown");
}

TEST(NodeIpam, EachNodeGetsARangeOfItsOwn) {
  ControllerTest test(kNodeIpam);
  test.facts.cluster_cidr = "10.42.0.0/22";
  auto range_of = [&test](const char* name) {
    json::Document node = test.find("nodes", name, "")->document();
    return std::string(node.root()["spec"]["podCIDR"].as_string());
  };
  test.cluster.put(api::resource("nodes"), "{metadata: {name: a}}");
  test.settle();
  EXPECT_EQ(range_of("a"), "10.42.1.0/24");  // The first one is the server's.
  test.cluster.put(api::resource("nodes"), "{metadata: {name: b}, spec: {podCIDR: 10.42.2.0/24}}");
  test.cluster.put(api::resource("nodes"), "{metadata: {name: c}}");
  test.settle();
  EXPECT_EQ(range_of("b"), "10.42.2.0/24");
  EXPECT_EQ(range_of("c"), "10.42.3.0/24");
  test.cluster.put(api::resource("nodes"), "{metadata: {name: d}}");
  EXPECT_TRUE(test.try_pass({"", "d"}).error().is(Code::kUnavailable));
  EXPECT_EQ(range_of("d"), "");
  test.cluster.erase(api::resource("nodes"), "", "a");
  test.settle();
  EXPECT_EQ(range_of("d"), "10.42.1.0/24");
}

TEST(TaintEviction, WaitsForTheToleratedTime) {
  ControllerTest test(kTaintEviction);
  test.cluster.put(api::resource("nodes"),
                   fmt::format("{{metadata: {{name: n1}}, spec: {{taints: [{{key: k, effect: "
                               "NoExecute, timeAdded: '{}'}}]}}}}",
                               format_time(test.clock.now())));
  test.cluster.put(api::resource("pods"),
                   "{metadata: {name: p, namespace: default}, spec: {nodeName: n1, tolerations: "
                   "[{key: k, operator: Exists, effect: NoExecute, tolerationSeconds: 30}]}}");
  test.settle();
  EXPECT_FALSE(test.find("pods", "p")->deleting());
  test.clock.advance(std::chrono::seconds(31));
  test.settle();
  EXPECT_TRUE(test.find("pods", "p")->deleting());
}

}  // namespace
}  // namespace wherry::controller
