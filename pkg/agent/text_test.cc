// Expansion, environment, payloads, small files, container logs: what is made of text.

#include <gtest/gtest.h>

#include "agent/environment.h"
#include "agent/expand.h"
#include "agent/log_file.h"
#include "agent/payload.h"
#include "agent/payload_writer.h"
#include "agent/pod_files.h"
#include "agent/subpath.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

api::ObjectPtr object(const std::string& json) { return api::Object::parse(json).value(); }

Pod pod_of(const std::string& spec, const std::string& meta = "") {
  return Pod(object(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-0","namespace":"ns","uid":"u1",)" +
      meta + R"("resourceVersion":"5"},"spec":)" + spec + "}"));
}

api::ObjectPtr config_map(const std::string& data) {
  return object(
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"ns","resourceVersion":"6"},"data":)" +
      data + "}");
}

std::optional<std::string> only_a(std::string_view name) {
  if (name == "A") return "1";
  return std::nullopt;
}

TEST(Expand, FollowsTheReference) {
  EXPECT_EQ(expand("$(A)", only_a), "1");
  EXPECT_EQ(expand("x$(A)y$(B)", only_a), "x1y$(B)");
  EXPECT_EQ(expand("$$(A)", only_a), "$(A)");
  EXPECT_EQ(expand("$$$(A)", only_a), "$1");
  EXPECT_EQ(expand("$", only_a), "$");
  EXPECT_EQ(expand("$A $(A", only_a), "$A $(A");
  EXPECT_EQ(expand_strict("$(B)/x", only_a).missing, "B");
}

EnvironmentSources no_sources() {
  EnvironmentSources sources;
  sources.config_map = [](std::string_view) { return api::ObjectPtr(); };
  sources.secret = [](std::string_view) { return api::ObjectPtr(); };
  sources.facts = {{"10.42.0.5"}, {"192.168.0.1"}, "n1"};
  sources.allocatable = {api::Quantity::of(2), api::Quantity::of(1024), api::Quantity::of(10)};
  return sources;
}

TEST(Environment, ComposesSources) {
  Pod pod = pod_of(
      R"j({"serviceAccountName":"sa","containers":[{"name":"c","resources":{"limits":{"cpu":"1500m"}},
          "envFrom":[{"prefix":"P_","configMapRef":{"name":"m"}}],
          "env":[{"name":"X","value":"a"},{"name":"Y","value":"$(X)-$(P_k)-$(WEB_SERVICE_HOST)"},
                 {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
                 {"name":"L","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a/b']"}}},
                 {"name":"CPU","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}},
                 {"name":"MEM","valueFrom":{"resourceFieldRef":{"resource":"limits.memory","divisor":"1"}}},
                 {"name":"OPT","valueFrom":{"configMapKeyRef":{"name":"m","key":"none","optional":true}}}]}]})j",
      R"("labels":{"a/b":"v"},)");
  EnvironmentSources sources = no_sources();
  sources.config_map = [](std::string_view) { return config_map(R"({"k":"w"})"); };
  sources.services = {object(
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"ns","resourceVersion":"1"},
          "spec":{"clusterIP":"10.43.0.9","ports":[{"name":"http-x","port":80,"protocol":"TCP"}]}})")};
  Environment env = make_environment(pod, pod.container("c").spec, sources).value();
  EXPECT_EQ(env["P_k"], "w");
  EXPECT_EQ(env["Y"], "a-w-10.43.0.9");
  EXPECT_EQ(env["IP"], "10.42.0.5");
  EXPECT_EQ(env["L"], "v");
  EXPECT_EQ(env["CPU"], "2");
  EXPECT_EQ(env["MEM"], "1024");
  EXPECT_FALSE(env.contains("OPT"));
  EXPECT_EQ(env["WEB_SERVICE_PORT_HTTP_X"], "80");
  EXPECT_EQ(env["WEB_PORT"], "tcp://10.43.0.9:80");
  EXPECT_EQ(env["WEB_PORT_80_TCP_ADDR"], "10.43.0.9");
}

TEST(Environment, NamesWhatIsMissing) {
  Pod pod = pod_of(
      R"({"containers":[{"name":"c","env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"m","key":"z"}}}]}]})");
  EnvironmentSources sources = no_sources();
  json::Value container = pod.container("c").spec;
  EXPECT_EQ(make_environment(pod, container, sources).error().message(),
            "configmap \"m\" not found");
  sources.config_map = [](std::string_view) { return config_map("{}"); };
  EXPECT_EQ(make_environment(pod, container, sources).error().message(),
            "couldn't find key z in ConfigMap ns/m");
}

