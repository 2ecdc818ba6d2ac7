#include "agent/pod_worker.h"

#include <gtest/gtest.h>

#include "agent/pod_fixture.h"

namespace wherry::agent {
namespace {

using namespace std::chrono_literals;

constexpr char kPlain[] =
    R"({"nodeName":"n1","containers":[{"name":"c","image":"web:1","imagePullPolicy":"IfNotPresent"}]})";

TEST(PodWorker, StartsAPod) {
  PodFixture f(kPlain);
  f.run();
  ASSERT_NE(f.driver.find("u1"), nullptr);
  EXPECT_EQ(f.driver.calls,
            (std::vector<std::string>{"sandbox u1", "create u1_c_0", "start u1_c_0"}));
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
  EXPECT_EQ(f.statuses.status()["podIP"].as_string(), "10.42.0.2");
  EXPECT_EQ(f.statuses.status()["hostIP"].as_string(), "192.168.0.1");
  EXPECT_TRUE(f.statuses.container()["ready"].as_bool());
  EXPECT_TRUE(f.statuses.container()["started"].as_bool());
  EXPECT_EQ(f.statuses.container()["containerID"].as_string(), "runc://u1_c_0");
  EXPECT_EQ(f.statuses.condition("Ready")["status"].as_string(), "True");
  EXPECT_EQ(f.events.lines,
            (std::vector<std::string>{
                "Normal Pulled: Container image \"web:1\" already present on machine and can be "
                "accessed by the pod",
                "Normal Created: Container created", "Normal Started: Container started"}));
}

TEST(PodWorker, PullsAndBacksOff) {
  PodFixture f(R"({"containers":[{"name":"c","image":"other","imagePullPolicy":"IfNotPresent"}]})");
  f.images.pull_error = "manifest unknown";
  f.run();
  EXPECT_EQ(f.pulls.held.size(), 1u);
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(), "ContainerCreating");
  f.pulls.release();
  f.run();
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(), "ErrImagePull");
  f.advance(1s);
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(), "ImagePullBackOff");
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["message"].as_string(),
            "Back-off pulling image \"other\": ErrImagePull: manifest unknown");
  EXPECT_TRUE(f.events.has("Warning Failed: Failed to pull image \"other\": manifest unknown"));
  EXPECT_TRUE(f.events.has("Warning Failed: Error: ErrImagePull"));
  EXPECT_TRUE(f.events.has("Warning Failed: Error: ImagePullBackOff"));
  f.images.pull_error.clear();
  f.advance(10s);
  EXPECT_EQ(f.pulls.release(), 1);
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
}

TEST(PodWorker, PullsTheImageOfAVolumeOnce) {
  PodFixture f(
      R"({"volumes":[{"name":"v","image":{"reference":"data:1","pullPolicy":"Always"}}],
          "containers":[{"name":"c","image":"web:1","imagePullPolicy":"IfNotPresent",
                         "volumeMounts":[{"name":"v","mountPath":"/v"}]}]})");
  f.images.pull_error = "manifest unknown";
  f.run();
  EXPECT_EQ(f.pulls.release(), 1);
  f.run();
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(), "ErrImagePull");
  f.advance(1s);
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["message"].as_string(),
            "Back-off pulling image \"data:1\": ErrImagePull: manifest unknown");
  EXPECT_TRUE(f.driver.find("u1")->configs.empty());
  f.images.pull_error.clear();
  f.advance(10s);
  EXPECT_EQ(f.pulls.release(), 1);
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
  const container::ContainerConfig& config = f.driver.find("u1")->configs.at("u1_c_0");
  ASSERT_FALSE(config.mounts.empty());
  EXPECT_EQ(config.mounts[0].target, "/v");
  EXPECT_EQ(config.mounts[0].layers, std::vector<std::string>{"/layers/data:1"});
  // The next instance mounts what the first one did.
  f.driver.exit("u1_c_0", 1);
  f.run();
  EXPECT_EQ(f.images.pulls, 2);
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
}

