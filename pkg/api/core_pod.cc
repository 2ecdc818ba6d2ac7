// Pod, core/v1: its row. The rules on its spec stand in pod_*.cc.

#include <set>

#include "api/cells.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/pod_status.h"
#include "api/quota.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "api/schema_policy_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"po"};
constexpr std::string_view kStreamVerbs[] = {"create", "get"};
constexpr std::string_view kGetVerb[] = {"get"};
constexpr std::string_view kProxyVerbs[] = {"create", "delete", "get", "patch", "update"};
void narrow_to_ephemeral(json::Value before, json::Node after, Time) {
  json::Draft sent(after["spec"]);
  after.set("spec", before["spec"]);
  after["spec"].set("ephemeralContainers", sent.root()["ephemeralContainers"]);
}

// What is left out of the status stays as it was, and so do the pod's owners: nodes that are older
// than the garbage collector send them back spoilt.
void narrow_to_status(json::Value before, json::Node after, Time) {
  json::Node meta = after.ensure_object("metadata");
  meta.remove("ownerReferences");
  json::Value owners = before["metadata"]["ownerReferences"];
  if (!owners.empty()) meta.set("ownerReferences", owners);
  json::Node status = after.ensure_object("status");
  if (status["qosClass"].as_string().empty()) status.set("qosClass", before["status"]["qosClass"]);
}

constexpr std::string_view kStatusReset[] = {"spec", "metadata.deletionTimestamp",
                                             "metadata.ownerReferences"};

constexpr Subresource kSubresources[] = {
    {.name = "attach", .kind = "PodAttachOptions", .verbs = kStreamVerbs},
    {.name = "binding",
     .kind = "Binding",
     .verbs = kCreateVerb,
     .schema = &schema::core_v1::kBinding},
    {.name = "ephemeralcontainers",
     .kind = "Pod",
     .verbs = kReadWriteVerbs,
     .narrow = &narrow_to_ephemeral,
     .validate_update = &validate_ephemeral_update},
    {.name = "eviction",
     .kind = "Eviction",
     .group = "policy",
     .version = "v1",
     .verbs = kCreateVerb,
     .schema = &schema::policy_v1::kEviction},
    {.name = "exec", .kind = "PodExecOptions", .verbs = kStreamVerbs},
    {.name = "log", .kind = "Pod", .verbs = kGetVerb},
    {.name = "portforward", .kind = "PodPortForwardOptions", .verbs = kStreamVerbs},
    {.name = "proxy", .kind = "PodProxyOptions", .verbs = kProxyVerbs},
    {.name = "resize",
     .kind = "Pod",
     .verbs = kReadWriteVerbs,
     .narrow = &narrow_to_resize,
     .validate_update = &validate_resize_update},
    {.name = "status",
     .kind = "Pod",
     .verbs = kReadWriteVerbs,
     .in_status = true,
     .narrow = &narrow_to_status,
     .reset_fields = kStatusReset},
};

std::string host_network(json::Value pod) {
  return pod["spec"]["hostNetwork"].as_bool() ? "true" : "false";
}
std::string pod_ips(json::Value pod) {
  std::vector<std::string_view> ips;
  for (json::Value ip : pod["status"]["podIPs"].items()) ips.push_back(ip["ip"].as_string());
  return join(ips, ",");
}
constexpr SelectableField kFields[] = {
    {.path = "spec.nodeName"},
    {.path = "spec.restartPolicy"},
    {.path = "spec.schedulerName"},
    {.path = "spec.serviceAccountName"},
    {.path = "spec.hostNetwork", .value = &host_network},
    {.path = "status.phase"},
    {.path = "status.podIP"},
    {.path = "status.podIPs", .value = &pod_ips},
    {.path = "status.nominatedNodeName"},
};

void ready_cell(json::Value pod, Time, json::Node cells) { cells.push(pod_ready_text(pod)); }
void status_cell(json::Value pod, Time, json::Node cells) { cells.push(pod_status_text(pod)); }
void restarts_cell(json::Value pod, Time now, json::Node cells) {
  cells.push(pod_restarts_text(pod, now));
}

void ip_cell(json::Value pod, Time, json::Node cells) {
  json::Value ips = pod["status"]["podIPs"];
  cells.push(text_or(ips.empty() ? pod["status"]["podIP"] : ips.at(0)["ip"], "<none>"));
}
void node_cell(json::Value pod, Time, json::Node cells) {
  cells.push(text_or(pod["spec"]["nodeName"], "<none>"));
}
void nominated_cell(json::Value pod, Time, json::Node cells) {
  cells.push(text_or(pod["status"]["nominatedNodeName"], "<none>"));
}

