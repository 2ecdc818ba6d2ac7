// A pod's spec as a whole, and what an update of it may change.

#include <algorithm>
#include <set>

#include "api/go_pod.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/schema_core_v1.h"
#include "api/text_diff.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kRestartPolicies[] = {"Always", "OnFailure", "Never"};
constexpr std::string_view kDnsPolicies[] = {"ClusterFirstWithHostNet", "ClusterFirst", "Default",
                                             "None"};
constexpr size_t kNameserversMax = 3;
constexpr size_t kSearchesMax = 32;
constexpr size_t kSearchBytesMax = 2048;

void validate_searches(json::Value searches, const Path& path, FieldErrors& errors) {
  if (searches.size() > kSearchesMax) {
    errors.invalid(path, searches,
                   fmt::format("must not have more than {} search paths", kSearchesMax));
  }
  size_t at = 0;
  size_t bytes = 0;
  for (json::Value search : searches.items()) {
    Path item = path.index(at++);
    std::string_view text = search.as_string();
    bytes += text.size() + 1;
    std::string_view domain = text.ends_with('.') ? text.substr(0, text.size() - 1) : text;
    // Searches may hold underscores, as SRV names do.
    if (domain.empty() || is_dns_subdomain(replace_all(domain, "_", "a"))) continue;
    errors.invalid(
        item, text,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', "
        "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', "
        "regex used for validation is "
        "'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')");
  }
  if (bytes > kSearchBytesMax + 1) {
    errors.invalid(
        path, searches,
        fmt::format("must not have more than {} characters (including spaces) in the search list",
                    kSearchBytesMax));
  }
}

void validate_dns(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value config = spec["dnsConfig"];
  Path at = path.child("dnsConfig");
  if (spec["dnsPolicy"].as_string() == "None") {
    if (!config) {
      errors.required(at, "must provide `dnsConfig` when `dnsPolicy` is None");
      return;
    }
    if (config["nameservers"].empty()) {
      errors.required(at.child("nameservers"),
                      "must provide at least one DNS nameserver when `dnsPolicy` is None");
      return;
    }
  }
  json::Value servers = config["nameservers"];
  if (servers.size() > kNameserversMax) {
    errors.invalid(at.child("nameservers"), servers,
                   fmt::format("must not have more than {} nameservers", kNameserversMax));
  }
  size_t index = 0;
  for (json::Value server : servers.items()) {
    report(ip_problems(server.as_string()), at.child("nameservers").index(index++),
           server.as_string(), errors);
  }
  validate_searches(config["searches"], at.child("searches"), errors);
  index = 0;
  for (json::Value option : config["options"].items()) {
    if (option["name"].as_string().empty()) {
      errors.required(at.child("options").index(index), "must not be empty");
    }
    ++index;
  }
}

void validate_user_namespace(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value host_users = spec["hostUsers"];
  if (!host_users || host_users.as_bool()) return;
  constexpr const char* kText = "when `hostUsers` is false";
  if (spec["hostNetwork"].as_bool()) errors.forbidden(path.child("hostNetwork"), kText);
  if (spec["hostPID"].as_bool()) errors.forbidden(path.child("HostPID"), kText);
  if (spec["hostIPC"].as_bool()) errors.forbidden(path.child("HostIPC"), kText);
  each_container(spec, path, [&](json::Value container, const Path& at) {
    if (!container["volumeDevices"].empty()) errors.forbidden(at.child("volumeDevices"), kText);
  });
}

void validate_aliases(json::Value aliases, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value alias : aliases.items()) {
    Path item = path.index(at++);
    report(ip_problems(alias["ip"].as_string()), item.child("ip"), alias["ip"].as_string(), errors);
    size_t name_at = 0;
    for (json::Value name : alias["hostnames"].items()) {
      report(dns_subdomain_problems(name.as_string()), item.child("hostnames").index(name_at++),
             name.as_string(), errors);
    }
  }
}

template <typename Check>
void validate_text(json::Value value, Check check, const Path& path, FieldErrors& errors) {
  std::string_view text = value.as_string();
  if (!text.empty()) report(check(text), path, text, errors);
}