TEST(PodWorker, BacksOffCrashLoops) {
  PodFixture f(kPlain);
  f.run();
  f.driver.exit("u1_c_0", 1);
  f.run();  // The first restart comes at once.
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
  EXPECT_EQ(f.statuses.container()["lastState"]["terminated"]["exitCode"].as_int(), 1);
  f.driver.exit("u1_c_1", 1);
  f.run();
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(), "CrashLoopBackOff");
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["message"].as_string(),
            "back-off 10s restarting failed container=c pod=p_ns(u1)");
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
  f.advance(10s);
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 2);
  f.driver.exit("u1_c_2", 1);
  f.run();
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["message"].as_string(),
            "back-off 20s restarting failed container=c pod=p_ns(u1)");
}

TEST(PodWorker, FinishesAndIsDeleted) {
  PodFixture f(R"({"restartPolicy":"Never","containers":[{"name":"c","image":"web:1"}]})");
  f.run();
  f.driver.exit("u1_c_0", 0);
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Succeeded");
  EXPECT_EQ(f.statuses.condition("Ready")["reason"].as_string(), "PodCompleted");
  EXPECT_EQ(f.statuses.container()["state"]["terminated"]["reason"].as_string(), "Completed");
  EXPECT_EQ(f.driver.find("u1"), nullptr);
  EXPECT_FALSE(f.statuses.last.remove);
  f.put(R"({"restartPolicy":"Never","containers":[{"name":"c","image":"web:1"}]})",
        R"("deletionTimestamp":"2024-01-01T00:00:00Z","deletionGracePeriodSeconds":30,)");
  f.run();
  EXPECT_TRUE(f.statuses.last.remove);
  f.worker->set_gone();
  f.run();
  EXPECT_TRUE(f.worker->done());
  EXPECT_FALSE(os::exists(f.context->pods_dir + "/u1"));
}

TEST(PodWorker, DeletesGracefully) {
  PodFixture f(kPlain);
  f.run();
  f.driver.obey_term = false;
  f.put(kPlain, R"("deletionTimestamp":"2024-01-01T00:00:00Z","deletionGracePeriodSeconds":5,)");
  f.run();
  EXPECT_EQ(f.driver.calls.back(), "kill u1_c_0 15");
  EXPECT_TRUE(f.events.has("Normal Killing: Stopping container c"));
  EXPECT_FALSE(f.statuses.last.remove);
  f.advance(5s);
  f.run();
  EXPECT_TRUE(f.statuses.last.remove);
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Failed");
  EXPECT_EQ(f.statuses.container()["state"]["terminated"]["exitCode"].as_int(), 137);
  EXPECT_FALSE(f.network.find("u1").has_value());
}

TEST(PodWorker, RunsPreStopBeforeTheSignal) {
  std::string spec =
      R"({"containers":[{"name":"c","image":"web:1","lifecycle":{"preStop":{"exec":{"command":["x"]}}}}]})";
  PodFixture f(spec);
  f.run();
  f.put(spec, R"("deletionTimestamp":"2024-01-01T00:00:00Z","deletionGracePeriodSeconds":30,)");
  f.run();
  EXPECT_EQ(f.driver.calls.back(), "start u1_c_0");
  f.tasks.release();
  f.run();
  EXPECT_EQ(f.probes.hooks, 1);
  EXPECT_TRUE(f.statuses.last.remove);
}

TEST(PodWorker, RunsInitContainersInOrder) {
  PodFixture f(
      R"({"initContainers":[{"name":"i1","image":"web:1"},{"name":"i2","image":"web:1"}],
          "containers":[{"name":"c","image":"web:1"}]})");
  f.run();
  EXPECT_EQ(f.driver.calls.back(), "start u1_i1_0");
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Pending");
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(), "PodInitializing");
  EXPECT_EQ(f.statuses.condition("Initialized")["message"].as_string(),
            "containers with incomplete status: [i1 i2]");
  f.driver.exit("u1_i1_0", 0);
  f.run();
  EXPECT_EQ(f.driver.calls.back(), "start u1_i2_0");
  f.driver.exit("u1_i2_0", 0);
  f.run();
  EXPECT_EQ(f.driver.calls.back(), "start u1_c_0");
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
  EXPECT_EQ(f.statuses.condition("Initialized")["status"].as_string(), "True");
}

