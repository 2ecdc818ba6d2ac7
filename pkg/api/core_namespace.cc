// Namespace, core/v1. Rules from the Kubernetes API reference, Namespace v1 core.

#include "api/cells.h"
#include "api/names.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"ns"};
constexpr std::string_view kVerbs[] = {"create", "delete", "get",  "list",
                                       "patch",  "update", "watch"};
constexpr std::string_view kFinalizeVerbs[] = {"update"};
constexpr Subresource kSubresources[] = {
    {.name = "finalize", .kind = "Namespace", .verbs = kFinalizeVerbs},
    status_of("Namespace"),
};
constexpr SelectableField kFields[] = {{.path = "status.phase"}};

void status_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["status"]["phase"].as_string());
}

constexpr Column kColumns[] = {
    kNameColumn,
    {.name = "Status", .description = "Active, or Terminating.", .cell = &status_cell},
    kAgeColumn,
};

// The name is also a label, so that selectors can pick namespaces by name.
void apply_defaults(json::Node object) {
  json::Node meta = object["metadata"];
  std::string name(meta["name"].as_string());
  if (name.empty()) return;
  meta.ensure_object("labels").set("kubernetes.io/metadata.name", name);
}

// A namespace starts alive and held by the namespace controller, whatever the client says.
void prepare_create(json::Node object, Time) {
  object.set_object("status").set("phase", "Active");
  json::Node finalizers = object.ensure_object("spec").ensure_array("finalizers");
  for (json::Node item : finalizers.items()) {
    if (item.as_string() == "kubernetes") return;
  }
  finalizers.push("kubernetes");
}

// spec.finalizers changes through /finalize only.
void prepare_update(json::Value before, json::Node after, Time) {
  after.set("spec", before["spec"]);
}

void validate(json::Value object, FieldErrors& errors) {
  Path path = Path("spec").child("finalizers");
  for (json::Value item : object["spec"]["finalizers"].items()) {
    std::string_view name = item.as_string();
    for (const std::string& problem : qualified_name_problems(name))
      errors.invalid(path, name, problem);
    if (name.find('/') == std::string_view::npos && name != "kubernetes") {
      errors.invalid(path, name,
                     "name is neither a standard finalizer name nor is it fully qualified");
    }
  }
}

void validate_status_update(json::Value, json::Value after, FieldErrors& errors) {
  std::string_view phase = after["status"]["phase"].as_string();
  bool deleting = static_cast<bool>(after["metadata"]["deletionTimestamp"]);
  Path path = Path("status").child("Phase");
  if (deleting && phase != "Terminating") {
    errors.invalid(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
  }
  if (!deleting && phase != "Active") {
    errors.invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty");
  }
}

}  // namespace

constinit const Resource kNamespaces = {
    .group = "",
    .version = "v1",
    .kind = "Namespace",
    .plural = "namespaces",
    .singular = "namespace",
    .short_names = kShortNames,
    .scope = Scope::kCluster,
    .verbs = kVerbs,
    .schema = &schema::core_v1::kNamespace,
    .columns = kColumns,
    .subresources = kSubresources,
    .selectable_fields = kFields,
    .status_subresource = true,
    .delete_gives_object = true,
    .phases = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &apply_defaults,
    .prepare_create = &prepare_create,
    .prepare_update = &prepare_update,
    .validate = &validate,
    .validate_status_update = &validate_status_update,
    .valid_name = &valid_dns_label_name,
};

}  // namespace wherry::api