PayloadSources payload_sources() {
  PayloadSources sources;
  sources.config_map = [](std::string_view name) {
    return name == "m" ? config_map(R"({"a":"1","b":"2"})") : nullptr;
  };
  sources.secret = [](std::string_view) {
    return object(
        R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns","resourceVersion":"6"},"data":{"k":"dmFsdWU="}})");
  };
  sources.token = [](std::string_view, int64_t) -> Result<std::string> {
    return std::string("tok");
  };
  return sources;
}

TEST(Payload, MakesEachKind) {
  Pod pod = pod_of(
      R"({"volumes":[{"name":"m","configMap":{"name":"m","defaultMode":256,"items":[{"key":"b","path":"x/y","mode":511}]}},
                     {"name":"s","secret":{"secretName":"s"}},
                     {"name":"p","projected":{"defaultMode":420,"sources":[
                        {"serviceAccountToken":{"path":"token"}},{"configMap":{"name":"m"}},
                        {"downwardAPI":{"items":[{"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}}]}},
                        {"configMap":{"name":"none","optional":true}}]}}],"containers":[]})",
      R"("labels":{"b":"2","a":"1"},)");
  PayloadSources sources = payload_sources();
  json::Value volumes = pod.spec()["volumes"];
  Payload map = make_payload(pod, volumes.at(0), sources).value();
  ASSERT_EQ(map.size(), 1u);
  EXPECT_EQ(map["x/y"].content, "2");
  EXPECT_EQ(map["x/y"].mode, 0777u);
  Payload secret = make_payload(pod, volumes.at(1), sources).value();
  EXPECT_EQ(secret["k"].content, "value");
  EXPECT_EQ(secret["k"].mode, 0644u);
  Payload projected = make_payload(pod, volumes.at(2), sources).value();
  EXPECT_EQ(projected["token"].content, "tok");
  EXPECT_EQ(projected["labels"].content, "a=\"1\"\nb=\"2\"");
  EXPECT_EQ(projected.size(), 4u);
}

TEST(Payload, RefusesPathsThatLeadOut) {
  EXPECT_TRUE(safe_relative_path("a/b"));
  EXPECT_TRUE(safe_relative_path("..a"));
  EXPECT_FALSE(safe_relative_path("../a"));
  EXPECT_FALSE(safe_relative_path("/a"));
  EXPECT_FALSE(safe_relative_path("a/.."));
  EXPECT_FALSE(safe_relative_path(""));
}

TEST(PayloadWriter, SwitchesAtomically) {
  os::TempDirectory folder = os::TempDirectory::make().value();
  Payload first{{"a", {"1", 0644, {}}}, {"d/b", {"2", 0400, {}}}};
  Time now(std::chrono::seconds(1'700'000'000));
  EXPECT_TRUE(write_payload(folder.path(), first, std::nullopt, now).value());
  EXPECT_FALSE(write_payload(folder.path(), first, std::nullopt, now).value());
  EXPECT_EQ(os::read_file(folder.path() + "/a").value(), "1");
  EXPECT_EQ(os::read_link(folder.path() + "/a").value(), "..data/a");
  EXPECT_EQ(os::read_file(folder.path() + "/d/b").value(), "2");
  Payload second{{"c", {"3", 0644, {}}}};
  EXPECT_TRUE(write_payload(folder.path(), second, std::nullopt, now).value());
  EXPECT_EQ(os::list_directory(folder.path()).value().size(), 3u);  // ..data, ..2023_*, c
  EXPECT_FALSE(os::exists(folder.path() + "/a"));
}

TEST(Subpath, StaysInside) {
  os::TempDirectory folder = os::TempDirectory::make().value();
  ASSERT_TRUE(os::make_symlink("/etc", folder.path() + "/out").ok());
  ASSERT_TRUE(os::make_directories(folder.path() + "/real", 0755).ok());
  ASSERT_TRUE(os::make_symlink("real", folder.path() + "/in").ok());
  EXPECT_EQ(resolve_subpath(folder.path(), "in/new/deep").value(),
            folder.path() + "/real/new/deep");
  EXPECT_FALSE(resolve_subpath(folder.path(), "out").ok());
  EXPECT_FALSE(resolve_subpath(folder.path(), "out/passwd").ok());
  EXPECT_FALSE(resolve_subpath(folder.path(), "../x").ok());
}

TEST(PodFiles, Hosts) {
  Pod pod = pod_of(
      R"({"subdomain":"web","hostAliases":[{"ip":"1.2.3.4","hostnames":["a","b"]}],"containers":[]})");
  std::string text = hosts_file(pod, {"10.42.0.5"}, "cluster.local");
  EXPECT_TRUE(text.starts_with("# Kubernetes-managed hosts file.\n"));
  EXPECT_NE(text.find("10.42.0.5\tweb-0.web.ns.svc.cluster.local\tweb-0\n"), std::string::npos);
  EXPECT_NE(text.find("1.2.3.4\ta\tb\n"), std::string::npos);
}

TEST(PodFiles, ResolvConf) {
  DnsOptions dns{{"10.43.0.10"}, "cluster.local", "nameserver 8.8.8.8\nsearch corp\n"};
  EXPECT_EQ(resolv_conf(pod_of(R"({"containers":[]})"), dns),
            "search ns.svc.cluster.local svc.cluster.local cluster.local corp\n"
            "nameserver 10.43.0.10\noptions ndots:5\n");
  EXPECT_EQ(resolv_conf(pod_of(R"({"dnsPolicy":"Default","containers":[]})"), dns),
            "search corp\nnameserver 8.8.8.8\n");
  EXPECT_EQ(resolv_conf(pod_of(R"({"dnsPolicy":"None","dnsConfig":{"nameservers":["1.1.1.1"],
      "searches":["x"],"options":[{"name":"ndots","value":"2"},{"name":"edns0"}]},"containers":[]})"),
                        dns),
            "search x\nnameserver 1.1.1.1\noptions ndots:2 edns0\n");
}

constexpr char kLog[] =
    "2024-05-06T07:08:09.000000001Z stdout F one\n"
    "2024-05-06T07:08:10.000000001Z stderr P tw\n"
    "2024-05-06T07:08:10.000000002Z stderr F o\n"
    "2024-05-06T07:08:11.000000001Z stdout F three\n";

std::string read(const std::string& path, const client::LogOptions& options, Time now = {}) {
  std::string out;
  auto write = [&](std::string_view text) {
    out += text;
    return true;
  };
  auto no = [] { return false; };
  EXPECT_TRUE(read_log(path, options, now, write, no, no).ok());
  return out;
}

TEST(LogFile, FiltersAsAsked) {
  os::TempDirectory folder = os::TempDirectory::make().value();
  std::string path = folder.path() + "/0.log";
  ASSERT_TRUE(os::write_file_plain(path, kLog).ok());
  EXPECT_EQ(read(path, {}), "one\ntwo\nthree\n");
  EXPECT_EQ(read(path, {.tail_lines = 2}), "two\nthree\n");
  EXPECT_EQ(read(path, {.tail_lines = 0}), "");
  EXPECT_EQ(read(path, {.limit_bytes = 5}), "one\nt");
  EXPECT_EQ(read(path, {.timestamps = true, .tail_lines = 1}),
            "2024-05-06T07:08:11.000000001Z three\n");
  EXPECT_EQ(read(path, {.since_time = parse_time("2024-05-06T07:08:10.5Z")}), "three\n");
  EXPECT_EQ(read(path, {.since_seconds = 2}, *parse_time("2024-05-06T07:08:12Z")), "two\nthree\n");
  EXPECT_EQ(log_tail(path, 80, 4), "ree\n");
}

TEST(LogFile, RotatesAndReadsAcross) {
  os::TempDirectory folder = os::TempDirectory::make().value();
  std::string path = folder.path() + "/0.log";
  ASSERT_TRUE(os::write_file_plain(path, kLog).ok());
  EXPECT_FALSE(rotate_log(path, 10'000, 3).value());
  EXPECT_TRUE(rotate_log(path, 10, 3).value());
  EXPECT_FALSE(os::exists(path));
  ASSERT_TRUE(os::write_file_plain(path, "2024-05-06T07:08:12.000000001Z stdout F four\n").ok());
  EXPECT_EQ(read(path, {}), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(read(path, {.tail_lines = 2}), "three\nfour\n");
  EXPECT_TRUE(rotate_log(path, 10, 3).value());
  ASSERT_TRUE(os::write_file_plain(path, kLog).ok());
  EXPECT_TRUE(rotate_log(path, 10, 3).value());
  EXPECT_FALSE(os::exists(path + ".3"));
}

TEST(LogFile, FollowsUntilTheEnd) {
  os::TempDirectory folder = os::TempDirectory::make().value();
  std::string path = folder.path() + "/0.log";
  ASSERT_TRUE(os::write_file_plain(path, kLog).ok());
  std::string out;
  bool over = false;
  auto write = [&](std::string_view text) {
    out += text;
    // The writer goes on while we read.
    std::string more = "2024-05-06T07:08:12.000000001Z stdout F four\n";
    if (!over) {
      EXPECT_TRUE(os::write_file_plain(path, kLog + more).ok());
    }
    over = true;
    return true;
  };
  ASSERT_TRUE(read_log(
                  path, {.follow = true}, {}, write, [] { return false; }, [&] { return over; })
                  .ok());
  EXPECT_EQ(out, "one\ntwo\nthree\nfour\n");
}

}  // namespace
}  // namespace wherry::agent
