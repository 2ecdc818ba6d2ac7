// Pods that ask for extended resources tolerate taints of the same names, so that nodes with such
// hardware can be kept for them. Spec: Kubernetes, ExtendedResourceToleration admission.

#include <set>

#include "api/placement.h"
#include "apiserver/admission.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kOperator = "Exists";
constexpr std::string_view kEffect = "NoSchedule";

std::set<std::string, std::less<>> extended_resources(json::Node spec) {
  std::set<std::string, std::less<>> out;
  for (const char* list : {"initContainers", "containers"}) {
    for (json::Node container : spec[list].items()) {
      for (auto [name, amount] : container["resources"]["requests"].members()) {
        if (api::is_extended_resource(name)) out.emplace(name);
      }
    }
  }
  return out;
}

// To the letter: one that tolerates more is no reason to leave it out.
bool is_there(json::Node tolerations, std::string_view key) {
  for (json::Node toleration : tolerations.items()) {
    if (toleration["key"].as_string() == key && toleration["operator"].as_string() == kOperator &&
        toleration["effect"].as_string() == kEffect && toleration["value"].as_string().empty()) {
      return true;
    }
  }
  return false;
}

class ExtendedResourceToleration final : public Admission {
 public:
  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_whole(request, "pods")) return {};
    json::Node spec = request.object.ensure_object("spec");
    for (const std::string& name : extended_resources(spec)) {
      if (is_there(spec["tolerations"], name)) continue;
      json::Node toleration = spec.ensure_array("tolerations").push_object();
      toleration.set("key", name);
      toleration.set("operator", kOperator);
      toleration.set("effect", kEffect);
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Admission> extended_resource_toleration() {
  return std::make_unique<ExtendedResourceToleration>();
}

}  // namespace wherry::apiserver