// A host name that is a whole one, whatever name and domain of the pod are.
void validate_hostname_override(json::Value spec, const Path& path, FieldErrors& errors) {
  constexpr size_t kBytesMax = 64;  // What the kernel keeps.
  json::Value name = spec["hostnameOverride"];
  if (!name) return;
  Path at = path.child("hostnameOverride");
  report(dns_subdomain_problems(name.as_string()), at, name.as_string(), errors);
  if (name.as_string().size() > kBytesMax) errors.too_long(at, kBytesMax);
  if (spec["setHostnameAsFQDN"].as_bool())
    errors.forbidden(at, "may not be specified when setHostnameAsFQDN is true");
  if (spec["hostNetwork"].as_bool())
    errors.forbidden(at, "may not be specified when hostNetwork is true");
}

void validate_lifetime(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value deadline = spec["activeDeadlineSeconds"];
  if (!deadline) return;
  int64_t seconds = deadline.as_int();
  if (seconds < 1 || seconds > INT32_MAX) {
    errors.invalid(path.child("activeDeadlineSeconds"), seconds,
                   "must be between 1 and 2147483647, inclusive");
  }
}

void validate_policies(json::Value spec, const Path& path, FieldErrors& errors) {
  std::string_view restart = spec["restartPolicy"].as_string();
  if (restart.empty()) {
    errors.required(path.child("restartPolicy"), "");
  } else {
    check_enum(restart, kRestartPolicies, path.child("restartPolicy"), errors);
  }
  std::string_view dns = spec["dnsPolicy"].as_string();
  if (dns.empty()) {
    errors.required(path.child("dnsPolicy"), "");
  } else {
    check_enum(dns, kDnsPolicies, path.child("dnsPolicy"), errors);
  }
}

}  // namespace

void validate_pod_spec(json::Value spec, const Path& path, FieldErrors& errors) {
  PodContext pod{spec, spec["hostNetwork"].as_bool()};
  validate_volumes(spec["volumes"], path.child("volumes"), errors);
  validate_pod_claims(spec["resourceClaims"], path.child("resourceClaims"), errors);
  validate_containers(pod, path, errors);
  validate_pod_resources(spec, path.child("resources"), errors);
  validate_policies(spec, path, errors);
  validate_labels(spec["nodeSelector"], path.child("nodeSelector"), errors);
  validate_pod_security(spec, path.child("securityContext"), errors);
  validate_host_processes(spec, path, errors);
  validate_dns(spec, path, errors);
  size_t at = 0;
  for (json::Value gate : spec["readinessGates"].items()) {
    Path item = path.child("readinessGates").index(at++).child("conditionType");
    std::string_view type = gate["conditionType"].as_string();
    report(qualified_name_problems(type), item, type, errors);
  }
  validate_pod_scheduling(spec, path, errors);
  validate_user_namespace(spec, path, errors);
  validate_text(spec["serviceAccountName"], &dns_subdomain_problems,
                path.child("serviceAccountName"), errors);
  validate_text(spec["nodeName"], &dns_subdomain_problems, path.child("nodeName"), errors);
  validate_lifetime(spec, path, errors);
  validate_hostname_override(spec, path, errors);
  validate_text(spec["hostname"], &dns_label_problems, path.child("hostname"), errors);
  validate_text(spec["subdomain"], &dns_label_problems, path.child("subdomain"), errors);
  validate_tolerations(spec["tolerations"], path.child("tolerations"), errors);
  validate_aliases(spec["hostAliases"], path.child("hostAliases"), errors);
  validate_text(spec["priorityClassName"], &dns_subdomain_problems, path.child("priorityClassName"),
                errors);
  validate_text(spec["runtimeClassName"], &dns_subdomain_problems, path.child("runtimeClassName"),
                errors);
  validate_overhead(spec["overhead"], path.child("overhead"), errors);
  validate_pod_system(spec, path, errors);
}

void validate_pod_template(json::Value pod_template, const Path& path, FieldErrors& errors) {
  json::Value meta = pod_template["metadata"];
  // Upstream's paths: the template's metadata is left out.
  validate_labels(meta["labels"], path.child("labels"), errors);
  validate_annotations(meta["annotations"], path.child("annotations"), errors);
  validate_pod_annotations(meta["annotations"], pod_template["spec"], path.child("annotations"),
                           errors);
  validate_pod_spec(pod_template["spec"], path.child("spec"), errors);
  validate_security_annotations(meta["annotations"], pod_template["spec"], path.child("spec"),
                                errors);
  if (!pod_template["spec"]["ephemeralContainers"].empty()) {
    errors.forbidden(path.child("spec").child("ephemeralContainers"),
                     "ephemeral containers not allowed in pod template");
  }
}

