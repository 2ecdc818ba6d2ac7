#include "apiserver/flow_keeper.h"

#include "base/strings.h"

namespace wherry::apiserver {
namespace {

Context keeper_context() {
  Context context;
  context.user.name = "system:apiserver";
  context.user.groups = {std::string(kMasters)};
  return context;
}

WriteOptions writing_as(std::string_view manager) {
  WriteOptions options;
  options.field_manager = manager;
  return options;
}

// Somebody else was there first: their change is on its way to us.
Result<void> settled(const Result<Written>& written) {
  if (written.ok()) return {};
  const Error& error = written.error();
  bool lost =
      error.is(Code::kAlreadyExists) || error.is(Code::kConflict) || error.is(Code::kNotFound);
  if (lost) return {};
  return error;
}

}  // namespace

FlowKeeper::FlowKeeper(Machinery& machinery)
    : machinery_(machinery),
      keeper_(machinery.store(),
              {.name = "flow-keeper",
               .resources = {api::kFlowSchemaResource, api::kPriorityLevelResource},
               .keep = [this] { return keep(); }}) {}

Result<void> FlowKeeper::keep() {
  TRY(keep_defaults(api::kPriorityLevelResource, api::default_priority_levels()));
  TRY(keep_defaults(api::kFlowSchemaResource, api::default_flow_schemas()));
  std::vector<ObjectPtr> schemas;
  machinery_.store()
      .snapshot(api::kFlowSchemaResource)
      ->scan("", "", "", [&](const ObjectPtr& one) {
        schemas.push_back(one);
        return true;
      });
  for (const ObjectPtr& schema : schemas) TRY(keep_status(schema));
  return {};
}

Result<void> FlowKeeper::keep_defaults(std::string_view group_resource,
                                       std::span<const api::FlowDefault> wanted) {
  const Resource& resource = api::resource(group_resource);
  WriteOptions options = writing_as(api::kFlowProducer);
  for (const api::FlowDefault& one : wanted) {
    Context context = keeper_context();
    std::string name(one.name);
    ObjectPtr there = machinery_.store().get(group_resource, "", name);
    json::Document object = api::flow_default_object(one);
    if (there == nullptr) {
      TRY(settled(machinery_.create(context, {&resource, "", "", ""}, object.root(), options)));
      continue;
    }
    json::Document document = there->document();
    if (there->deleting() || !api::flow_default_differs(one, document.root())) continue;
    json::Draft repaired(document.root());
    repaired.root().set("spec", object.root()["spec"]);
    TRY(settled(
        machinery_.update(context, {&resource, "", name, ""}, repaired.freeze().root(), options)));
  }
  return {};
}

Result<void> FlowKeeper::keep_status(const ObjectPtr& schema) {
  json::Document document = schema->document();
  std::string_view level =
      document.root()["spec"]["priorityLevelConfiguration"]["name"].as_string();
  bool dangling = machinery_.store().get(api::kPriorityLevelResource, "", level) == nullptr;
  std::string_view status = dangling ? "True" : "False";
  std::string message =
      fmt::format("This FlowSchema references the PriorityLevelConfiguration object named {} {}",
                  quote(level), dangling ? "but there is no such object" : "and it exists");
  std::string since = format_time(machinery_.clock().now());
  for (json::Value condition : document.root()["status"]["conditions"].items()) {
    if (condition["type"].as_string() != "Dangling") continue;
    if (condition["status"].as_string() != status) continue;
    if (condition["message"].as_string() == message) return {};
    since = condition["lastTransitionTime"].as_string();
  }
  json::Draft applied;
  json::Node root = applied.root();
  root.set("apiVersion", schema->api_version());
  root.set("kind", schema->kind());
  root.set_object("metadata").set("name", schema->name());
  json::Node condition = applied.make_object();
  condition.set("type", "Dangling");
  condition.set("status", status);
  condition.set("lastTransitionTime", since);
  condition.set("reason", dangling ? "NotFound" : "Found");
  condition.set("message", message);
  root.set_object("status").set_array("conditions").push(condition);
  WriteOptions options = writing_as(api::kFlowConsumer);
  options.force = true;
  Context context = keeper_context();
  Target target{&api::resource(api::kFlowSchemaResource), "", std::string(schema->name()),
                "status"};
  return settled(
      machinery_.patch(context, target, PatchType::kApply, applied.freeze().root(), options));
}

}  // namespace wherry::apiserver
