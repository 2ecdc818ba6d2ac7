// What a claim's status says of where devices are, and of single devices, is written by schedulers
// and drivers, each by a right of its own. Wording: Kubernetes, ResourceClaim, granular status
// authorisation.

#include <array>
#include <map>
#include <set>

#include "api/field_error.h"
#include "apiserver/admission.h"
#include "apiserver/authorise.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kGroup = "resource.k8s.io";
constexpr std::string_view kNodeName = "authentication.kubernetes.io/node-name";

// Drivers with a device whose state is added, changed or taken away.
std::set<std::string> changed_drivers(json::Value before, json::Value after) {
  using Device = std::array<std::string_view, 4>;
  auto by_device = [](json::Value list) {
    std::map<Device, json::Value> out;
    for (json::Value one : list.items()) {
      out[{one["driver"].as_string(), one["pool"].as_string(), one["device"].as_string(),
           one["shareID"].as_string()}] = one;
    }
    return out;
  };
  std::map<Device, json::Value> old = by_device(before), now = by_device(after);
  std::set<std::string> out;
  for (const auto& [device, state] : now) {
    auto found = old.find(device);
    if (found == old.end() || !json::equal(found->second, state)) out.emplace(device[0]);
  }
  for (const auto& [device, state] : old) {
    if (!now.contains(device)) out.emplace(device[0]);
  }
  return out;
}

// The one node that the claim's devices are on, if they are on one.
std::string_view claimed_node(json::Value claim) {
  json::Value terms = claim["status"]["allocation"]["nodeSelector"]["nodeSelectorTerms"];
  json::Value fields = terms.at(0)["matchFields"];
  json::Value field = fields.at(0);
  bool one = terms.size() == 1 && fields.size() == 1 && terms.at(0)["matchExpressions"].empty() &&
             field["key"].as_string() == "metadata.name" && field["operator"].as_string() == "In" &&
             field["values"].size() == 1;
  return one ? field["values"].at(0).as_string() : std::string_view();
}

// The node that a ServiceAccount's token says its Pod is on.
std::string_view node_of_pod(const User& user) {
  if (!user.name.starts_with("system:serviceaccount:")) return {};
  for (const auto& [key, values] : user.extra) {
    if (key == kNodeName && values.size() == 1) return values.front();
  }
  return {};
}

class ClaimStatus final : public Admission {
 public:
  explicit ClaimStatus(const Authoriser* authoriser) : authoriser_(authoriser) {}

  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    const Resource& resource = *request.target.resource;
    bool ours = resource.plural == "resourceclaims" && resource.group == kGroup &&
                request.target.subresource == "status" && request.operation == Operation::kUpdate;
    if (!ours || authoriser_ == nullptr) return {};
    api::FieldErrors errors;
    check_binding(request, errors);
    check_drivers(request, errors);
    if (errors.empty()) return {};
    return errors.to_error(resource.group, resource.kind, request.target.name);
  }

 private:
  static std::string_view verb_of(const AdmissionRequest& request) {
    return request.patches ? "patch" : "update";
  }

  static Attributes asking(const AdmissionRequest& request, std::string_view verb,
                           std::string_view part) {
    Attributes asked{.user = request.user, .verb = verb};
    asked.is_resource = true;
    asked.group = kGroup;
    asked.resource = "resourceclaims";
    asked.subresource = part;
    return asked;
  }

  void check_binding(const AdmissionRequest& request, api::FieldErrors& errors) const {
    json::Value before = request.before["status"], after = request.after["status"];
    if (same_part(before["allocation"], after["allocation"]) &&
        same_part(before["reservedFor"], after["reservedFor"])) {
      return;
    }
    std::string_view verb = verb_of(request);
    Result<void> allowed = authoriser_->check(asking(request, verb, "binding"));
    if (allowed.ok()) return;
    errors.forbidden(api::Path("status").child("allocation"),
                     fmt::format("changing status.allocation or status.reservedFor requires "
                                 "resource=\"resourceclaims/binding\", verb=\"{}\" permission: {}",
                                 verb, allowed.error().message()));
  }

  void check_drivers(const AdmissionRequest& request, api::FieldErrors& errors) const {
    std::vector<std::string> verbs = {fmt::format("arbitrary-node:{}", verb_of(request))};
    std::string_view node = claimed_node(request.after);
    if (!node.empty() && node == node_of_pod(request.user)) {
      verbs.insert(verbs.begin(), fmt::format("associated-node:{}", verb_of(request)));
    }
    for (const std::string& driver :
         changed_drivers(request.before["status"]["devices"], request.after["status"]["devices"])) {
      std::string refusal;
      bool allowed = false;
      for (const std::string& verb : verbs) {
        Attributes asked = asking(request, verb, "driver");
        asked.ns = request.target.ns;
        asked.name = driver;
        Result<void> checked = authoriser_->check(asked);
        allowed = allowed || checked.ok();
        if (!checked.ok() && refusal.empty()) refusal = checked.error().message();
      }
      if (allowed) continue;
      errors.forbidden(api::Path("status").child("devices"),
                       fmt::format("changing status.devices requires "
                                   "resource=\"resourceclaims/driver\", verb=\"[{}]\" permission: "
                                   "{}",
                                   join(verbs, " "), refusal));
    }
  }

  const Authoriser* const authoriser_;
};

}  // namespace

std::unique_ptr<Admission> claim_status(const Authoriser* authoriser) {
  return std::make_unique<ClaimStatus>(authoriser);
}

}  // namespace wherry::apiserver