TEST(PodWorker, FailedInitEndsANeverPod) {
  PodFixture f(
      R"({"restartPolicy":"Never","initContainers":[{"name":"i1","image":"web:1"}],
          "containers":[{"name":"c","image":"web:1"}]})");
  f.run();
  f.driver.exit("u1_i1_0", 1);
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Failed");
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(), "PodInitializing");
}

TEST(PodWorker, SidecarsRunBesideAndStopLast) {
  std::string spec =
      R"({"restartPolicy":"Never","initContainers":[{"name":"s","image":"web:1","restartPolicy":"Always"}],
          "containers":[{"name":"c","image":"web:1"}]})";
  PodFixture f(spec);
  f.run();
  EXPECT_EQ(f.driver.calls.back(), "start u1_c_0");
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
  f.driver.exit("u1_c_0", 0);
  f.run();
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Succeeded");
}

TEST(PodWorker, RestartsOnLiveness) {
  PodFixture f(
      R"({"containers":[{"name":"c","image":"web:1","livenessProbe":{"exec":{"command":["x"]},
          "periodSeconds":1,"failureThreshold":2}}]})");
  f.run();
  f.probes.result = {ProbeResult::Outcome::kFailure, "no"};
  f.tasks.release();
  f.run();
  EXPECT_TRUE(f.events.has("Warning Unhealthy: Liveness probe failed: no"));
  EXPECT_EQ(f.driver.calls.back(), "start u1_c_0");
  f.advance(1s);
  f.tasks.release();
  f.run();
  EXPECT_TRUE(f.events.has("Normal Killing: Container c failed liveness probe, will be restarted"));
  f.run();
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
}

TEST(PodWorker, ReadinessGatesReady) {
  PodFixture f(
      R"({"containers":[{"name":"c","image":"web:1","readinessProbe":{"tcpSocket":{"port":1},
          "initialDelaySeconds":5}}]})");
  f.run();
  EXPECT_EQ(f.tasks.held.size(), 0u);
  EXPECT_EQ(f.statuses.condition("Ready")["status"].as_string(), "False");
  EXPECT_EQ(f.statuses.condition("Ready")["message"].as_string(),
            "containers with unready status: [c]");
  f.advance(5s);
  EXPECT_EQ(f.tasks.release(), 1);
  f.run();
  EXPECT_EQ(f.statuses.condition("Ready")["status"].as_string(), "True");
}

TEST(PodWorker, MissingConfigMapIsSaid) {
  PodFixture f(
      R"({"containers":[{"name":"c","image":"web:1","env":[{"name":"A","valueFrom":
          {"configMapKeyRef":{"name":"m","key":"k"}}}]}]})");
  f.run();
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(),
            "CreateContainerConfigError");
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["message"].as_string(),
            "configmap \"m\" not found");
  f.config_maps.put(
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"ns","uid":"m","resourceVersion":"6"},"data":{"k":"v"}})");
  f.advance(10s);
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
}

TEST(PodWorker, MissingVolumeSourceKeepsItWaiting) {
  PodFixture f(
      R"({"volumes":[{"name":"v","configMap":{"name":"m"}}],"containers":[{"name":"c","image":"web:1",
          "volumeMounts":[{"name":"v","mountPath":"/v"}]}]})");
  f.run();
  EXPECT_TRUE(f.driver.calls.empty());
  EXPECT_TRUE(
      f.events.has("Warning FailedMount: MountVolume.SetUp failed for volume \"v\" : configmap "
                   "\"m\" not found"));
  f.config_maps.put(
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"ns","uid":"m","resourceVersion":"6"},"data":{"k":"v"}})");
  f.worker->refresh_volumes();
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
  EXPECT_EQ(os::read_file(f.context->pods_dir + "/u1/volumes/v/k").value(), "v");
  f.config_maps.put(
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"ns","uid":"m","resourceVersion":"7"},"data":{"k":"w"}})");
  f.worker->refresh_volumes();
  f.run();
  EXPECT_EQ(os::read_file(f.context->pods_dir + "/u1/volumes/v/k").value(), "w");
}

