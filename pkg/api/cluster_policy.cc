// PriorityClass (scheduling.k8s.io/v1) and RuntimeClass (node.k8s.io/v1). Rules from the Kubernetes
// API reference.

#include <set>
#include <string>

#include "api/cells.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "api/schema_node_v1.h"
#include "api/schema_scheduling_v1.h"
#include "api/workload_rules.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"pc"};
constexpr int64_t kUserPriorityMax = 1'000'000'000;

void value_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["value"].as_int());
}
void global_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["globalDefault"].as_bool());
}
void preemption_cell(json::Value object, Time, json::Node cells) {
  cells.push(text_or(object["preemptionPolicy"], ""));
}
void handler_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["handler"].as_string());
}

constexpr Column kPriorityColumns[] = {
    kNameColumn,
    {.name = "Value",
     .type = "integer",
     .description = "Priority of its pods.",
     .cell = &value_cell},
    {.name = "Global-Default",
     .type = "boolean",
     .description = "Whether pods without a class get it.",
     .cell = &global_cell},
    kAgeColumn,
    {.name = "PreemptionPolicy",
     .description = "Whether its pods push others out.",
     .cell = &preemption_cell},
};
constexpr Column kRuntimeColumns[] = {
    kNameColumn,
    {.name = "Handler", .description = "Runtime that is used.", .cell = &handler_cell},
    kAgeColumn,
};

void priority_defaults(json::Node object) {
  if (!object["preemptionPolicy"]) object.set("preemptionPolicy", "PreemptLowerPriority");
}

// The two classes that come with every cluster stay as they are.
std::string system_priority_problem(std::string_view name, int64_t value, bool global) {
  struct Known {
    std::string_view name;
    int64_t value;
  };
  for (const Known& known : {Known{"system-node-critical", 2'000'001'000},
                             Known{"system-cluster-critical", 2'000'000'000}}) {
    if (known.name != name) continue;
    if (known.value != value)
      return fmt::format("value of {} PriorityClass must be {}", name, known.value);
    return global ? fmt::format("globalDefault of {} PriorityClass must be false", name)
                  : std::string();
  }
  return std::string(name) + " is not a known system priority class";
}

void priority_prepare_create(json::Node object, Time) {
  object["metadata"].set("generation", 1);  // Which never changes.
}
void priority_prepare_update(json::Value before, json::Node after, Time) {
  after["metadata"].set("generation", before["metadata"]["generation"]);
}

void validate_priority(json::Value object, FieldErrors& errors) {
  std::string_view name = object["metadata"]["name"].as_string();
  int64_t value = object["value"].as_int();
  if (name.starts_with("system-")) {
    std::string why = system_priority_problem(name, value, object["globalDefault"].as_bool());
    if (!why.empty()) {
      errors.forbidden(Path("metadata").child("name"),
                       "priority class names with 'system-' prefix are reserved for system use "
                       "only. error: " +
                           why);
    }
  } else if (value > kUserPriorityMax) {
    errors.forbidden(Path("value"),
                     "maximum allowed value of a user defined priority is 1000000000");
  }
  static constexpr std::string_view kPolicies[] = {"PreemptLowerPriority", "Never"};
  if (json::Value policy = object["preemptionPolicy"]) {
    check_enum(policy.as_string(), kPolicies, Path("preemptionPolicy"), errors);
  }
}

void validate_priority_update(json::Value before, json::Value after, FieldErrors& errors) {
  if (before["value"].as_int() != after["value"].as_int()) {
    errors.forbidden(Path("value"), "may not be changed in an update.");
  }
  validate_immutable(before["preemptionPolicy"], after["preemptionPolicy"],
                     Path("preemptionPolicy"), errors);
}

void validate_runtime(json::Value object, FieldErrors& errors) {
  std::string_view handler = object["handler"].as_string();
  if (handler.empty()) {
    errors.required(Path("handler"), "");
  } else {
    report(dns_label_problems(handler), Path("handler"), handler, errors);
  }
  // Upstream checks it as the limits of a container.
  Path overhead = Path("overhead").child("limits");
  for (auto [name, amount] : object["overhead"]["podFixed"].members()) {
    validate_container_resource_name(name, overhead.key(name), errors);
    validate_resource_amount(name, amount, overhead.key(name), errors);
  }
  json::Value scheduling = object["scheduling"];
  Path path("scheduling");
  validate_labels(scheduling["nodeSelector"], path.child("nodeSelector"), errors);
  json::Value tolerations = scheduling["tolerations"];
  validate_tolerations(tolerations, path.child("tolerations"), errors);
  std::set<std::string> seen;  // Decoded objects have their fields in one order.
  size_t at = 0;
  for (json::Value toleration : tolerations.items()) {
    Path item = path.child("tolerations").index(at++);
    if (seen.insert(toleration.dump()).second) continue;
    json::Document shown = go_struct(schema::core_v1::kToleration, toleration);
    errors.duplicate(item, shown.root());
  }
}
void validate_runtime_update(json::Value before, json::Value after, FieldErrors& errors) {
  validate_immutable(before["handler"], after["handler"], Path("handler"), errors);
}

}  // namespace

constinit const Resource kPriorityClasses = {
    .group = "scheduling.k8s.io",
    .version = "v1",
    .kind = "PriorityClass",
    .plural = "priorityclasses",
    .singular = "priorityclass",
    .short_names = kShortNames,
    .scope = Scope::kCluster,
    .schema = &schema::scheduling_v1::kPriorityClass,
    .columns = kPriorityColumns,
    .update_rules = UpdateRules::kChangeOnly,
    .apply_defaults = &priority_defaults,
    .prepare_create = &priority_prepare_create,
    .prepare_update = &priority_prepare_update,
    .validate = &validate_priority,
    .validate_update = &validate_priority_update,
};

constinit const Resource kRuntimeClasses = {
    .group = "node.k8s.io",
    .version = "v1",
    .kind = "RuntimeClass",
    .plural = "runtimeclasses",
    .singular = "runtimeclass",
    .scope = Scope::kCluster,
    .schema = &schema::node_v1::kRuntimeClass,
    .columns = kRuntimeColumns,
    .unconditional_update = false,
    .create_on_update = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_runtime,
    .validate_update = &validate_runtime_update,
};

}  // namespace wherry::api
