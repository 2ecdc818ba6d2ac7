// What holds for every row, and the rules of the main kinds.

#include <gtest/gtest.h>

#include <set>

#include "api/conversion.h"
#include "api/decode.h"
#include "api/defaults.h"
#include "api/meta.h"
#include "api/resource.h"
#include "api/table.h"

namespace wherry::api {
namespace {

const Time kNow = parse_time("2026-01-02T03:04:05Z").value();

// An object as the server makes it of a client's: decoded, defaulted, prepared.
json::Document made(const Resource& row, std::string_view text) {
  json::Document in = json::Document::parse(text).value();
  json::Draft draft = decode(*row.schema, in.root()).value();
  apply_defaults(*row.schema, draft.root());
  if (row.apply_defaults != nullptr) row.apply_defaults(draft.root());
  prepare_create(row, draft.root(), kNow);
  return draft.freeze();
}

std::string faults(const Resource& row, std::string_view text) {
  json::Document object = made(row, text);
  Result<void> result = validate_create(row, object.root());
  return result.ok() ? "" : result.error().message();
}

std::string cells(const Resource& row, std::string_view text) {
  json::Document object = json::Document::parse(text).value();
  json::Value items[] = {object.root()};
  json::Draft table = make_table(row, items, {}, kNow, {});
  return table.root()["rows"].at(0)["cells"].dump();
}

TEST(Rows, AreSound) {
  std::set<std::string> names;
  for (const Resource* row : resources()) {
    std::string id = row->api_version() + "/" + std::string(row->plural);
    EXPECT_TRUE(names.insert(id).second) << id;
    EXPECT_NE(row->schema, nullptr) << id;
    EXPECT_EQ(find_resource(row->group, row->version, row->plural), row) << id;
    EXPECT_EQ(find_kind(row->group, row->version, row->kind), row) << id;
    if (stored_rules(*row).columns.empty()) {
      EXPECT_EQ(row->verbs.size(), 1u) << id << " is listed without columns";
    }
    EXPECT_EQ(row->status_subresource, row->subresource("status") != nullptr) << id;
  }
}

TEST(Rows, EveryTableTakesAnEmptyObject) {
  for (const Resource* row : resources()) {
    json::Document object = json::Document::parse(R"({"metadata":{}})").value();
    json::Value items[] = {object.root()};
    json::Draft table = make_table(*row, items, {}, kNow, {});
    EXPECT_EQ(table.root()["rows"].at(0)["cells"].size(), stored_rules(*row).columns.size())
        << row->plural;
  }
}

TEST(Rows, EveryRuleTakesAnEmptyObject) {
  for (const Resource* row : resources()) {
    json::Document object = made(*row, R"({"metadata":{"name":"x"}})");
    static_cast<void>(validate_create(*row, object.root()));
    static_cast<void>(validate_update(*row, object.root(), object.root()));
    static_cast<void>(validate_status_update(*row, object.root(), object.root()));
  }
}

TEST(Rows, LookUp) {
  EXPECT_EQ(resource("pods").kind, "Pod");
  EXPECT_EQ(resource("deployments.apps").kind, "Deployment");
  EXPECT_EQ(find_resource("", "v1", "nope"), nullptr);
}

constexpr const char* kMeta = R"("metadata":{"name":"x","namespace":"default"})";

TEST(PodRules, Defaults) {
  json::Document pod = made(
      resource("pods"),
      std::string("{") + kMeta +
          R"(,"spec":{"containers":[{"name":"c","image":"i:1","resources":{"limits":{"cpu":"0.5"}}},
      {"name":"d","image":"r:5000/i"}],"volumes":[{"name":"v"}]}})");
  json::Value spec = pod.root()["spec"];
  EXPECT_EQ(spec["containers"].at(0)["imagePullPolicy"].as_string(), "IfNotPresent");
  EXPECT_EQ(spec["containers"].at(1)["imagePullPolicy"].as_string(), "Always");
  EXPECT_EQ(spec["containers"].at(0)["resources"]["requests"]["cpu"].as_string(), "500m");
  EXPECT_TRUE(spec["volumes"].at(0)["emptyDir"].is_object());
  EXPECT_TRUE(spec["enableServiceLinks"].as_bool());
  EXPECT_EQ(pod.root()["status"].dump(), R"({"phase":"Pending","qosClass":"Burstable"})");
  EXPECT_EQ(pod.root()["metadata"]["generation"].as_int(), 1);
}

