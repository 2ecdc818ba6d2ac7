#include "api/pod_uses.h"

#include "base/log.h"  // fmt

namespace wherry::api {
namespace {

void add(std::vector<std::string>& list, json::Value name) {
  if (!name.as_string().empty()) list.emplace_back(name.as_string());
}

void add_container(json::Value container, PodUses& out) {
  for (json::Value source : container["envFrom"].items()) {
    add(out.secrets, source["secretRef"]["name"]);
    add(out.config_maps, source["configMapRef"]["name"]);
  }
  for (json::Value variable : container["env"].items()) {
    add(out.secrets, variable["valueFrom"]["secretKeyRef"]["name"]);
    add(out.config_maps, variable["valueFrom"]["configMapKeyRef"]["name"]);
  }
}

void add_volume(json::Value volume, std::string_view pod_name, PodUses& out) {
  for (auto [kind, source] : volume.members()) {
    // Whatever kind of source it is, these fields name a Secret.
    add(out.secrets, source["secretName"]);
    add(out.secrets, source["secretRef"]["name"]);
    add(out.secrets, source["nodePublishSecretRef"]["name"]);
  }
  add(out.config_maps, volume["configMap"]["name"]);
  add(out.claims, volume["persistentVolumeClaim"]["claimName"]);
  if (volume["csi"]) out.csi_volumes = true;
  if (volume["ephemeral"]) {
    out.ephemeral_claims = true;
    out.claims.push_back(fmt::format("{}-{}", pod_name, volume["name"].as_string()));
  }
  for (json::Value source : volume["projected"]["sources"].items()) {
    add(out.secrets, source["secret"]["name"]);
    add(out.config_maps, source["configMap"]["name"]);
    if (source["serviceAccountToken"]) out.token_projections = true;
  }
}

}  // namespace

PodUses uses_of(json::Value pod) {
  PodUses out;
  json::Value spec = pod["spec"];
  std::string_view name = pod["metadata"]["name"].as_string();
  out.service_account = spec["serviceAccountName"].as_string();
  for (json::Value secret : spec["imagePullSecrets"].items()) add(out.secrets, secret["name"]);
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (json::Value container : spec[list].items()) add_container(container, out);
  }
  for (json::Value volume : spec["volumes"].items()) add_volume(volume, name, out);
  for (json::Value claim : spec["resourceClaims"].items()) {
    add(out.resource_claims, claim["resourceClaimName"]);
    if (claim["resourceClaimTemplateName"]) out.resource_claim_templates = true;
  }
  for (json::Value claim : pod["status"]["resourceClaimStatuses"].items()) {
    add(out.resource_claims, claim["resourceClaimName"]);
  }
  return out;
}

std::vector<std::string> volume_secrets(json::Value volume, std::string_view claim_ns) {
  std::vector<std::string> out;
  auto put = [&out, claim_ns](json::Value name, json::Value ns) {
    if (name.as_string().empty()) return;
    std::string_view own = ns.as_string();
    out.push_back(fmt::format("{}/{}", own.empty() ? claim_ns : own, name.as_string()));
  };
  for (auto [kind, source] : volume["spec"].members()) {
    if (kind == "azureFile") put(source["secretName"], source["secretNamespace"]);
    for (const char* field : {"secretRef", "nodePublishSecretRef", "nodeStageSecretRef",
                              "controllerPublishSecretRef", "nodeExpandSecretRef"}) {
      put(source[field]["name"], source[field]["namespace"]);
    }
  }
  return out;
}

}  // namespace wherry::api
