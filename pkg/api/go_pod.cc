#include "api/go_pod.h"

#include <string_view>

#include "api/go_text.h"
#include "api/schema_core_v1.h"

namespace wherry::api {
namespace {

constexpr std::string_view kSpecFields[] = {"Volumes",
                                            "InitContainers",
                                            "Containers",
                                            "EphemeralContainers",
                                            "RestartPolicy",
                                            "TerminationGracePeriodSeconds",
                                            "ActiveDeadlineSeconds",
                                            "DNSPolicy",
                                            "NodeSelector",
                                            "ServiceAccountName",
                                            "AutomountServiceAccountToken",
                                            "NodeName",
                                            "SecurityContext",
                                            "ImagePullSecrets",
                                            "Hostname",
                                            "Subdomain",
                                            "SetHostnameAsFQDN",
                                            "Affinity",
                                            "SchedulerName",
                                            "Tolerations",
                                            "HostAliases",
                                            "PriorityClassName",
                                            "Priority",
                                            "PreemptionPolicy",
                                            "DNSConfig",
                                            "ReadinessGates",
                                            "RuntimeClassName",
                                            "Overhead",
                                            "EnableServiceLinks",
                                            "TopologySpreadConstraints",
                                            "OS",
                                            "SchedulingGates",
                                            "ResourceClaims",
                                            "Resources",
                                            "HostnameOverride",
                                            "SchedulingGroup"};
constexpr std::string_view kHostFields[] = {"HostNetwork", "HostPID", "HostIPC",
                                            "ShareProcessNamespace", "HostUsers"};
constexpr std::string_view kSecurityFields[] = {"SELinuxOptions",
                                                "WindowsOptions",
                                                "RunAsUser",
                                                "RunAsGroup",
                                                "RunAsNonRoot",
                                                "SupplementalGroups",
                                                "SupplementalGroupsPolicy",
                                                "FSGroup",
                                                "FSGroupChangePolicy",
                                                "Sysctls",
                                                "SeccompProfile",
                                                "AppArmorProfile",
                                                "SELinuxChangePolicy"};

void write_spec(json::Value spec, json::Node out) {
  json::Document flat = go_struct(schema::core_v1::kPodSpec, spec);
  json::Value from = flat.root();
  for (std::string_view field : kSpecFields) {
    if (field == "SecurityContext" && from[field].is_object()) {
      json::Node context = out.set_object(field);
      for (std::string_view host : kHostFields) context.set(host, from[host]);
      for (std::string_view own : kSecurityFields) context.set(own, from[field][own]);
    } else {
      out.set(field, from[field]);
    }
  }
}

}  // namespace

json::Document go_pod_spec(json::Value spec) {
  json::Draft draft;
  write_spec(spec, draft.root());
  return draft.freeze();
}

json::Document go_pod_template(json::Value pod_template) {
  json::Draft draft;
  for (auto [field, value] : pod_template["metadata"].members()) draft.root().set(field, value);
  write_spec(pod_template["spec"], draft.root().set_object("Spec"));
  return draft.freeze();
}

}  // namespace wherry::api
