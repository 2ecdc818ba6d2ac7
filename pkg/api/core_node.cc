// Node, core/v1. Rules from the Kubernetes API reference, Node v1 core.

#include <algorithm>
#include <set>

#include "api/cells.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/network_rules.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"no"};
constexpr std::string_view kProxyVerbs[] = {"create", "delete", "get", "patch", "update"};
constexpr Subresource kSubresources[] = {
    {.name = "proxy", .kind = "NodeProxyOptions", .verbs = kProxyVerbs},
    status_of("Node"),
};

std::string unschedulable(json::Value object) {
  return object["spec"]["unschedulable"].as_bool() ? "true" : "false";
}
constexpr SelectableField kFields[] = {{.path = "spec.unschedulable", .value = &unschedulable}};

void status_cell(json::Value object, Time, json::Node cells) {
  std::string status = "Unknown";
  for (json::Value condition : object["status"]["conditions"].items()) {
    if (condition["type"].as_string() != "Ready") continue;
    status = condition["status"].as_string() == "True" ? "Ready" : "NotReady";
  }
  if (object["spec"]["unschedulable"].as_bool()) status += ",SchedulingDisabled";
  cells.push(status);
}

void roles_cell(json::Value object, Time, json::Node cells) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string_view> roles;
  for (auto [key, value] : object["metadata"]["labels"].members()) {
    if (key.starts_with(kPrefix) && key.size() > kPrefix.size())
      roles.insert(key.substr(kPrefix.size()));
    if (key == "kubernetes.io/role" && !value.as_string().empty()) roles.insert(value.as_string());
  }
  cells.push(roles.empty() ? "<none>" : join(roles, ","));
}

json::Value node_info(json::Value object) { return object["status"]["nodeInfo"]; }

void version_cell(json::Value object, Time, json::Node cells) {
  cells.push(node_info(object)["kubeletVersion"].as_string());
}

void address_cell(json::Value object, std::string_view type, json::Node cells) {
  for (json::Value address : object["status"]["addresses"].items()) {
    if (address["type"].as_string() == type) {
      cells.push(address["address"].as_string());
      return;
    }
  }
  cells.push("<none>");
}

void internal_ip_cell(json::Value object, Time, json::Node cells) {
  address_cell(object, "InternalIP", cells);
}
void external_ip_cell(json::Value object, Time, json::Node cells) {
  address_cell(object, "ExternalIP", cells);
}
void os_image_cell(json::Value object, Time, json::Node cells) {
  cells.push(text_or(node_info(object)["osImage"], "<unknown>"));
}
void kernel_cell(json::Value object, Time, json::Node cells) {
  std::string text = text_or(node_info(object)["kernelVersion"], "<unknown>");
  std::string_view architecture = node_info(object)["architecture"].as_string();
  if (!architecture.empty()) text += " (" + std::string(architecture) + ")";
  cells.push(text);
}
void runtime_cell(json::Value object, Time, json::Node cells) {
  cells.push(text_or(node_info(object)["containerRuntimeVersion"], "<unknown>"));
}

constexpr Column kColumns[] = {
    kNameColumn,
    {.name = "Status", .description = "Whether the node is ready for pods.", .cell = &status_cell},
    {.name = "Roles", .description = "Roles the node's labels name.", .cell = &roles_cell},
    kAgeColumn,
    {.name = "Version", .description = "Version of the node agent.", .cell = &version_cell},
    {.name = "Internal-IP",
     .description = "Address inside the cluster.",
     .priority = 1,
     .cell = &internal_ip_cell},
    {.name = "External-IP",
     .description = "Address from outside.",
     .priority = 1,
     .cell = &external_ip_cell},
    {.name = "OS-Image",
     .description = "Operating system the node runs.",
     .priority = 1,
     .cell = &os_image_cell},
    {.name = "Kernel-Version",
     .description = "Kernel of the node.",
     .priority = 1,
     .cell = &kernel_cell},
    {.name = "Container-Runtime",
     .description = "What runs the node's containers.",
     .priority = 1,
     .cell = &runtime_cell},
};

// A node offers what it has until told otherwise; the one pod range of old clients and the list of
// new ones say the same.
void apply_defaults(json::Node object) {
  json::Node spec = object["spec"];
  std::string range(spec["podCIDR"].as_string());
  if (range.empty() && !spec["podCIDRs"].empty()) {
    spec.set("podCIDR", spec["podCIDRs"].at(0));
  } else if (!range.empty() && spec["podCIDRs"].at(0).as_string() != range) {
    spec.set_array("podCIDRs").push(range);
  }
  json::Node status = object["status"];
  if (status["capacity"] && !status["allocatable"]) status.set("allocatable", status["capacity"]);
}

