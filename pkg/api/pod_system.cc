// What depends on the operating system that a pod names, and its claims of devices. Rules from the
// Kubernetes API reference, PodOS and PodResourceClaim.

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
  auto unset = [&](json::Value owner, const Path& at, std::initializer_list<const char*> fields) {
    for (const char* field : fields) {
      json::Value value = owner[field];
      bool off = (value.is_array() && value.empty()) || (value.is_bool() && !value.as_bool());
      bool pointer = std::string_view(field) == "hostUsers";
      if (value && (!off || pointer)) errors.forbidden(at.child(field), kNotOnWindows);
    }
  };
  Path security = path.child("securityContext");
  unset(context, security, {"appArmorProfile", "seLinuxOptions"});
  unset(spec, path, {"hostUsers", "hostPID", "hostIPC"});
  unset(context, security, {"seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls"});
  if (spec["shareProcessNamespace"])
    errors.forbidden(path.child("shareProcessNamespace"), kNotOnWindows);
  unset(context, security,
        {"runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy"});
  if (spec["resources"])
    errors.forbidden(path.child("resources"), "may not be set for a windows pod");
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

void validate_host_processes(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value whole = spec["securityContext"]["windowsOptions"]["hostProcess"];
  bool some = false;
  bool all = true;
  each_container(spec, path, [&](json::Value container, const Path& at) {
    json::Value own = container["securityContext"]["windowsOptions"]["hostProcess"];
    if (own && whole && own.as_bool() != whole.as_bool()) {
      errors.invalid(at.child("securityContext").child("windowsOptions").child("hostProcess"), own,
                     fmt::format("pod hostProcess value must be identical if both are specified, "
                                 "was {}",
                                 whole.as_bool()));
    }
    bool on = own ? own.as_bool() : whole.as_bool();
    some = some || on;
    all = all && on;
  });
  if (!some) return;
  if (!all) {
    errors.invalid(path, "",
                   "If pod contains any hostProcess containers then all containers must be "
                   "HostProcess containers");
  }
  if (!spec["hostNetwork"].as_bool()) {
    json::Document off = json::Document::parse("false").value();
    errors.invalid(path.child("hostNetwork"), off.root(),
                   "hostNetwork must be true if pod contains any hostProcess containers");
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