void gates_cell(json::Value pod, Time, json::Node cells) {
  json::Value gates = pod["spec"]["readinessGates"];
  if (gates.empty()) {
    cells.push("<none>");
    return;
  }
  size_t passed = 0;
  for (json::Value gate : gates.items()) {
    for (json::Value condition : pod["status"]["conditions"].items()) {
      if (condition["type"].as_string() != gate["conditionType"].as_string()) continue;
      if (condition["status"].as_string() == "True") ++passed;
      break;
    }
  }
  cells.push(fmt::format("{}/{}", passed, gates.size()));
}

constexpr Column kColumns[] = {
    kNameColumn,
    {.name = "Ready", .description = "Containers that are ready, of all.", .cell = &ready_cell},
    {.name = "Status", .description = "What the pod is doing, in a word.", .cell = &status_cell},
    {.name = "Restarts",
     .description = "How often its containers were restarted, and when last.",
     .cell = &restarts_cell},
    kAgeColumn,
    {.name = "IP", .description = "Address of the pod.", .priority = 1, .cell = &ip_cell},
    {.name = "Node", .description = "Node it runs on.", .priority = 1, .cell = &node_cell},
    {.name = "Nominated Node",
     .description = "Node that is being freed for it.",
     .priority = 1,
     .cell = &nominated_cell},
    {.name = "Readiness Gates",
     .description = "Conditions of others that it waits for.",
     .priority = 1,
     .cell = &gates_cell},
};

// Printers mark pods that will run no more.
void row_conditions(json::Value pod, json::Node row) {
  std::string_view phase = pod["status"]["phase"].as_string();
  if (phase != "Succeeded" && phase != "Failed") return;
  json::Node condition = row.set_array("conditions").push_object();
  condition.set("type", "Completed");
  condition.set("status", "True");
  condition.set("reason", phase);
  condition.set("message",
                phase == "Failed" ? "The pod failed." : "The pod has completed successfully.");
}

void prepare_create(json::Node pod, Time now) {
  drop_disabled_pod_fields(pod["spec"]);
  resolve_label_keys(pod);
  // A negative period has no meaning; upstream takes it for the shortest.
  if (pod["spec"]["terminationGracePeriodSeconds"].as_int() < 0)
    pod["spec"].set("terminationGracePeriodSeconds", 1);
  json::Node status = pod.set_object("status");
  status.set("phase", "Pending");
  json::Draft spec(pod["spec"]);
  json::Document frozen = spec.freeze();
  status.set("qosClass", qos_class(frozen.root()));
  if (!pod["spec"]["schedulingGates"].empty()) {
    json::Node condition = status.set_array("conditions").push_object();
    condition.set("type", "PodScheduled");
    condition.set("status", "False");
    condition.set("lastTransitionTime", format_time(now));
    condition.set("reason", "SchedulingGated");
    condition.set("message", "Scheduling is blocked due to non-empty scheduling gates");
  }
}

// Ephemeral containers come through their own subresource.
void prepare_update(json::Value before, json::Node after, Time) {
  json::Node spec = after["spec"];
  drop_disabled_pod_fields(spec);
  if (before["spec"]["ephemeralContainers"] || spec["ephemeralContainers"]) {
    spec.set("ephemeralContainers", before["spec"]["ephemeralContainers"]);
  }
}

void validate(json::Value pod, FieldErrors& errors) {
  Path spec("spec");
  validate_pod_annotations(pod["metadata"]["annotations"], pod["spec"],
                           Path("metadata").child("annotations"), errors);
  validate_pod_spec(pod["spec"], spec, errors);
  validate_security_annotations(pod["metadata"]["annotations"], pod["spec"], spec, errors);
  // Only the server gives a Pod its first resourceVersion: without one it is being created.
  bool creating = pod["metadata"]["resourceVersion"].as_string().empty();
  bool gated = !pod["spec"]["schedulingGates"].empty();
  if (creating && gated && !pod["spec"]["nodeName"].as_string().empty()) {
    errors.forbidden(spec.child("nodeName"),
                     "cannot be set until all schedulingGates have been cleared");
  }
  if (creating && !pod["spec"]["ephemeralContainers"].empty()) {
    errors.forbidden(spec.child("ephemeralContainers"), "cannot be set on create");
  }
}

std::vector<std::string> warnings(json::Value pod) {
  std::vector<std::string> out = hostname_warnings(pod["metadata"], "the Pod's hostname");
  for (std::string& text :
       pod_warnings(pod["metadata"], pod["spec"], Path("metadata"), Path("spec")))
    out.push_back(std::move(text));
  return out;
}