TEST(PodRules, Faults) {
  auto pod = [](std::string_view spec) {
    return faults(resource("pods"),
                  std::string("{") + kMeta + ",\"spec\":" + std::string(spec) + "}");
  };
  EXPECT_EQ(pod(R"({"containers":[{"name":"c","image":"i"}]})"), "");
  EXPECT_EQ(pod("{}"), "Pod \"x\" is invalid: spec.containers: Required value");
  EXPECT_EQ(pod(R"({"containers":[{"name":"c","image":"i"},{"name":"c","image":"i"}]})"),
            "Pod \"x\" is invalid: spec.containers[1].name: Duplicate value: \"c\"");
  EXPECT_EQ(pod(R"({"restartPolicy":"x","containers":[{"name":"c","image":"i"}]})"),
            "Pod \"x\" is invalid: spec.restartPolicy: Unsupported value: \"x\": supported values: "
            "\"Always\", "
            "\"OnFailure\", \"Never\"");
  EXPECT_EQ(
      pod(R"({"containers":[{"name":"c","image":"i","volumeMounts":[{"name":"v","mountPath":"/a"}]}]})"),
      "Pod \"x\" is invalid: spec.containers[0].volumeMounts[0].name: Not found: \"v\"");
}

TEST(PodRules, OnlySomeFieldsMayChange) {
  const Resource& pods = resource("pods");
  std::string head = std::string("{") +
                     R"("metadata":{"name":"x","namespace":"d","resourceVersion":"1"})" +
                     R"(,"spec":{"nodeName":"n","containers":[{"name":"c","image":")";
  json::Document before = made(pods, head + "i\"}]}}");
  json::Document image = made(pods, head + "j\"}]}}");
  json::Document restart = made(pods, head + "i\"}],\"restartPolicy\":\"Never\"}}");
  EXPECT_TRUE(validate_update(pods, before.root(), image.root()).ok());
  Result<void> refused = validate_update(pods, before.root(), restart.root());
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().message().starts_with(
      "Pod \"x\" is invalid: spec: Forbidden: pod updates may not change fields other than "));
}

TEST(PodTable, Cells) {
  EXPECT_EQ(
      cells(resource("pods"),
            R"({"metadata":{"name":"web","creationTimestamp":"2026-01-02T02:04:05Z"},
      "spec":{"nodeName":"n1","containers":[{"name":"a"},{"name":"b"}]},
      "status":{"phase":"Running","podIPs":[{"ip":"10.42.0.5"}],"containerStatuses":[
      {"name":"a","ready":true,"restartCount":3,"state":{"running":{}},
       "lastState":{"terminated":{"finishedAt":"2026-01-02T02:59:05Z"}}},
      {"name":"b","ready":false,"restartCount":0,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}})"),
      R"j(["web","1/2","CrashLoopBackOff","3 (5m ago)","60m","10.42.0.5","n1","<none>","<none>"])j");
  EXPECT_EQ(cells(resource("pods"),
                  R"({"metadata":{"name":"w","deletionTimestamp":"2026-01-02T02:04:05Z"},
      "spec":{"containers":[{"name":"a"}]},"status":{"phase":"Running"}})"),
            R"(["w","0/1","Terminating","0","<unknown>","<none>","<none>","<none>","<none>"])");
  EXPECT_EQ(
      cells(resource("pods"), R"({"metadata":{"name":"w"},"spec":{"initContainers":[{"name":"i"},
      {"name":"j"}],"containers":[{"name":"a"}]},"status":{"phase":"Pending","initContainerStatuses":[
      {"name":"i","state":{"terminated":{"exitCode":0}}},{"name":"j","state":{"running":{}}}]}})"),
      R"(["w","0/1","Init:1/2","0","<unknown>","<none>","<none>","<none>","<none>"])");
}

TEST(ServiceTable, Cells) {
  EXPECT_EQ(cells(resource("services"), R"({"metadata":{"name":"s"},"spec":{"type":"LoadBalancer",
      "clusterIP":"10.43.0.1","ports":[{"port":80,"nodePort":30000,"protocol":"TCP"}],"selector":{"a":"b"}}})"),
            R"(["s","LoadBalancer","10.43.0.1","<pending>","80:30000/TCP","<unknown>","a=b"])");
}

