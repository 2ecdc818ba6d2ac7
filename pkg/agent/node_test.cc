// The Node object, admission, status writing, pools, credentials, static pods.

#include <gtest/gtest.h>

#include "agent/admission.h"
#include "agent/image_source.h"
#include "agent/keyed_pool.h"
#include "agent/node_status.h"
#include "agent/plan.h"
#include "agent/pod_fixture.h"
#include "agent/security.h"
#include "agent/static_pods.h"
#include "agent/status_writer.h"
#include "agent/streams.h"
#include "base/encoding.h"

namespace wherry::agent {
namespace {

using namespace std::chrono_literals;

NodeFacts facts() {
  NodeFacts facts;
  facts.name = "n1";
  facts.ip = "192.168.0.1";
  facts.pod_cidr = "10.42.0.0/24";
  facts.architecture = "amd64";
  facts.cpu_count = 2;
  facts.memory_bytes = int64_t{4} << 30;
  facts.disk_bytes = int64_t{100} << 30;
  facts.hugepages["hugepages-2Mi"] = 0;
  return facts;
}

TEST(NodeStatus, ClientsResourcesSurvive) {
  json::Document wanted = node_status(facts(), {}).freeze();
  EXPECT_EQ(wanted.root()["capacity"]["memory"].as_string(), "4194304Ki");
  EXPECT_EQ(wanted.root()["capacity"]["hugepages-2Mi"].as_string(), "0");
  Time now(1'700'000'000s);
  json::Document node =
      json::Document::parse(R"({"status":{"capacity":{"example.com/foo":"5"}}})").value();
  json::Draft patch = node_status_patch(node.root(), wanted.root(), now, true);
  EXPECT_FALSE(patch.root()["status"]["capacity"]["example.com/foo"]);
  EXPECT_EQ(patch.root()["status"]["conditions"].size(), 4u);

  // Once it is all there, only a heartbeat is news.
  json::Draft full(wanted.root());
  for (json::Node condition : full.root()["conditions"].items()) {
    condition.set("lastTransitionTime", "2023-01-01T00:00:00Z");
  }
  json::Draft holder;
  holder.root().set("status", full.root());
  json::Document complete = holder.freeze();
  EXPECT_FALSE(node_status_patch(complete.root(), wanted.root(), now, false).root().is_object());
  json::Draft beat = node_status_patch(complete.root(), wanted.root(), now, true);
  EXPECT_EQ(beat.root()["status"]["conditions"].at(0)["lastTransitionTime"].as_string(),
            "2023-01-01T00:00:00Z");
}

TEST(NodeStatus, LabelsAreKept) {
  json::Document node = node_object(facts()).freeze();
  EXPECT_EQ(node.root()["metadata"]["labels"]["kubernetes.io/hostname"].as_string(), "n1");
  EXPECT_FALSE(node_metadata_patch(node.root(), facts()).root().is_object());
  json::Document bare = json::Document::parse(R"({"metadata":{"name":"n1"}})").value();
  json::Draft patch = node_metadata_patch(bare.root(), facts());
  EXPECT_EQ(patch.root()["spec"]["podCIDR"].as_string(), "10.42.0.0/24");
}

Pod pod_of(const std::string& spec) {
  return Pod(api::Object::parse(PodFixture::json_of(spec, "")).value());
}

TEST(Admission, HostPortsAndSelectors) {
  json::Document node =
      json::Document::parse(
          R"({"metadata":{"name":"n1","labels":{"disk":"ssd"}},"status":{"allocatable":{"cpu":"2","memory":"1Gi","pods":"110"}}})")
          .value();
  Pod a = pod_of(R"({"containers":[{"name":"c","ports":[{"hostPort":80,"containerPort":80}]}]})");
  EXPECT_FALSE(refusal_of(a, {}, node.root()));
  std::optional<Refusal> refused = refusal_of(a, {demand_of(a)}, node.root());
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, "NodePorts");
  Pod other_ip = pod_of(
      R"({"containers":[{"name":"c","ports":[{"hostPort":80,"containerPort":80,"hostIP":"127.0.0.1"}]}]})");
  EXPECT_TRUE(refusal_of(other_ip, {demand_of(a)}, node.root()));
  EXPECT_FALSE(refusal_of(other_ip, {}, node.root()));
  EXPECT_FALSE(
      refusal_of(pod_of(R"({"nodeSelector":{"disk":"ssd"},"containers":[]})"), {}, node.root()));
  EXPECT_EQ(
      refusal_of(pod_of(R"({"nodeSelector":{"disk":"hdd"},"containers":[]})"), {}, node.root())
          ->reason,
      "NodeAffinity");
}

TEST(Resources, QosAndLimits) {
  EXPECT_EQ(pod_of(R"({"containers":[{"name":"c"}]})").qos_class(), "BestEffort");
  EXPECT_EQ(
      pod_of(R"({"containers":[{"name":"c","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}]})")
          .qos_class(),
      "Guaranteed");
  Pod burst = pod_of(
      R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"500m"},"limits":{"cpu":"1"}}}]})");
  EXPECT_EQ(burst.qos_class(), "Burstable");
  CgroupLimits limits = container_limits(burst.container("c").spec);
  EXPECT_EQ(limits.cpu_shares, 512u);
  EXPECT_EQ(limits.cpu_quota_us, 100'000);
  EXPECT_EQ(limits.memory_limit_bytes, -1);
  EXPECT_EQ(
      container_limits(pod_of(R"({"containers":[{"name":"c"}]})").container("c").spec).cpu_shares,
      2u);
}

