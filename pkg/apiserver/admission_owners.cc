// Who owns an object decides when it is deleted, so that only those change its owners who may
// delete it; and who holds up an owner's deletion may change that owner's finalizers. Wording:
// Kubernetes, OwnerReferencesPermissionEnforcement admission.

#include <set>

#include "api/status.h"
#include "apiserver/admission.h"
#include "apiserver/authorise.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

json::Value owners_of(json::Value object) { return object["metadata"]["ownerReferences"]; }

// Owners that the object begins to hold up.
std::vector<json::Value> newly_blocked(json::Value before, json::Value after) {
  std::set<std::string_view> blocked;
  for (json::Value owner : before.items()) {
    if (owner["blockOwnerDeletion"].as_bool()) blocked.insert(owner["uid"].as_string());
  }
  std::vector<json::Value> out;
  for (json::Value owner : after.items()) {
    bool blocks = owner["blockOwnerDeletion"].as_bool();
    if (blocks && !blocked.contains(owner["uid"].as_string())) out.push_back(owner);
  }
  return out;
}

class OwnerPermission final : public Admission {
 public:
  explicit OwnerPermission(const Authoriser* authoriser) : authoriser_(authoriser) {}

  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    if (!request.after || authoriser_ == nullptr || is_pod_status(request.target)) return {};
    json::Value before = owners_of(request.before);
    json::Value after = owners_of(request.after);
    if (same_part(before, after)) return {};
    // Who makes an object says whose it is.
    if (request.operation == Operation::kUpdate) TRY(check_delete(request));
    std::vector<json::Value> blocked = newly_blocked(before, after);
    if (blocked.empty() || may_finalise_everything(request.user)) return {};
    for (json::Value owner : blocked) TRY(check_finalise(request, owner));
    return {};
  }

 private:
  // Written all the time, by nodes, which cannot change owners there.
  static bool is_pod_status(const Target& target) {
    return target.resource->plural == "pods" && target.resource->group.empty() &&
           target.subresource == "status";
  }

  static Error refused(const AdmissionRequest& request, std::string_view why) {
    return api::forbidden(request.target.resource->group_resource(), name_of(request), why);
  }

  // "<nil>" stands where upstream prints the authoriser's error.
  Result<void> check(const AdmissionRequest& request, const Attributes& asked,
                     std::string_view what) const {
    std::string reason;
    if (authoriser_->allows(asked, &reason)) return {};
    return refused(request, fmt::format("{}: {}, <nil>", what, reason));
  }

  Result<void> check_delete(const AdmissionRequest& request) const {
    Attributes asked{.user = request.user, .verb = "delete"};
    asked.is_resource = true;
    asked.group = request.target.resource->group;
    asked.resource = request.target.resource->plural;
    asked.subresource = request.target.subresource;  // To the letter, where it makes no sense.
    asked.ns = request.target.ns;
    asked.name = request.target.name;
    return check(request, asked, "cannot set an ownerRef on a resource you can't delete");
  }

  // Then the owners need not be of kinds that are known.
  bool may_finalise_everything(const User& user) const {
    Attributes asked{.user = user, .verb = "update"};
    asked.is_resource = true;
    asked.group = "*";
    asked.resource = "*";
    asked.subresource = "finalizers";
    return authoriser_->allows(asked);
  }

  Result<void> check_finalise(const AdmissionRequest& request, json::Value owner) const {
    std::string_view api_version = owner["apiVersion"].as_string();
    std::string_view kind = owner["kind"].as_string();
    auto parts = split_once(api_version, "/");
    const Resource* resource =
        api::find_kind(parts ? parts->first : "", parts ? parts->second : api_version, kind);
    if (resource == nullptr) {
      return refused(
          request,
          fmt::format("cannot set blockOwnerDeletion in this case because cannot find RESTMapping "
                      "for APIVersion {} Kind {}: no matches for kind {} in version {}",
                      api_version, kind, quote(kind), quote(api_version)));
    }
    Attributes asked{.user = request.user, .verb = "update"};
    asked.is_resource = true;
    asked.group = resource->group;
    asked.resource = resource->plural;
    asked.subresource = "finalizers";
    if (resource->namespaced()) asked.ns = request.target.ns;
    asked.name = owner["name"].as_string();
    return check(request, asked,
                 "cannot set blockOwnerDeletion if an ownerReference refers to a resource you "
                 "can't set finalizers on");
  }

  const Authoriser* const authoriser_;
};

}  // namespace

std::unique_ptr<Admission> owner_permission(const Authoriser* authoriser) {
  return std::make_unique<OwnerPermission>(authoriser);
}

}  // namespace wherry::apiserver
