#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include "client/fake_cluster.h"

namespace wherry::scheduler {
namespace {

class SchedulerTest : public testing::Test {
 protected:
  void node(const std::string& name, const std::string& cpu = "2", const std::string& more = "") {
    cluster_.put(
        api::resource("nodes"),
        fmt::format(
            "{{metadata: {{name: {0}, labels: {{kubernetes.io/hostname: {0}}}}}, spec: {{{2}}}, "
            "status: {{allocatable: {{cpu: '{1}', memory: 4Gi, pods: '10'}}}}}}",
            name, cpu, more));
  }
  void pod(const std::string& name, const std::string& cpu = "100m", const std::string& spec = "",
           const std::string& metadata = "") {
    cluster_.put(
        api::resource("pods"),
        fmt::format("{{metadata: {{name: {0}, namespace: default{3}}}, spec: {{{2} containers: "
                    "[{{name: c, resources: {{requests: {{cpu: {1}}}}}}}]}}}}",
                    name, cpu, spec, metadata));
  }
  void run() {
    for (int i = 0; i < 30; ++i) scheduler_.run_once();
  }
  std::string node_of(const std::string& name) {
    json::Document document =
        cluster_.lister(api::resource("pods")).find("default", name)->document();
    return std::string(document.root()["spec"]["nodeName"].as_string());
  }
  std::string message_of(const std::string& name) {
    json::Document document =
        cluster_.lister(api::resource("pods")).find("default", name)->document();
    return std::string(document.root()["status"]["conditions"].at(0)["message"].as_string());
  }

  FakeClock clock_;
  client::FakeCluster cluster_{clock_};
  Scheduler scheduler_{cluster_, cluster_, clock_};
};

TEST_F(SchedulerTest, SpreadsByWhatIsFree) {
  node("a");
  node("b");
  pod("one", "1");
  run();
  pod("two", "1");
  run();
  EXPECT_NE(node_of("one"), node_of("two"));
}

TEST_F(SchedulerTest, SaysWhyAndRetriesWhenSomethingHelps) {
  node("a", "2");
  pod("big", "10");
  run();
  EXPECT_EQ(
      message_of("big"),
      "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 "
      "nodes are available: 1 Preemption is not helpful for scheduling.");
  size_t calls = cluster_.calls.size();
  cluster_.change(api::resource("nodes"), "", "a", "metadata: {annotations: {x: z}}");
  run();
  EXPECT_EQ(cluster_.calls.size(), calls);  // Nothing that could help: no retry.
  cluster_.change(api::resource("nodes"), "", "a", "status: {allocatable: {cpu: '16'}}");
  run();
  EXPECT_EQ(node_of("big"), "a");
}

TEST_F(SchedulerTest, WithoutNodesItSaysSo) {
  pod("p");
  run();
  EXPECT_EQ(message_of("p"), "no nodes available to schedule pods");
  node("a");
  run();
  EXPECT_EQ(node_of("p"), "a");
}

TEST_F(SchedulerTest, SelectorsTaintsPortsAndUnschedulableHold) {
  node("plain");
  node("tainted", "2", "taints: [{key: k, value: v, effect: NoSchedule}]");
  node("closed", "2", "unschedulable: true");
  pod("tolerant", "1",
      "tolerations: [{key: k, operator: Exists}], nodeSelector: {kubernetes.io/hostname: "
      "tainted},");
  pod("selective", "1", "nodeSelector: {no: such},");
  run();
  EXPECT_EQ(node_of("tolerant"), "tainted");
  EXPECT_EQ(node_of("selective"), "");
  EXPECT_NE(message_of("selective").find("1 node(s) were unschedulable"), std::string::npos);
  EXPECT_NE(message_of("selective").find("didn't match Pod's node affinity/selector"),
            std::string::npos);
}

TEST_F(SchedulerTest, HostPortsConflictAndFreeUp) {
  node("a");
  for (const char* name : {"p1", "p2"}) {
    cluster_.put(api::resource("pods"),
                 fmt::format("{{metadata: {{name: {}, namespace: default}}, spec: {{containers: "
                             "[{{name: c, ports: [{{containerPort: 80, hostPort: 8080}}]}}]}}}}",
                             name));
  }
  run();
  EXPECT_EQ(node_of("p1"), "a");
  EXPECT_EQ(node_of("p2"), "");
  cluster_.erase(api::resource("pods"), "default", "p1");
  run();
  EXPECT_EQ(node_of("p2"), "a");
}

TEST_F(SchedulerTest, HigherPriorityPreempts) {
  node("a", "1");
  pod("low", "1", "priority: 1,");
  run();
  ASSERT_EQ(node_of("low"), "a");
  pod("high", "1", "priority: 100,");
  run();
  EXPECT_TRUE(cluster_.lister(api::resource("pods")).find("default", "low")->deleting());
  cluster_.erase(api::resource("pods"), "default", "low");
  run();
  EXPECT_EQ(node_of("high"), "a");
}

TEST_F(SchedulerTest, AntiAffinityKeepsPodsApart) {
  node("a");
  node("b");
  std::string apart =
      "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
      "[{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: w}}}]}},";
  for (const char* name : {"one", "two", "three"}) {
    pod(name, "100m", apart, ", labels: {app: w}");
    run();
  }
  EXPECT_NE(node_of("one"), node_of("two"));
  EXPECT_EQ(node_of("three"), "");
}

}  // namespace
}  // namespace wherry::scheduler