void validate_ips(json::Value ips, const Path& path, FieldErrors& errors) {
  int v4 = 0, v6 = 0;
  size_t index = 0;
  json::Draft shown = json::Draft::array();
  for (json::Value item : ips.items()) {
    std::string_view ip = item["ip"].as_string();
    shown.root().push_object().set("IP", ip);
    // Families are told apart before an address is found to be unsound.
    (ip.find(':') == std::string_view::npos ? v4 : v6) += 1;
    report(ip_problems(ip), path.index(index++), ip, errors);
  }
  if (v4 > 1 || v6 > 1) {
    json::Document list = shown.freeze();
    errors.invalid(path, list.root(), "may specify no more than one IP for each IP family");
  }
}

void validate_claim_statuses(json::Value statuses, json::Value claims, const Path& path,
                             FieldErrors& errors) {
  std::set<std::string_view> seen;
  size_t index = 0;
  for (json::Value status : statuses.items()) {
    Path at = path.index(index++);
    std::string_view name = status["name"].as_string();
    bool known = false;
    for (json::Value claim : claims.items()) known = known || claim["name"].as_string() == name;
    if (!known) {
      errors.invalid(at.child("name"), name,
                     "must match the name of an entry in `spec.resourceClaims`");
    }
    if (!seen.insert(name).second) errors.duplicate(at.child("name"), name);
    if (json::Value claim = status["resourceClaimName"])
      report(dns_subdomain_problems(claim.as_string()), at.child("resourceClaimName"),
             claim.as_string(), errors);
  }
}

void validate_generation(json::Value owner, const Path& path, FieldErrors& errors) {
  int64_t generation = owner["observedGeneration"].as_int();
  if (generation < 0) {
    errors.invalid(path.child("observedGeneration"), generation, "must be a non-negative integer");
  }
}

void validate_addresses(json::Value status, const Path& path, FieldErrors& errors) {
  validate_ips(status["podIPs"], path.child("podIPs"), errors);
  json::Value hosts = status["hostIPs"];
  std::string_view first = hosts.at(0)["ip"].as_string();
  Path at = path.child("hostIPs");
  if (!hosts.empty() && first != status["hostIP"].as_string())
    errors.invalid(at.index(0).child("ip"), first, "must be equal to `hostIP`");
  validate_ips(hosts, at, errors);
}

void validate_status_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path("status");
  json::Value status = after["status"];
  validate_addresses(status, path, errors);
  size_t index = 0;
  for (json::Value condition : status["conditions"].items()) {
    Path at = path.child("conditions").index(index++);
    std::string_view type = condition["type"].as_string();
    report(qualified_name_problems(type), at.child("Type"), type, errors);
    validate_generation(condition, at, errors);
  }
  validate_claim_statuses(status["resourceClaimStatuses"], after["spec"]["resourceClaims"],
                          path.child("resourceClaimStatuses"), errors);
  validate_generation(status, path, errors);
  std::string_view old_qos = before["status"]["qosClass"].as_string();
  std::string_view new_qos = after["status"]["qosClass"].as_string();
  if (!old_qos.empty() && !new_qos.empty() && old_qos != new_qos) {
    errors.invalid(Path("status").child("qosClass"), new_qos, "field is immutable");
  }
  std::string_view old_node = before["spec"]["nodeName"].as_string();
  std::string_view nominated = after["status"]["nominatedNodeName"].as_string();
  if (!nominated.empty()) {
    for (const std::string& problem : dns_subdomain_problems(nominated)) {
      errors.invalid(Path("status").child("nominatedNodeName"), nominated, problem);
    }
  }
  if (old_node != after["spec"]["nodeName"].as_string()) {
    errors.forbidden(Path("status").child("nodeName"), "may not be changed directly");
  }
}

}  // namespace

constinit const Resource kPods = {
    .group = "",
    .version = "v1",
    .kind = "Pod",
    .plural = "pods",
    .singular = "pod",
    .short_names = kShortNames,
    .categories = kAllCategory,
    .schema = &schema::core_v1::kPod,
    .columns = kColumns,
    .subresources = kSubresources,
    .selectable_fields = kFields,
    .graceful_delete = true,
    .status_subresource = true,
    .generation = true,
    .delete_gives_object = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &default_pod,
    .prepare_create = &prepare_create,
    .prepare_update = &prepare_update,
    .validate = &validate,
    .validate_update = &validate_pod_update,
    .validate_status_update = &validate_status_update,
    .warnings = &warnings,
    .row_conditions = &row_conditions,
    .quota = &kPodQuota,
};

}  // namespace wherry::api
