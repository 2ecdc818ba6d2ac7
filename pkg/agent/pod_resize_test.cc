#include <gtest/gtest.h>

#include "agent/pod_fixture.h"
#include "agent/pod_status.h"
#include "agent/pod_worker.h"

namespace wherry::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kNode =
    R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","resourceVersion":"1"},)"
    R"("status":{"allocatable":{"cpu":"2","memory":"1Gi","pods":"110"}}})";

std::string spec_of(std::string_view cpu, std::string_view policy = "") {
  return fmt::format(
      R"({{"nodeName":"n1","containers":[{{"name":"c","image":"web:1","imagePullPolicy":"IfNotPresent",)"
      R"({}"resources":{{"requests":{{"cpu":"{}"}},"limits":{{"cpu":"{}"}}}}}}]}})",
      policy, cpu, cpu);
}

struct ResizeFixture : PodFixture {
  explicit ResizeFixture(const std::string& spec) : PodFixture(spec) {
    nodes.put(std::string(kNode));
    run();
    driver.calls.clear();
    events.lines.clear();
  }
  void resize(const std::string& spec, int generation = 2) {
    put(spec, fmt::format("\"generation\":{},", generation));
    run();
  }
  std::string cpu(std::string_view list = "limits") const {
    return std::string(statuses.container()["resources"][list]["cpu"].as_string());
  }
};

TEST(PodResize, ChangesLimitsInPlace) {
  ResizeFixture f(spec_of("100m"));
  EXPECT_EQ(f.cpu(), "100m");
  f.resize(spec_of("200m"));
  // The pod's own cgroup opens, the container changes, the pod's closes again.
  EXPECT_EQ(f.driver.calls, (std::vector<std::string>{"limits", "limits u1_c_0", "limits"}));
  EXPECT_EQ(f.cpu(), "200m");
  EXPECT_EQ(f.statuses.container()["allocatedResources"]["cpu"].as_string(), "200m");
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 0);
  EXPECT_EQ(f.statuses.status()["observedGeneration"].as_int(), 2);
  EXPECT_FALSE(f.statuses.condition("PodResizeInProgress"));
  EXPECT_EQ(
      f.events.lines,
      (std::vector<std::string>{
          R"(Normal ResizeStarted: Pod resize started: {"containers":[{"name":"c","resources":{"requests":{"cpu":"200m"},"limits":{"cpu":"200m"}}}],"generation":2})",
          R"(Normal ResizeCompleted: Pod resize completed: {"containers":[{"name":"c","resources":{"requests":{"cpu":"200m"},"limits":{"cpu":"200m"}}}],"generation":2})"}));
}

TEST(PodResize, RestartsWhereThePolicySaysSo) {
  constexpr std::string_view kPolicy =
      R"("resizePolicy":[{"resourceName":"cpu","restartPolicy":"RestartContainer"}],)";
  ResizeFixture f(spec_of("100m", kPolicy));
  f.resize(spec_of("200m", kPolicy));
  f.run();
  EXPECT_TRUE(f.events.has("Normal Killing: Container c resize requires restart"));
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
  EXPECT_EQ(f.cpu(), "200m");
  EXPECT_FALSE(f.statuses.condition("PodResizeInProgress"));
}

TEST(PodResize, WhatTheNodeCannotHoldIsInfeasible) {
  ResizeFixture f(spec_of("100m"));
  f.resize(spec_of("5"));
  EXPECT_TRUE(f.driver.calls.empty());
  json::Value pending = f.statuses.condition("PodResizePending");
  EXPECT_EQ(pending["reason"].as_string(), "Infeasible");
  EXPECT_EQ(pending["message"].as_string(),
            "Node didn't have enough capacity: cpu, requested: 5000, capacity: 2000");
  EXPECT_EQ(f.cpu(), "100m");
  EXPECT_EQ(f.statuses.container()["allocatedResources"]["cpu"].as_string(), "100m");
  // A container that starts anew meanwhile gets what was set aside.
  f.driver.exit("u1_c_0", 1);
  f.run();
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
  EXPECT_EQ(f.cpu(), "100m");
  // Taken back.
  f.resize(spec_of("100m"), 3);
  EXPECT_FALSE(f.statuses.condition("PodResizePending"));
}

TEST(PodResize, WaitsForRoomAndSurvivesARestartOfTheServer) {
  ResizeFixture f(spec_of("100m"));
  Pod other(api::Object::parse(
                R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"o","namespace":"ns",)"
                R"("uid":"u2","resourceVersion":"3"},"spec":)" +
                spec_of("1500m") + "}")
                .value());
  EXPECT_FALSE(f.admissions.admit(other, {}, false));
  f.resize(spec_of("1"));
  EXPECT_EQ(f.statuses.condition("PodResizePending")["reason"].as_string(), "Deferred");
  EXPECT_EQ(f.statuses.condition("PodResizePending")["message"].as_string(),
            "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000");
  f.make_worker();
  f.run();
  EXPECT_EQ(f.cpu(), "100m");
  EXPECT_EQ(f.statuses.condition("PodResizePending")["reason"].as_string(), "Deferred");
  f.admissions.release("u2");
  EXPECT_EQ(f.admissions.take_waiting(), std::set<std::string>{"u1"});
  f.run();
  EXPECT_EQ(f.cpu(), "1");
  EXPECT_FALSE(f.statuses.condition("PodResizePending"));
}

TEST(PodResize, ConditionsOfAResizeLeaveTheStatus) {
  json::Document before =
      json::Document::parse(R"({"conditions":[{"type":"PodResizePending","status":"True"}]})")
          .value();
  json::Document after = json::Document::parse(R"({"conditions":[]})").value();
  EXPECT_EQ(status_patch(before.root(), after.root(), "u1").dump(),
            R"({"status":{"conditions":[{"$patch":"delete","type":"PodResizePending"}]},)"
            R"("metadata":{"uid":"u1"}})");
}

}  // namespace
}  // namespace wherry::agent
