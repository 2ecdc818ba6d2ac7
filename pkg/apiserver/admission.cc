#include "apiserver/admission.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::apiserver {
namespace {

using Made = std::unique_ptr<Admission>;
using Parts = AdmissionParts;

struct Plugin {
  std::string_view name;  // Upstream's; empty: a part of the API itself, always there.
  bool on;                // By default.
  Made (*make)(const Parts&) = nullptr;  // Null: not built.
};

// In the order in which they run, which is upstream's.
constexpr Plugin kPlugins[] = {
    {"AlwaysAdmit", false},
    {"NamespaceAutoProvision", false},
    {"NamespaceLifecycle", true, [](const Parts& p) { return namespace_lifecycle(p.store); }},
    {"NamespaceExists", false},
    {"LimitPodHardAntiAffinityTopology", false},
    {"LimitRanger", true, [](const Parts& p) { return limit_ranger(p.store); }},
    {"ServiceAccount", true, [](const Parts& p) { return service_account(p.store); }},
    // DEVIATION: off by default upstream, where every installer turns it on; without it a node
    // could write what it likes of others.
    {"NodeRestriction", true,
     [](const Parts& p) { return node_restriction(p.store, p.authoriser); }},
    {"TaintNodesByCondition", true, [](const Parts&) { return node_taint(); }},
    {"AlwaysPullImages", false, [](const Parts&) { return always_pull_images(); }},
    {"ImagePolicyWebhook", false},
    {"PodSecurity", true,
     [](const Parts& p) { return pod_security(p.store, p.settings.pod_security); }},
    {"PodNodeSelector", false},
    {"", true, [](const Parts&) { return app_armor_fields(); }},
    {"Priority", true, [](const Parts& p) { return priority(p.store); }},
    {"DefaultTolerationSeconds", true, [](const Parts&) { return default_tolerations(); }},
    {"PodTolerationRestriction", false},
    {"EventRateLimit", false},
    {"ExtendedResourceToleration", false,
     [](const Parts&) { return extended_resource_toleration(); }},
    {"DefaultStorageClass", true, [](const Parts& p) { return default_storage_class(p.store); }},
    {"StorageObjectInUseProtection", true, [](const Parts&) { return in_use_protection(); }},
    {"PodGroupProtection", true},
    {"OwnerReferencesPermissionEnforcement", false,
     [](const Parts& p) { return owner_permission(p.authoriser); }},
    {"PersistentVolumeClaimResize", true, [](const Parts& p) { return claim_resize(p.store); }},
    {"RuntimeClass", true, [](const Parts& p) { return runtime_class(p.store); }},
    {"CertificateApproval", true,
     [](const Parts& p) { return certificate_approval(p.authoriser); }},
    {"CertificateSigning", true, [](const Parts& p) { return certificate_signing(p.authoriser); }},
    {"ClusterTrustBundleAttest", true},
    {"CertificateSubjectRestriction", true, [](const Parts&) { return certificate_subject(); }},
    {"DefaultIngressClass", true, [](const Parts& p) { return default_ingress_class(p.store); }},
    {"DenyServiceExternalIPs", false, [](const Parts&) { return deny_external_addresses(); }},
    {"PodTopologyLabels", true, [](const Parts& p) { return pod_topology(p.store); }},
    {"PodGroupWorkloadExists", true},
    {"NodeDeclaredFeatureValidator", true},
    {"JobValidation", true},
    {"PodResizeValidator", true},
    {"", true, [](const Parts& p) { return admin_access(p.store); }},
    {"", true, [](const Parts& p) { return claim_status(p.authoriser); }},
    {"", true, [](const Parts& p) { return role_escalation(p.authoriser); }},
    {"", true, [](const Parts&) { return certificate_requester(); }},
    {"MutatingAdmissionPolicy", true},
    {"MutatingAdmissionWebhook", true},
    {"ValidatingAdmissionPolicy", true},
    {"ValidatingAdmissionWebhook", true},
    // Last: what is refused elsewhere costs nothing.
    {"ResourceQuota", true,
     [](const Parts& p) { return resource_quota(p.store, p.clock, p.settings.limited_resources); }},
    {"AlwaysDeny", false},
};

const Plugin* find(std::string_view name) {
  const auto* found = std::ranges::find(kPlugins, name, &Plugin::name);
  return name.empty() || found == std::end(kPlugins) ? nullptr : found;
}

bool is_on(const Plugin& plugin, const AdmissionSettings& settings) {
  if (plugin.name.empty()) return true;
  if (contains(settings.disabled, plugin.name)) return false;
  return plugin.on || contains(settings.enabled, plugin.name);
}

}  // namespace

Result<void> AdmissionSettings::check() const {
  std::vector<std::string> wrong, both;
  for (const std::string& name : enabled) {
    const Plugin* plugin = find(name);
    if (plugin == nullptr || plugin->make == nullptr) {
      wrong.push_back(fmt::format("enable-admission-plugins plugin {} is {}", quote(name),
                                  plugin == nullptr ? "unknown" : "not built"));
    }
    if (contains(disabled, name)) both.push_back(name);
  }
  for (const std::string& name : disabled) {
    if (find(name) != nullptr) continue;
    wrong.push_back(fmt::format("disable-admission-plugins plugin {} is unknown", quote(name)));
  }
  if (!both.empty()) {
    wrong.push_back(
        fmt::format("[{}] in enable-admission-plugins and disable-admission-plugins overlapped",
                    join(both, " ")));
  }
  return wrong.empty() ? Result<void>() : Error::invalid("{}", all_faults(wrong));
}

PluginKnown find_plugin(std::string_view name) {
  const Plugin* plugin = find(name);
  if (plugin == nullptr) return PluginKnown::kUnknown;
  return plugin->make == nullptr ? PluginKnown::kNotBuilt : PluginKnown::kBuilt;
}

std::string all_faults(const std::vector<std::string>& faults) {
  std::string all = join(faults, ", ");
  return faults.size() == 1 ? all : "[" + all + "]";
}

std::vector<std::unique_ptr<Admission>> admissions_of(const AdmissionParts& parts) {
  std::vector<std::unique_ptr<Admission>> all;
  for (const Plugin& plugin : kPlugins) {
    if (plugin.make != nullptr && is_on(plugin, parts.settings)) all.push_back(plugin.make(parts));
  }
  return all;
}

std::string name_of(const AdmissionRequest& request) {
  if (!request.target.name.empty()) return request.target.name;
  auto name_in = [](auto meta) {
    std::string_view name = meta["name"].as_string();
    return std::string(name.empty() ? meta["generateName"].as_string() : name);
  };
  return request.after ? name_in(request.after["metadata"]) : name_in(request.object["metadata"]);
}

bool is_whole(const AdmissionRequest& request, std::string_view plural) {
  const Target& target = request.target;
  return target.resource->plural == plural && target.resource->group.empty() &&
         target.subresource.empty() && request.operation != Operation::kDelete;
}

bool is_pod_create(const AdmissionRequest& request) {
  return request.operation == Operation::kCreate && is_whole(request, "pods");
}

bool same_part(json::Value before, json::Value after) {
  return (before.empty() && after.empty()) || json::equal(before, after);
}

}  // namespace wherry::apiserver