TEST(DeploymentRules, DefaultsAndFaults) {
  const Resource& row = resource("deployments.apps");
  constexpr const char* kGood =
      R"({"metadata":{"name":"d","namespace":"n"},"spec":{"selector":{"matchLabels":
      {"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
  json::Document object = made(row, kGood);
  EXPECT_EQ(
      object.root()["spec"]["strategy"].dump(),
      R"({"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}})");
  EXPECT_EQ(object.root()["spec"]["progressDeadlineSeconds"].as_int(), 600);
  EXPECT_EQ(faults(row, kGood), "");
  EXPECT_EQ(
      faults(row, R"({"metadata":{"name":"d","namespace":"n"},"spec":{"selector":{"matchLabels":
      {"x":"y"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})"),
      "Deployment.apps \"d\" is invalid: spec.template.metadata.labels: Invalid value: "
      "{\"a\":\"b\"}: "
      "`selector` does not match template `labels`");
}

TEST(Meta, Rules) {
  const Resource& row = resource("configmaps");
  EXPECT_EQ(
      faults(row, R"({"metadata":{"namespace":"n"}})"),
      "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required");
  EXPECT_EQ(
      faults(row, R"({"metadata":{"name":"x","namespace":"n","finalizers":["x"]}})"),
      "ConfigMap \"x\" is invalid: metadata.finalizers[0]: Invalid value: \"x\": name is neither a "
      "standard finalizer name nor is it fully qualified");
  EXPECT_EQ(
      faults(resource("namespaces"), R"({"metadata":{"name":"a.b"}})"),
      "Namespace \"a.b\" is invalid: metadata.name: Invalid value: \"a.b\": must not contain dots");
}

TEST(Meta, ImmutableConfigMap) {
  const Resource& row = resource("configmaps");
  json::Document before =
      made(row, std::string("{") + kMeta + R"(,"immutable":true,"data":{"a":"1"}})");
  json::Document after =
      made(row, std::string("{") + kMeta + R"(,"immutable":true,"data":{"a":"2"}})");
  Result<void> result = validate_update(row, before.root(), after.root());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(
      result.error().message(),
      "ConfigMap \"x\" is invalid: data: Forbidden: field is immutable when `immutable` is set");
}

TEST(Meta, GenerationCountsSpecChanges) {
  const Resource& row = resource("deployments.apps");
  json::Document before = made(row, R"({"metadata":{"name":"d"},"spec":{"replicas":1}})");
  json::Draft same(before.root()), more(before.root());
  more.root()["spec"].set("replicas", 2);
  prepare_update(row, before.root(), same.root(), UpdateScope::kMain, kNow);
  prepare_update(row, before.root(), more.root(), UpdateScope::kMain, kNow);
  EXPECT_EQ(same.root()["metadata"]["generation"].as_int(), 1);
  EXPECT_EQ(more.root()["metadata"]["generation"].as_int(), 2);
}

TEST(HumanDuration, LooksAsKubectlPrintsIt) {
  using namespace std::chrono_literals;
  struct Case {
    Duration age;
    const char* text;
  };
  for (const Case& c : {Case{5s, "5s"}, Case{119s, "119s"}, Case{120s, "2m"}, Case{123s, "2m3s"},
                        Case{11min, "11m"}, Case{179min, "179m"}, Case{180min, "3h"},
                        Case{190min, "3h10m"}, Case{9h, "9h"}, Case{48h, "2d"}, Case{53h, "2d5h"},
                        Case{24h * 9, "9d"}, Case{24h * 740, "2y10d"}, Case{24h * 365 * 9, "9y"},
                        Case{-1s, "0s"}, Case{-5s, "<invalid>"}}) {
    EXPECT_EQ(human_duration(c.age), c.text);
  }
}

TEST(Table, HeadersAndObjects) {
  json::Document object =
      json::Document::parse(R"({"metadata":{"name":"x"},"data":{"a":"b"}})").value();
  json::Value items[] = {object.root()};
  TableOptions options;
  options.include_object = IncludeObject::kNone;
  options.headers = false;
  json::Draft table = make_table(resource("configmaps"), items, options, kNow, {});
  EXPECT_EQ(
      table.dump(),
      R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{},"columnDefinitions":null,)"
      R"("rows":[{"cells":["x",1,"<unknown>"],"object":null}]})");
}

}  // namespace
}  // namespace wherry::api
