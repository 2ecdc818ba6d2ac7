// What depends on the operating system that a pod names, its claims of devices, and annotations
// that name its containers. Rules from the Kubernetes API reference, PodOS and
// PodResourceClaim.

#include <set>

#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/schema_core_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kSystems[] = {"linux", "windows"};
constexpr const char* kNotOnWindows = "cannot be set for a windows pod";
constexpr const char* kNotOnLinux = "windows options cannot be set for a linux pod";

template <typename Visit>
void each_container(json::Value spec, const Path& path, Visit visit) {
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    size_t at = 0;
    for (json::Value container : spec[list].items()) {
      visit(container, path.child(list).index(at++));
    }
  }
}

void validate_linux(json::Value spec, const Path& path, FieldErrors& errors) {
  Path security = path.child("securityContext");
  if (spec["securityContext"]["windowsOptions"])
    errors.forbidden(security.child("windowsOptions"), kNotOnLinux);
  each_container(spec, path, [&](json::Value container, const Path& at) {
    if (container["securityContext"]["windowsOptions"])
      errors.forbidden(at.child("securityContext").child("windowsOptions"), kNotOnLinux);
  });
}

void validate_windows_pod(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value context = spec["securityContext"];
  for (const char* field : {"hostPID", "hostIPC"}) {
    if (spec[field].as_bool()) errors.forbidden(path.child(field), kNotOnWindows);
  }
  if (spec["hostUsers"]) errors.forbidden(path.child("hostUsers"), kNotOnWindows);
  for (const char* field : {"appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup",
                            "fsGroupChangePolicy", "sysctls", "shareProcessNamespace", "runAsUser",
                            "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy"}) {
    bool share = std::string_view(field) == "shareProcessNamespace";
    json::Value value = share ? spec[field] : context[field];
    if (!value || (value.is_array() && value.empty())) continue;
    errors.forbidden(path.child("securityContext").child(field), kNotOnWindows);
  }
  each_container(spec, path, [&](json::Value container, const Path& at) {
    json::Value own = container["securityContext"];
    Path inner = at.child("securityContext");
    for (const char* field : {"appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities",
                              "readOnlyRootFilesystem", "privileged", "allowPrivilegeEscalation",
                              "procMount", "runAsUser", "runAsGroup"}) {
      if (own[field]) errors.forbidden(inner.child(field), kNotOnWindows);
    }
  });
}

// runtime/default, unconfined or localhost/PROFILE.
bool is_app_armor(std::string_view profile) {
  return profile.empty() || profile == "runtime/default" || profile == "unconfined" ||
         profile.starts_with("localhost/");
}

}  // namespace

void validate_pod_system(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value system = spec["os"];
  if (!system) return;
  std::string_view name = system["name"].as_string();
  if (name.empty()) {
    errors.required(path.child("os").child("name"), "");
    return;
  }
  if (!check_enum(name, kSystems, path.child("os"), errors)) return;
  name == "linux" ? validate_linux(spec, path, errors) : validate_windows_pod(spec, path, errors);
}

void validate_pod_claims(json::Value claims, const Path& path, FieldErrors& errors) {
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value claim : claims.items()) {
    Path item = path.index(at++);
    std::string_view name = claim["name"].as_string();
    if (name.empty()) {
      errors.required(item.child("name"), "");
    } else if (names.contains(name)) {
      errors.duplicate(item.child("name"), name);
    } else {
      report(dns_label_problems(name), item.child("name"), name, errors);
      names.insert(name);
    }
    json::Value direct = claim["resourceClaimName"];
    json::Value from = claim["resourceClaimTemplateName"];
    json::Document shown = go_struct(schema::core_v1::kPodResourceClaim, claim);
    if (direct && from) {
      errors.invalid(item, shown.root(),
                     "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be "
                     "specified");
    } else if (!direct && !from) {
      errors.invalid(item, shown.root(),
                     "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    }
    for (const char* field : {"resourceClaimName", "resourceClaimTemplateName"}) {
      if (json::Value text = claim[field])
        report(dns_subdomain_problems(text.as_string()), item.child(field), text.as_string(),
               errors);
    }
  }
}

void validate_pod_annotations(json::Value annotations, json::Value spec, const Path& path,
                              FieldErrors& errors) {
  constexpr std::string_view kAppArmor = "container.apparmor.security.beta.kubernetes.io/";
  for (auto [key, value] : annotations.members()) {
    if (!key.starts_with(kAppArmor)) continue;
    std::string_view name = std::string_view(key).substr(kAppArmor.size());
    bool found = false;
    each_container(spec, Path(), [&](json::Value container, const Path&) {
      found = found || container["name"].as_string() == name;
    });
    if (!found) errors.invalid(path.key(key), name, "container not found");
    std::string_view profile = value.as_string();
    if (!is_app_armor(profile)) {
      errors.invalid(path.key(key), profile,
                     fmt::format("invalid AppArmor profile name: {}", quote(profile)));
    }
  }
}

void drop_disabled_pod_fields(json::Node spec) {
  for (json::Node volume : spec["volumes"].items()) {
    for (json::Node source : volume["projected"]["sources"].items()) {
      source.remove("clusterTrustBundle");
      source.remove("podCertificate");
    }
  }
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    for (json::Node container : spec[list].items()) {
      json::Node lifecycle = container["lifecycle"];
      if (!lifecycle || !lifecycle.remove("stopSignal")) continue;
      if (lifecycle.empty()) container.remove("lifecycle");
    }
  }
}

}  // namespace wherry::api
