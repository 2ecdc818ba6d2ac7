// Admin access to devices: a claim may ask for it in namespaces that are marked for that. Wording:
// Kubernetes, ResourceClaim validation.

#include "api/field_error.h"
#include "apiserver/admission.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kGroup = "resource.k8s.io";
constexpr std::string_view kMark = "resource.kubernetes.io/admin-access";

// The spec of the claim that `object` is, or of those it is a template for.
struct Claimed {
  json::Value spec;
  api::Path path;
};

Claimed claimed(const Resource& resource, json::Value object) {
  if (resource.group != kGroup) return {};
  if (resource.plural == "resourceclaims") return {object["spec"], api::Path("spec")};
  if (resource.plural == "resourceclaimtemplates")
    return {object["spec"]["spec"], api::Path("spec").child("spec")};
  return {};
}

class AdminAccess final : public Admission {
 public:
  explicit AdminAccess(const store::Store& store) : store_(store) {}

  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    const Resource& resource = *request.target.resource;
    if (request.operation != Operation::kCreate) return {};
    const Claimed claim = claimed(resource, request.after);
    api::FieldErrors errors;
    size_t at = 0;
    for (json::Value one : claim.spec["devices"]["requests"].items()) {
      api::Path path = claim.path.child("devices").child("requests").index(at++);
      if (!one["exactly"]["adminAccess"].as_bool() || is_marked(request.target.ns)) continue;
      errors.forbidden(path.child("adminAccess"),
                       "admin access to devices requires the "
                       "`resource.kubernetes.io/admin-access: true` label on the containing "
                       "namespace");
    }
    if (errors.empty()) return {};
    return errors.to_error(resource.group, resource.kind, name_of(request));
  }

 private:
  bool is_marked(const std::string& ns) const {
    ObjectPtr object = store_.get("namespaces", "", ns);
    if (object == nullptr) return false;
    json::Document document = object->document();
    return document.root()["metadata"]["labels"][kMark].as_string() == "true";
  }

  const store::Store& store_;
};

}  // namespace

std::unique_ptr<Admission> admin_access(const store::Store& store) {
  return std::make_unique<AdminAccess>(store);
}

}  // namespace wherry::apiserver