TEST(Plan, CrashDelayDoublesAndForgets) {
  ContainerRecord container;
  Time now(1'700'000'000s);
  EXPECT_EQ(next_crash_delay(container, now), 10s);
  container.crash_delay = 10s;
  container.crash_delay_set = now;
  container.ended = Termination{.finished_at = now + 1s};
  EXPECT_EQ(next_crash_delay(container, now + 11s), 20s);
  container.crash_delay = 200s;
  EXPECT_EQ(next_crash_delay(container, now + 11s), 300s);
  container.ended->finished_at = now + 11min;
  EXPECT_EQ(next_crash_delay(container, now + 11min), 10s);
  EXPECT_EQ(duration_text(80s), "1m20s");
  EXPECT_EQ(duration_text(300s), "5m0s");
}

TEST(Record, SurvivesTheDisk) {
  PodRecord record;
  record.pod_ips = {"10.42.0.2"};
  record.initialized = true;
  record.start_time = Time(1'700'000'000s);
  ContainerRecord container;
  container.name = "c";
  container.id = container_id("u1", "c", 3);
  container.attempt = 3;
  container.state = RunState::kRunning;
  container.crash_delay = 40s;
  container.last = Termination{.exit_code = 7, .reason = "Error", .message = "x"};
  record.containers.push_back(container);
  PodRecord back = decode_record(encode_record(record)).value();
  EXPECT_EQ(encode_record(back), encode_record(record));
  EXPECT_EQ(back.containers[0].last->exit_code, 7);
  EXPECT_EQ(parse_container_id("u1_c_3")->attempt, 3);
  EXPECT_FALSE(parse_container_id("other"));
}

TEST(Security, RunAsNonRoot) {
  container::Image image;
  Pod pod = pod_of(
      R"({"securityContext":{"runAsNonRoot":true,"fsGroup":7},"containers":[{"name":"c"}]})");
  json::Value c = pod.container("c").spec;
  EXPECT_EQ(
      security_settings(pod, c, image, "/s").error().message(),
      "container has runAsNonRoot and image will run as root (pod: \"p_ns(u1)\", container: c)");
  image.config.user = "nginx";
  EXPECT_EQ(security_settings(pod, c, image, "/s").error().message(),
            "container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user "
            "is non-root (pod: \"p_ns(u1)\", container: c)");
  image.config.user = "1000";
  EXPECT_EQ(security_settings(pod, c, image, "/s").value().supplemental_groups,
            (std::vector<uint32_t>{7}));
}

TEST(StatusWriter, WritesNewestAndDeletes) {
  FakeClock clock;
  FakeClient client;
  FakeLister pods;
  pods.put(PodFixture::json_of(R"({"containers":[]})", ""));
  client.patch_answer = pods.find("ns", "p");
  StatusWriter writer(client, pods, clock);
  json::Document status = json::Document::parse(R"({"phase":"Running"})").value();
  client.fail = true;
  writer.set({"u1", "ns", "p", status, false});
  writer.run_due();
  EXPECT_EQ(client.calls.size(), 1u);
  client.fail = false;
  clock.advance(1s);
  writer.run_due();
  EXPECT_EQ(client.calls.back(),
            R"(patch p {"status":{"phase":"Running"},"metadata":{"uid":"u1"}})");
  writer.set({"u1", "ns", "p", status, true});
  writer.run_due();
  EXPECT_EQ(client.calls.back(), "delete p");
  size_t calls = client.calls.size();
  writer.set({"other", "ns", "p", status, true});  // Another pod of that name.
  writer.run_due();
  EXPECT_EQ(client.calls.size(), calls);
}

TEST(KeyedPool, FoldsWakesAndKeepsTime) {
  FakeClock clock;
  std::vector<std::string> runs;
  KeyedPool pool("test", clock, [&](const std::string& key) -> std::optional<MonotonicTime> {
    runs.push_back(key);
    if (key == "again" && runs.size() < 4) return clock.monotonic() + 5s;
    return std::nullopt;
  });
  pool.wake("a");
  pool.wake("a");
  pool.wake("again");
  EXPECT_EQ(pool.run_due(), 2);
  EXPECT_EQ(pool.run_due(), 0);
  clock.advance(5s);
  EXPECT_EQ(pool.run_due(), 1);
  pool.forget("again");
  clock.advance(5s);
  EXPECT_EQ(pool.run_due(), 0);
}

TEST(KeyedPool, RunsOnThreads) {
  SystemClock clock;
  std::atomic<int> runs{0};
  KeyedPool pool("test", clock, [&](const std::string&) -> std::optional<MonotonicTime> {
    return ++runs < 3 ? std::optional(clock.monotonic() + 1ms) : std::nullopt;
  });
  pool.start(3);
  pool.wake("a");
  while (runs < 3) std::this_thread::yield();
  pool.stop();
  EXPECT_EQ(runs, 3);
}

TEST(KeyedPool, ANearerTimeReplacesAFarOne) {
  SystemClock clock;
  std::atomic<int> runs{0};
  KeyedPool pool("test", clock, [&](const std::string&) -> std::optional<MonotonicTime> {
    int run = ++runs;
    if (run == 1) return clock.monotonic() + 1h;
    return run == 2 ? std::optional(clock.monotonic() + 5ms) : std::nullopt;
  });
  pool.start(2);
  pool.wake("a");
  while (runs < 1) std::this_thread::yield();
  pool.wake("a");
  MonotonicTime limit = clock.monotonic() + 5s;
  while (runs < 3 && clock.monotonic() < limit) std::this_thread::yield();
  EXPECT_EQ(runs, 3);
}

TEST(Credentials, FitTheRegistry) {
  std::string config =
      R"({"auths":{"https://index.docker.io/v1/":{"auth":")" + base64_encode("u:p") +
      R"("},"example.com/team":{"username":"a","password":"b"},"*.example.org":{"username":"w"}}})";
  std::vector<api::ObjectPtr> secrets = {
      api::Object::parse(
          R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns","resourceVersion":"6"},"data":{".dockerconfigjson":")" +
          base64_encode(config) + R"("}})")
          .value()};
  EXPECT_EQ(credentials_for("nginx", secrets).at(0).password, "p");
  EXPECT_EQ(credentials_for("example.com/team/x:1", secrets).at(0).username, "a");
  EXPECT_TRUE(credentials_for("example.com/other/x:1", secrets).empty());
  EXPECT_EQ(credentials_for("r.example.org/x", secrets).at(0).username, "w");
}