TEST(PodWorker, ARestartedServerTakesOver) {
  PodFixture f(kPlain);
  f.run();
  f.driver.calls.clear();
  f.events.lines.clear();
  f.make_worker();
  f.run();
  EXPECT_TRUE(f.driver.calls.empty());
  EXPECT_TRUE(f.events.lines.empty());
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
  EXPECT_EQ(f.statuses.container()["containerID"].as_string(), "runc://u1_c_0");
  EXPECT_EQ(f.statuses.status()["podIP"].as_string(), "10.42.0.2");
  // What ended while nobody looked is seen too.
  f.driver.exit("u1_c_0", 3);
  f.driver.find("u1")->events.clear();
  f.make_worker();
  f.run();
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
  EXPECT_EQ(f.statuses.container()["lastState"]["terminated"]["exitCode"].as_int(), 3);
}

TEST(PodWorker, ADeadSandboxIsMadeAnew) {
  PodFixture f(kPlain);
  f.run();
  f.driver.find("u1")->alive = false;
  f.driver.find("u1")->events.push_back({container::SandboxEvent::Kind::kSandboxDied, {}});
  f.run();
  EXPECT_TRUE(f.events.has(
      "Normal SandboxChanged: Pod sandbox changed, it will be killed and re-created."));
  EXPECT_EQ(f.driver.calls.back(), "start u1_c_1");
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
}

TEST(PodWorker, DeadlineEndsIt) {
  PodFixture f(R"({"activeDeadlineSeconds":5,"containers":[{"name":"c","image":"web:1"}]})");
  f.run();
  f.advance(5s);
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Failed");
  EXPECT_EQ(f.statuses.status()["reason"].as_string(), "DeadlineExceeded");
  EXPECT_EQ(f.statuses.status()["message"].as_string(),
            "Pod was active on the node longer than the specified deadline");
}

TEST(PodWorker, RefusesWhatDoesNotFit) {
  PodFixture f(
      R"({"containers":[{"name":"c","image":"web:1","resources":{"requests":{"cpu":"3"}}}]})");
  f.nodes.put(
      R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","resourceVersion":"1"},"status":{"allocatable":{"cpu":"2","memory":"1Gi","pods":"110"}}})");
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Failed");
  EXPECT_EQ(f.statuses.status()["reason"].as_string(), "OutOfcpu");
  EXPECT_EQ(f.statuses.status()["message"].as_string(),
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 3000, used: 0, "
            "capacity: 2000");
  EXPECT_TRUE(f.driver.calls.empty());
}

TEST(PodWorker, PostStartBlocksRunning) {
  PodFixture f(
      R"({"containers":[{"name":"c","image":"web:1","lifecycle":{"postStart":{"exec":{"command":["x"]}}}}]})");
  f.run();
  EXPECT_EQ(f.statuses.container()["state"]["waiting"]["reason"].as_string(), "ContainerCreating");
  f.tasks.release();
  f.run();
  EXPECT_EQ(f.statuses.status()["phase"].as_string(), "Running");
}

TEST(PodWorker, AnImageChangeRestartsTheContainer) {
  PodFixture f(kPlain);
  f.run();
  f.images.add("web:2");
  f.object =
      api::Object::parse(
          R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"ns","uid":"u1","generation":2,"resourceVersion":"9"},"spec":{"containers":[{"name":"c","image":"web:2"}]}})")
          .value();
  f.worker->set_wanted(f.object);
  f.run();
  f.run();
  EXPECT_TRUE(f.events.has("Normal Killing: Container c definition changed, will be restarted"));
  EXPECT_EQ(f.statuses.container()["image"].as_string(), "docker.io/library/web:2");
  EXPECT_EQ(f.statuses.container()["restartCount"].as_int(), 1);
  EXPECT_EQ(f.statuses.status()["observedGeneration"].as_int(), 2);
}

}  // namespace
}  // namespace wherry::agent
