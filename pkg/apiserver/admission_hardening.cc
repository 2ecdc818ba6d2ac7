// Rules for clusters whose users do not trust each other: whoever names an image must be let have
// it, whether a node has it or not; and nobody draws traffic for addresses outside to themselves.
// Wording: Kubernetes, AlwaysPullImages and DenyServiceExternalIPs admission.

#include <algorithm>
#include <set>

#include "api/status.h"
#include "apiserver/admission.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kAlways = "Always";

// Of its containers. `Spec` is a Value or a Node.
template <typename Spec>
std::set<std::string> images_of(Spec spec) {
  std::set<std::string> out;
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (auto container : spec[list].items()) out.emplace(container["image"].as_string());
  }
  return out;
}

class AlwaysPullImages final : public Admission {
 public:
  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_whole(request, "pods")) return {};
    json::Node spec = request.object["spec"];
    // A pod of before the rule stays as it is: its policies cannot be changed.
    if (request.before &&
        std::ranges::includes(images_of(request.before["spec"]), images_of(spec))) {
      return {};
    }
    for (const char* list : {"initContainers", "containers"}) {
      for (json::Node container : spec[list].items()) container.set("imagePullPolicy", kAlways);
    }
    for (json::Node volume : spec["volumes"].items()) {
      if (volume["image"].is_object()) volume["image"].set("pullPolicy", kAlways);
    }
    return {};
  }
};

// What a Service has already, it keeps.
class DenyExternalAddresses final : public Admission {
 public:
  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    if (!is_whole(request, "services")) return {};
    std::vector<std::string> before = request.before["spec"]["externalIPs"].strings();
    for (const std::string& address : request.after["spec"]["externalIPs"].strings()) {
      if (contains(before, address)) continue;
      return api::forbidden("services", name_of(request),
                            "Use of external IPs is denied by admission control");
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Admission> always_pull_images() { return std::make_unique<AlwaysPullImages>(); }
std::unique_ptr<Admission> deny_external_addresses() {
  return std::make_unique<DenyExternalAddresses>();
}

}  // namespace wherry::apiserver