void validate_taints(json::Value taints, FieldErrors& errors) {
  static constexpr std::string_view kEffects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};
  std::set<std::string> seen;
  size_t at = 0;
  for (json::Value taint : taints.items()) {
    Path path = Path("metadata").child("taints").index(at++);
    std::string_view key = taint["key"].as_string();
    std::string_view effect = taint["effect"].as_string();
    for (const std::string& problem : qualified_name_problems(key)) {
      errors.invalid(path.child("key"), key, problem);
    }
    std::string_view value = taint["value"].as_string();
    for (const std::string& problem : label_value_problems(value)) {
      errors.invalid(path.child("value"), value, problem);
    }
    if (effect.empty()) {
      errors.required(path.child("effect"), "");
    } else if (std::find(std::begin(kEffects), std::end(kEffects), effect) == std::end(kEffects)) {
      errors.not_supported(path.child("effect"), effect, kEffects);
    }
    if (!seen.insert(std::string(key) + ":" + std::string(effect)).second) {
      json::Document shown = go_struct(schema::core_v1::kTaint, taint);
      FieldErrors repeated;
      repeated.duplicate(path, shown.root());
      add_detail(repeated, "taints must be unique by key and effect pair", errors);
    }
  }
}

void validate_ranges(json::Value ranges, FieldErrors& errors) {
  Path path = Path("spec").child("podCIDRs");
  size_t at = 0;
  size_t v6 = 0;
  for (json::Value range : ranges.items()) {
    std::string_view text = range.as_string();
    report(cidr_problems(text), path.index(at++), text, errors);
    v6 += text.find(':') != std::string_view::npos;
  }
  bool repeated = ranges.size() - v6 > 1 || v6 > 1;
  if (repeated || ranges.size() > 2) {
    errors.invalid(path, ranges, "may specify no more than one CIDR for each IP family");
  }
}

void validate_amounts(json::Value status, FieldErrors& errors) {
  for (const char* list : {"capacity", "allocatable"}) {
    for (auto [name, amount] : status[list].members()) {
      validate_resource_amount(name, amount, Path("status").child(list).child(name), errors);
    }
  }
}

void validate(json::Value object, FieldErrors& errors) {
  validate_taints(object["spec"]["taints"], errors);
  validate_amounts(object["status"], errors);
  validate_ranges(object["spec"]["podCIDRs"], errors);
}

std::vector<std::string> warnings(json::Value node) {
  std::vector<std::string> out;
  json::Value spec = node["spec"];
  if (!spec["externalID"].as_string().empty())
    out.emplace_back("spec.externalID: this field is deprecated, and is unused by Kubernetes");
  size_t at = 0;
  for (json::Value range : spec["podCIDRs"].items())
    warn_of_form(range.as_string(), Path("spec").child("podCIDRs").index(at++), out);
  return out;
}

// Where nodes took their configuration from once.
void prepare_create(json::Node node, Time) { node["spec"].remove("configSource"); }

void validate_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path spec("spec");
  std::string_view old_cidr = before["spec"]["podCIDR"].as_string();
  if (!old_cidr.empty() && old_cidr != after["spec"]["podCIDR"].as_string()) {
    errors.forbidden(spec.child("podCIDRs"),
                     "node updates may not change podCIDR except from \"\" to valid");
  }
  std::string_view old_id = before["spec"]["providerID"].as_string();
  if (!old_id.empty() && old_id != after["spec"]["providerID"].as_string()) {
    errors.forbidden(spec.child("providerID"),
                     "node updates may not change providerID except from \"\" to valid");
  }
}

}  // namespace

constinit const Resource kNodes = {
    .group = "",
    .version = "v1",
    .kind = "Node",
    .plural = "nodes",
    .singular = "node",
    .short_names = kShortNames,
    .scope = Scope::kCluster,
    .schema = &schema::core_v1::kNode,
    .columns = kColumns,
    .subresources = kSubresources,
    .selectable_fields = kFields,
    .status_subresource = true,
    .status_on_create = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &apply_defaults,
    .prepare_create = &prepare_create,
    .validate = &validate,
    .validate_update = &validate_update,
    .warnings = &warnings,
};

}  // namespace wherry::api