namespace {

// Copies what an update may change from `before` into `after`, so that what still differs is at
// fault.
void forgive_allowed(json::Value before, json::Node after) {
  for (const char* list : {"containers", "initContainers"}) {
    for (size_t i = 0; i < before[list].size(); ++i) {
      after[list].at(i).set("image", before[list].at(i)["image"]);
    }
  }
  after.set("activeDeadlineSeconds", before["activeDeadlineSeconds"]);
  after.set("tolerations", before["tolerations"]);
  if (before["terminationGracePeriodSeconds"].as_int() < 0 &&
      after["terminationGracePeriodSeconds"].as_int() == 1) {
    after.set("terminationGracePeriodSeconds", before["terminationGracePeriodSeconds"]);
  }
  after.set("schedulingGates", before["schedulingGates"]);
  // A pod that no scheduler looks at yet may still narrow where it wants to go.
  if (before["schedulingGates"].empty()) return;
  after.set("nodeSelector", before["nodeSelector"]);
  json::Value affinity = before["affinity"];
  if (!affinity && !after["affinity"]) return;
  json::Node wanted = after.ensure_object("affinity");
  wanted.set("nodeAffinity", affinity["nodeAffinity"]);
  if (!affinity && wanted.empty()) after.remove("affinity");
}

void validate_gates_update(json::Value before, json::Value after, const Path& path,
                           FieldErrors& errors) {
  size_t at = 0;
  for (json::Value gate : after.items()) {
    Path item = path.index(at++).child("name");
    std::string_view name = gate["name"].as_string();
    bool known = false;
    for (json::Value old : before.items()) known = known || old["name"].as_string() == name;
    if (known) continue;
    errors.forbidden(
        item, fmt::format("only deletion is allowed, but found new scheduling gate '{}'", name));
  }
}

// Terms are alternatives: none may come or go, each may ask for more.
void validate_terms_update(json::Value before, json::Value after, const Path& path,
                           FieldErrors& errors) {
  if (before.size() != after.size()) {
    json::Document shown = go_structs(schema::core_v1::kNodeSelectorTerm, after);
    errors.invalid(path, shown.root(),
                   "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
    return;
  }
  auto starts_with = [](json::Value longer, json::Value shorter) {
    if (longer.size() < shorter.size()) return false;
    for (size_t i = 0; i < shorter.size(); ++i) {
      if (!json::equal(longer.at(i), shorter.at(i))) return false;
    }
    return true;
  };
  for (size_t i = 0; i < after.size(); ++i) {
    json::Value now = after.at(i), old = before.at(i);
    if (starts_with(now["matchExpressions"], old["matchExpressions"]) &&
        starts_with(now["matchFields"], old["matchFields"]))
      continue;
    json::Document shown = go_struct(schema::core_v1::kNodeSelectorTerm, now);
    errors.invalid(path.index(i), shown.root(),
                   "only additions are allowed (no mutations or deletions)");
  }
}

// A gated pod may only be made more particular about its node.
void validate_narrowing(json::Value before, json::Value after, const Path& path,
                        FieldErrors& errors) {
  for (auto [key, value] : before["nodeSelector"].members()) {
    if (after["nodeSelector"][key].as_string() == value.as_string() && after["nodeSelector"][key])
      continue;
    errors.invalid(path.child("nodeSelector"), after["nodeSelector"],
                   "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    break;
  }
  constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  json::Value old = before["affinity"]["nodeAffinity"][kRequired]["nodeSelectorTerms"];
  json::Value now = after["affinity"]["nodeAffinity"][kRequired]["nodeSelectorTerms"];
  if (old.empty()) return;
  validate_terms_update(
      old, now,
      path.child("affinity").child("nodeAffinity").child(kRequired).child("nodeSelectorTerms"),
      errors);
}

void validate_image_update(std::string_view image, const Path& path, FieldErrors& errors) {
  if (image.empty()) {
    errors.required(path.child("image"), "");
  } else if (trim(image) != image) {
    errors.invalid(path.child("image"), image, "must not have leading or trailing whitespace");
  }
}

bool same_count(json::Value before, json::Value after, const char* list, const Path& spec,
                FieldErrors& errors) {
  if (before[list].size() == after[list].size()) return true;
  errors.forbidden(spec.child(list), "pod updates may not add or remove containers");
  return false;
}

// Existing tolerations stay; new ones may come.
void validate_added_tolerations(json::Value before, json::Value after, const Path& path,
                                FieldErrors& errors) {
  for (json::Value old : before.items()) {
    bool kept = false;
    for (json::Value now : after.items()) kept = kept || json::equal(old, now);
    // How long a toleration lasts may change.
    for (json::Value now : after.items()) {
      kept = kept || (old["key"].as_string() == now["key"].as_string() &&
                      old["effect"].as_string() == now["effect"].as_string() &&
                      old["operator"].as_string() == now["operator"].as_string() &&
                      old["value"].as_string() == now["value"].as_string());
    }
    if (!kept) {
      errors.forbidden(path,
                       "existing toleration can not be modified except its tolerationSeconds");
      return;
    }
  }
}

void validate_deadline_update(json::Value before, json::Value after, const Path& path,
                              FieldErrors& errors) {
  json::Value old = before["activeDeadlineSeconds"];
  json::Value now = after["activeDeadlineSeconds"];
  if (now && (now.as_int() < 0 || now.as_int() > INT32_MAX)) {
    errors.invalid(path, now.as_int(), "must be between 0 and 2147483647, inclusive");
    return;
  }
  if (now && old && now.as_int() > old.as_int()) {
    errors.invalid(path, now.as_int(), "must be less than or equal to previous value");
  }
  if (!now && old)
    errors.invalid(path, now, "must not update from a positive integer to nil value");
}

}  // namespace

void validate_pod_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path("spec");
  json::Value old_spec = before["spec"];
  json::Value new_spec = after["spec"];
  json::Value annotations = after["metadata"]["annotations"];
  validate_annotation_update(before["metadata"]["annotations"], annotations, errors);
  // Upstream goes over them once more.
  validate_pod_annotations(annotations, new_spec, Path("metadata").child("annotations"), errors);
  bool main_same = same_count(old_spec, new_spec, "containers", path, errors);
  if (!main_same || !same_count(old_spec, new_spec, "initContainers", path, errors)) return;
  for (const char* list : {"containers", "initContainers"}) {
    size_t at = 0;
    for (json::Value container : new_spec[list].items())
      validate_image_update(container["image"].as_string(), path.child(list).index(at++), errors);
  }
  validate_deadline_update(old_spec, new_spec, path.child("activeDeadlineSeconds"), errors);
  validate_added_tolerations(old_spec["tolerations"], new_spec["tolerations"],
                             path.child("tolerations"), errors);
  validate_gates_update(old_spec["schedulingGates"], new_spec["schedulingGates"],
                        path.child("schedulingGates"), errors);
  if (!old_spec["schedulingGates"].empty()) validate_narrowing(old_spec, new_spec, path, errors);
  json::Draft forgiven(new_spec);
  forgive_allowed(old_spec, forgiven.root());
  json::Draft old_copy(old_spec);
  if (json::equal(forgiven.root(), old_copy.root())) return;
  std::string text =
      "pod updates may not change fields other than "
      "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
      "`spec.tolerations` (only additions to existing tolerations),"
      "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously "
      "negative)";
  json::Document left = forgiven.freeze();
  json::Document was = go_pod_spec(old_spec);
  json::Document is = go_pod_spec(left.root());
  std::string difference = unified_diff(was.root().dump_pretty(), is.root().dump_pretty());
  if (!difference.empty()) text.append("\n").append(difference);
  errors.forbidden(path, text);
}

void validate_ephemeral_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path = Path("spec").child("ephemeralContainers");
  json::Value now = after["spec"]["ephemeralContainers"];
  if (before["metadata"]["annotations"]["kubernetes.io/config.mirror"]) {
    errors.forbidden(Path("[]"), "static pods do not support ephemeral containers");
    return;
  }
  for (json::Value old : before["spec"]["ephemeralContainers"].items()) {
    std::string_view name = old["name"].as_string();
    bool kept = false;
    for (json::Value one : now.items()) kept = kept || json::equal(old, one);
    if (!kept) {
      errors.forbidden(
          path, fmt::format("existing ephemeral containers \"{}\" may not be changed", name));
    }
  }
}

}  // namespace wherry::api
