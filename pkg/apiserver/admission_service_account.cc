// Pods run as a ServiceAccount: its name, its pull secrets, and the volume with token, CA and
// namespace at the path client libraries look at. Wording: Kubernetes, ServiceAccount admission.

#include "api/pod_uses.h"
#include "api/status.h"
#include "apiserver/admission.h"
#include "base/random.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kMountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
constexpr int64_t kTokenSeconds = 3607;  // An hour and a bit, as upstream asks for.
constexpr int64_t kMode = 0644;

bool mounts_token(json::Node container) {
  for (json::Node mount : container["volumeMounts"].items()) {
    if (mount["mountPath"].as_string() == kMountPath) return true;
  }
  return false;
}

void add_volume(json::Node spec, std::string_view name) {
  json::Node volume = spec.ensure_array("volumes").push_object();
  volume.set("name", name);
  json::Node projected = volume.set_object("projected");
  json::Node sources = projected.set_array("sources");
  json::Node token = sources.push_object().set_object("serviceAccountToken");
  token.set("expirationSeconds", kTokenSeconds);
  token.set("path", "token");
  json::Node map = sources.push_object().set_object("configMap");
  map.set("name", "kube-root-ca.crt");
  json::Node item = map.set_array("items").push_object();
  item.set("key", "ca.crt");
  item.set("path", "ca.crt");
  json::Node downward = sources.push_object().set_object("downwardAPI");
  json::Node file = downward.set_array("items").push_object();
  file.set("path", "namespace");
  json::Node field = file.set_object("fieldRef");
  field.set("apiVersion", "v1");
  field.set("fieldPath", "metadata.namespace");
  projected.set("defaultMode", kMode);
}

void mount_token(json::Node spec) {
  std::string name = "kube-api-access-" + random_suffix(5);
  bool used = false;
  for (const char* list : {"initContainers", "containers"}) {
    for (json::Node container : spec[list].items()) {
      if (mounts_token(container)) continue;
      json::Node mount = container.ensure_array("volumeMounts").push_object();
      mount.set("name", name);
      mount.set("readOnly", true);
      mount.set("mountPath", kMountPath);
      used = true;
    }
  }
  if (used) add_volume(spec, name);
}

class ServiceAccountAdmission final : public Admission {
 public:
  explicit ServiceAccountAdmission(const store::Store& store) : store_(store) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_pod_create(request)) return {};
    json::Node pod = request.object;
    json::Node spec = pod.ensure_object("spec");
    std::string name = name_of(request);
    if (pod["metadata"]["annotations"][kMirror]) {
      json::Document mirror = json::Draft(pod).freeze();
      api::PodUses uses = api::uses_of(mirror.root());
      const char* wrong = !uses.service_account.empty() ? "reference service accounts"
                          : !uses.secrets.empty()       ? "reference secrets"
                          : uses.token_projections ? "use ServiceAccountToken volume projections"
                                                   : nullptr;
      if (wrong == nullptr) return {};
      return api::forbidden("pods", name, fmt::format("a mirror pod may not {}", wrong));
    }
    if (spec["serviceAccountName"].as_string().empty()) {
      std::string_view old = spec["serviceAccount"].as_string();
      spec.set("serviceAccountName", old.empty() ? std::string("default") : std::string(old));
    }
    std::string account_name(spec["serviceAccountName"].as_string());
    spec.set("serviceAccount", account_name);
    ObjectPtr account = store_.get("serviceaccounts", request.target.ns, account_name);
    if (account == nullptr) {
      return api::forbidden(
          "pods", name,
          fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found",
                      request.target.ns, account_name, account_name));
    }
    json::Document document = account->document();
    json::Value from = document.root();
    json::Node wish = spec["automountServiceAccountToken"];
    bool automount = wish ? wish.as_bool(true) : from["automountServiceAccountToken"].as_bool(true);
    if (automount) mount_token(spec);
    if (spec["imagePullSecrets"].empty() && !from["imagePullSecrets"].empty()) {
      spec.set("imagePullSecrets", from["imagePullSecrets"]);
    }
    return {};
  }

 private:
  const store::Store& store_;
};

}  // namespace

std::unique_ptr<Admission> service_account(const store::Store& store) {
  return std::make_unique<ServiceAccountAdmission>(store);
}

}  // namespace wherry::apiserver
