#pragma once
// Rules on pod specs, shared by Pods and everything with a pod template: defaults that depend on
// other fields, validation with upstream's paths and wording, quality of service. Pure.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

// For the spec of a Pod or of a template.
void default_pod_spec(json::Node spec);
// Requests of a pod as a whole, where it has limits: what its containers ask for, else the limits.
void default_pod_resources(json::Node spec);
// What only a Pod itself gets: requests from limits, enableServiceLinks.
void default_pod(json::Node pod);

// `labels` are those of the pod or template (may be absent).
void validate_pod_spec(json::Value spec, const Path& path, FieldErrors& errors);
// Annotations that say what a field says by now agree with it.
void validate_security_annotations(json::Value annotations, json::Value spec, const Path& path,
                                   FieldErrors& errors);
// Puts what old annotations of a new pod say of AppArmor into the fields that came after them.
// Returns the warnings that are due for it.
std::vector<std::string> take_app_armor(json::Node pod);
// The annotations of a pod that name its containers.
void validate_pod_annotations(json::Value annotations, json::Value spec, const Path& path,
                              FieldErrors& errors);
// Writes what matchLabelKeys and mismatchLabelKeys of a new pod mean into the selectors beside
// them.
void resolve_label_keys(json::Node pod);
// Annotations that stay as a pod was created with them.
void validate_annotation_update(json::Value before, json::Value after, FieldErrors& errors);
// Leaves out what only features that are off give a meaning to.
void drop_disabled_pod_fields(json::Node spec);
// Texts for Warning headers on what a pod or template uses.
std::vector<std::string> pod_warnings(json::Value meta, json::Value spec, const Path& meta_path,
                                      const Path& path);
std::vector<std::string> template_warnings(json::Value pod_template, const Path& path);
// Why a label of nodes should not be used any more; empty for others.
std::string_view deprecated_label(std::string_view key);
// A PodTemplateSpec: its metadata's labels and annotations, and its spec.
void validate_pod_template(json::Value pod_template, const Path& path, FieldErrors& errors);
// An update of a Pod's spec: only what may change has changed.
void validate_pod_update(json::Value before, json::Value after, FieldErrors& errors);

// An update through ephemeralcontainers: those that are there stay as they are.
void validate_ephemeral_update(json::Value before, json::Value after, FieldErrors& errors);

// pods/resize: leaves in `after` the resources of its containers as sent, the rest as it was; and
// what such a change may not do.
void narrow_to_resize(json::Value before, json::Node after, Time now);
void validate_resize_update(json::Value before, json::Value after, FieldErrors& errors);

std::string_view qos_class(json::Value spec);  // "Guaranteed", "Burstable" or "BestEffort".

// The parts, each in its own file.
struct PodContext {
  json::Value spec;
  bool host_network = false;
};
void validate_volumes(json::Value volumes, const Path& path, FieldErrors& errors);
void validate_containers(const PodContext& pod, const Path& path, FieldErrors& errors);
void validate_pod_scheduling(json::Value spec, const Path& path, FieldErrors& errors);
void validate_pod_security(json::Value spec, const Path& path, FieldErrors& errors);
// `host_users` is that of the pod.
void validate_container_security(json::Value context, json::Value host_users, const Path& path,
                                 FieldErrors& errors);
// A container's env and envFrom; `volumes` are the pod's.
void validate_env(json::Value container, json::Value volumes, const Path& path,
                  FieldErrors& errors);
// The item of that name; absent when there is none.
json::Value find_named(json::Value list, std::string_view name);
// `claims` are those of the pod.
void validate_container_resources(json::Value resources, json::Value claims, const Path& path,
                                  FieldErrors& errors);
// What the pod as a whole may use, beside what its containers say.
void validate_pod_resources(json::Value spec, const Path& path, FieldErrors& errors);
// What the sandbox itself costs.
void validate_overhead(json::Value overhead, const Path& path, FieldErrors& errors);
// A pod of Windows containers that are processes of the host.
void validate_host_processes(json::Value spec, const Path& path, FieldErrors& errors);
void validate_pod_claims(json::Value claims, const Path& path, FieldErrors& errors);
void validate_pod_system(json::Value spec, const Path& path, FieldErrors& errors);
// Names of what containers may ask for, and of resources in general.
void validate_container_resource_name(std::string_view name, const Path& path, FieldErrors& errors);
void validate_resource_name(std::string_view name, const Path& path, FieldErrors& errors);
// LIMITS-like map on its own: names and amounts.
void validate_resource_amount(std::string_view name, json::Value amount, const Path& path,
                              FieldErrors& errors);
// A NodeSelector: terms, of which one has to match.
void validate_node_selector(json::Value selector, const Path& path, FieldErrors& errors);
void validate_tolerations(json::Value tolerations, const Path& path, FieldErrors& errors);

// A source of outside storage (iscsi, csi, ...), of a pod's volume or a PersistentVolume.
void validate_outside_source(std::string_view kind, json::Value source, const Path& path,
                             FieldErrors& errors);
bool has_initiator_prefix(std::string_view text);  // Of an iSCSI name.
void validate_csi_driver_name(std::string_view name, const Path& path, FieldErrors& errors);
// A PersistentVolumeClaimTemplate: its metadata and spec.
void validate_claim_template(json::Value claim, const Path& path, FieldErrors& errors);
void validate_claim_spec(json::Value spec, const Path& path, FieldErrors& errors);

bool has_backsteps(std::string_view text);  // A part of the path is "..".
// Paths: without steps upwards; relative too; not of a name that starts with dots either.
void validate_no_backsteps(std::string_view text, const Path& path, FieldErrors& errors);
void validate_local_descending_path(std::string_view text, const Path& path, FieldErrors& errors);
void validate_local_path(std::string_view text, const Path& path, FieldErrors& errors);

// References to fields of the pod and to resources of its containers, in environments and volumes.
void validate_field_reference(json::Value reference, std::span<const std::string_view> known,
                              const Path& path, FieldErrors& errors);
enum class ContainerName { kOptional, kNeeded };
void validate_resource_field(json::Value reference, ContainerName name, const Path& path,
                             FieldErrors& errors);

// Each container of any sort, with its path.
template <typename Visit>
void each_container(json::Value spec, const Path& path, Visit visit) {
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    size_t at = 0;
    for (json::Value container : spec[list].items()) {
      visit(container, path.child(list).index(at++));
    }
  }
}

// Adds one cause for each problem.
template <typename Problems>
void report(const Problems& problems, const Path& path, std::string_view value,
            FieldErrors& errors) {
  for (const auto& problem : problems) errors.invalid(path, value, problem);
}

// The same faults with a detail at the end of each message.
void add_detail(const FieldErrors& from, std::string_view detail, FieldErrors& errors);

// True when `value` is one of `known`; else says so at `path`.
bool check_enum(std::string_view value, std::span<const std::string_view> known, const Path& path,
                FieldErrors& errors);
void check_not_negative(json::Value value, const Path& path, FieldErrors& errors);
bool is_port(int64_t number);

}  // namespace wherry::api