TEST(StaticPods, GetANameAndAUid) {
  api::ObjectPtr pod = static_pod(
                           "kind: Pod\napiVersion: v1\nmetadata: {name: x}\nspec: {containers: "
                           "[{name: c, image: i}]}\n",
                           "n1")
                           .value();
  EXPECT_EQ(pod->name(), "x-n1");
  EXPECT_EQ(pod->ns(), "default");
  EXPECT_EQ(pod->uid().size(), 36u);
  EXPECT_TRUE(Pod(pod).is_static());
  EXPECT_FALSE(static_pod("kind: Service", "n1").ok());
}

TEST(Streams, SaysWhyThereIsNoLog) {
  PodSnapshot pod;
  pod.name = "p";
  pod.containers.push_back({.name = "c", .waiting_reason = "ImagePullBackOff"});
  EXPECT_EQ(log_attempt(pod, "c", false).error().message(),
            "container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image");
  EXPECT_EQ(log_attempt(pod, "c", true).error().message(),
            "previous terminated container \"c\" in pod \"p\" not found");
  pod.containers[0] = {.name = "c", .attempt = 2, .state = RunState::kRunning, .has_last = true};
  EXPECT_EQ(log_attempt(pod, "c", false).value(), 2);
  EXPECT_EQ(log_attempt(pod, "c", true).value(), 1);
}

}  // namespace
}  // namespace wherry::agent
