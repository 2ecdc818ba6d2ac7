#include "apiserver/machinery.h"

#include "apiserver/test_server.h"

namespace wherry::apiserver {
namespace {

TEST_F(MachineryTest, CreatesWithUidTimeAndVersion) {
  ObjectPtr map = create("configmaps", "default", R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  EXPECT_EQ(map->name(), "a");
  EXPECT_EQ(map->ns(), "default");
  EXPECT_EQ(map->uid().size(), 36U);
  EXPECT_GT(map->revision(), 0);
  EXPECT_EQ(text(map, "metadata.creationTimestamp"), format_time(clock_.now()));
  EXPECT_EQ(machinery_->get(target("configmaps", "default", "a")).value(), map);
}

TEST_F(MachineryTest, RefusesASecondOfTheSameName) {
  create("configmaps", "default", R"({"metadata":{"name":"a"}})");
  Result<ObjectPtr> again = try_create("configmaps", "default", R"({"metadata":{"name":"a"}})");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
  EXPECT_EQ(again.error().message(), "configmaps \"a\" already exists");
}

TEST_F(MachineryTest, MakesNames) {
  ObjectPtr map = create("configmaps", "default", R"({"metadata":{"generateName":"a-"}})");
  EXPECT_EQ(map->name().size(), 7U);
  EXPECT_TRUE(map->name().starts_with("a-"));
}

TEST_F(MachineryTest, RefusesMissingAndDyingNamespaces) {
  Result<ObjectPtr> missing = try_create("configmaps", "nope", R"({"metadata":{"name":"a"}})");
  EXPECT_EQ(missing.error().message(), "namespaces \"nope\" not found");
  create("namespaces", "", R"({"metadata":{"name":"n"}})");
  ASSERT_TRUE(remove(target("namespaces", "", "n")).ok());
  Result<ObjectPtr> dying = try_create("configmaps", "n", R"({"metadata":{"name":"a"}})");
  EXPECT_EQ(dying.error().code(), Code::kForbidden);
  ASSERT_EQ(dying.error().details().causes.size(), 1U);
  EXPECT_EQ(dying.error().details().causes[0].reason, "NamespaceTerminating");
}

TEST_F(MachineryTest, NamespacesGoWhenFinalized) {
  create("namespaces", "", R"({"metadata":{"name":"n"}})");
  Deleted first = remove(target("namespaces", "", "n")).value();
  EXPECT_FALSE(first.removed);
  EXPECT_EQ(text(first.object, "status.phase"), "Terminating");
  ASSERT_TRUE(try_update(target("namespaces", "", "n", "finalize"),
                         R"({"metadata":{"name":"n"},"spec":{}})")
                  .ok());
  EXPECT_FALSE(machinery_->get(target("namespaces", "", "n")).ok());
}

TEST_F(MachineryTest, DryRunStoresNothing) {
  ASSERT_TRUE(
      try_create("configmaps", "default", R"({"metadata":{"name":"a"}})", {.dry_run = true}).ok());
  EXPECT_FALSE(machinery_->get(target("configmaps", "default", "a")).ok());
}

TEST_F(MachineryTest, UpdateChecksTheVersion) {
  create("configmaps", "default", R"({"metadata":{"name":"a"}})");
  Target at = target("configmaps", "default", "a");
  Result<ObjectPtr> stale =
      try_update(at, R"({"metadata":{"name":"a","resourceVersion":"1"},"data":{"x":"y"}})");
  EXPECT_EQ(stale.error().code(), Code::kConflict);
  EXPECT_TRUE(try_update(at, R"({"metadata":{"name":"a"},"data":{"x":"y"}})").ok());
}

TEST_F(MachineryTest, AnUpdateWithoutChangeWritesNothing) {
  ObjectPtr map = create("configmaps", "default", R"({"metadata":{"name":"a"},"data":{"x":"y"}})");
  Target at = target("configmaps", "default", "a");
  ObjectPtr same = try_patch(at, PatchType::kMerge, R"({"data":{"x":"y"}})").value();
  EXPECT_EQ(same->revision(), map->revision());
}

TEST_F(MachineryTest, FinalizersHoldTheObject) {
  create("configmaps", "default", R"({"metadata":{"name":"a","finalizers":["example.com/x"]}})");
  Target at = target("configmaps", "default", "a");
  EXPECT_FALSE(remove(at).value().removed);
  EXPECT_TRUE(machinery_->get(at).value()->deleting());
  ASSERT_TRUE(try_patch(at, PatchType::kMerge, R"({"metadata":{"finalizers":null}})").ok());
  EXPECT_FALSE(machinery_->get(at).ok());
}

TEST_F(MachineryTest, PropagationBecomesAFinalizer) {
  create("configmaps", "default", R"({"metadata":{"name":"a"}})");
  Deleted held =
      remove(target("configmaps", "default", "a"), {.propagation_policy = "Foreground"}).value();
  EXPECT_EQ(text(held.object, "metadata.finalizers"), R"(["foregroundDeletion"])");
}

TEST_F(MachineryTest, DeletePreconditions) {
  create("configmaps", "default", R"({"metadata":{"name":"a"}})");
  EXPECT_EQ(remove(target("configmaps", "default", "a"), {.uid = "x"}).error().code(),
            Code::kConflict);
}

TEST_F(MachineryTest, PodsGetAccountTolerationsAndPriority) {
  ObjectPtr pod = create("pods", "default", kPodJson);
  EXPECT_EQ(text(pod, "spec.serviceAccountName"), "default");
  EXPECT_EQ(text(pod, "spec.priority"), "0");
  json::Document document = pod->document();
  json::Value spec = document.root()["spec"];
  EXPECT_EQ(spec["tolerations"].size(), 2U);
  EXPECT_EQ(spec["volumes"].size(), 1U);
  EXPECT_EQ(spec["containers"].at(0)["volumeMounts"].at(0)["mountPath"].as_string(),
            "/var/run/secrets/kubernetes.io/serviceaccount");
}

TEST_F(MachineryTest, UnboundPodsGoAtOnceBoundOnesWithGrace) {
  create("pods", "default", kPodJson);
  Target at = target("pods", "default", "web");
  EXPECT_TRUE(remove(at).value().removed);
  create("pods", "default", kPodJson);
  json::Document binding =
      json::Document::parse(R"({"metadata":{"name":"web"},"target":{"kind":"Node","name":"n1"}})")
          .value();
  Target bind = target("pods", "default", "web", "binding");
  ASSERT_TRUE(machinery_->create_subresource(context_, bind, binding.root()).ok());
  EXPECT_EQ(text(machinery_->get(at).value(), "spec.nodeName"), "n1");
  Result<ObjectPtr> twice = machinery_->create_subresource(context_, bind, binding.root());
  EXPECT_EQ(
      twice.error().message(),
      "Operation cannot be fulfilled on pods/binding \"web\": pod web is already assigned to node "
      "\"n1\"");
  Deleted marked = remove(at).value();
  EXPECT_FALSE(marked.removed);
  EXPECT_EQ(text(marked.object, "metadata.deletionGracePeriodSeconds"), "30");
  EXPECT_TRUE(remove(at, {.grace_period_seconds = 0}).value().removed);
}

TEST_F(MachineryTest, StatusIsWrittenThroughStatusOnly) {
  create("pods", "default", kPodJson);
  Target at = target("pods", "default", "web");
  ASSERT_TRUE(try_patch(at, PatchType::kMerge, R"({"status":{"phase":"Running"}})").ok());
  EXPECT_EQ(text(machinery_->get(at).value(), "status.phase"), "Pending");
  ASSERT_TRUE(try_patch(target("pods", "default", "web", "status"), PatchType::kMerge,
                        R"({"status":{"phase":"Running"}})")
                  .ok());
  EXPECT_EQ(text(machinery_->get(at).value(), "status.phase"), "Running");
}

TEST_F(MachineryTest, ScaleIsAViewOfReplicas) {
  create("deployments.apps", "default",
         R"({"metadata":{"name":"d"},"spec":{"replicas":3,"selector":{"matchLabels":{"a":"b"}},)"
         R"("template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c",)"
         R"("image":"i"}]}}}})");
  Target at = target("deployments.apps", "default", "d", "scale");
  ObjectPtr scale = machinery_->get_subresource(at).value();
  EXPECT_EQ(text(scale, "spec.replicas"), "3");
  EXPECT_EQ(text(scale, "status.selector"), "a=b");
  ASSERT_TRUE(try_patch(at, PatchType::kMerge, R"({"spec":{"replicas":5}})").ok());
  EXPECT_EQ(
      text(machinery_->get(target("deployments.apps", "default", "d")).value(), "spec.replicas"),
      "5");
  EXPECT_FALSE(try_update(at, R"({"spec":{"replicas":-1}})").ok());
}

TEST_F(MachineryTest, ListsInPages) {
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    create("configmaps", "kube-public", fmt::format(R"({{"metadata":{{"name":"{}"}}}})", name));
  }
  ListOptions options;
  options.limit = 2;
  Target all = target("configmaps", "kube-public");
  ListResult first = machinery_->list(all, options).value();
  ASSERT_EQ(first.items.size(), 2U);
  EXPECT_EQ(first.remaining, 3);
  create("configmaps", "kube-public", R"({"metadata":{"name":"bb"}})");
  options.continue_token = first.continue_token;
  ListResult second = machinery_->list(all, options).value();
  ASSERT_EQ(second.items.size(), 2U);
  EXPECT_EQ(second.items[0]->name(), "c");  // As it was at the first page's revision.
  EXPECT_EQ(second.revision, first.revision);
  options.continue_token = second.continue_token;
  ListResult third = machinery_->list(all, options).value();
  EXPECT_EQ(third.items.size(), 1U);
  EXPECT_TRUE(third.continue_token.empty());
  EXPECT_FALSE(third.remaining.has_value());
}

TEST_F(MachineryTest, SelectsByFieldAndLabel) {
  create("configmaps", "default", R"({"metadata":{"name":"a","labels":{"x":"1"}}})");
  create("configmaps", "default", R"({"metadata":{"name":"b","labels":{"x":"2"}}})");
  ListOptions options;
  options.filter = parse_filter(api::resource("configmaps"), "x in (1,3)", "").value();
  EXPECT_EQ(machinery_->list(target("configmaps", ""), options).value().items.size(), 1U);
  options.filter = parse_filter(api::resource("configmaps"), "", "metadata.name=b").value();
  EXPECT_EQ(machinery_->list(target("configmaps", ""), options).value().items.size(), 1U);
  EXPECT_EQ(parse_filter(api::resource("pods"), "", "foo=bar").error().message(),
            "field label not supported: foo");
}

TEST_F(MachineryTest, ServicesGetAddressesAndPorts) {
  ObjectPtr service =
      create("services", "default",
             R"({"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[{"port":80}]}})");
  EXPECT_TRUE(text(service, "spec.clusterIP").starts_with("10.43."));
  json::Document document = service->document();
  int64_t port = document.root()["spec"]["ports"].at(0)["nodePort"].as_int();
  EXPECT_GE(port, 30000);
  Result<ObjectPtr> taken = try_create(
      "services", "default",
      fmt::format(R"({{"metadata":{{"name":"t"}},"spec":{{"type":"NodePort","ports":[{{"port":80,)"
                  R"("nodePort":{}}}]}}}})",
                  port));
  EXPECT_EQ(
      taken.error().message(),
      fmt::format("Service \"t\" is invalid: spec.ports[0].nodePort: Invalid value: {}: provided "
                  "port is already allocated",
                  port));
  ASSERT_TRUE(remove(target("services", "default", "s")).ok());
  EXPECT_TRUE(
      try_create("services", "default",
                 fmt::format(R"({{"metadata":{{"name":"t"}},"spec":{{"type":"NodePort","ports":[{{)"
                             R"("port":80,"nodePort":{}}}]}}}})",
                             port))
          .ok());
}

TEST_F(MachineryTest, RemovesCollections) {
  create("configmaps", "default", R"({"metadata":{"name":"a","labels":{"x":"1"}}})");
  create("configmaps", "default", R"({"metadata":{"name":"b"}})");
  ListOptions which;
  which.filter = parse_filter(api::resource("configmaps"), "x=1", "").value();
  ListResult gone =
      machinery_->remove_collection(context_, target("configmaps", "default"), which, {}).value();
  ASSERT_EQ(gone.items.size(), 1U);
  EXPECT_EQ(gone.items[0]->name(), "a");
  EXPECT_TRUE(machinery_->get(target("configmaps", "default", "b")).ok());
}

}  // namespace
}  // namespace wherry::apiserver
