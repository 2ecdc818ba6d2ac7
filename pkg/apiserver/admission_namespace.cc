// Nothing is created in a namespace that is missing or going; some namespaces stay for ever.
// Wording: Kubernetes, NamespaceLifecycle admission.

#include <algorithm>
#include <array>

#include "api/status.h"
#include "apiserver/admission.h"

namespace wherry::apiserver {
namespace {

constexpr std::array<std::string_view, 3> kImmortal = {"default", "kube-system", "kube-public"};

class NamespaceLifecycle final : public Admission {
 public:
  explicit NamespaceLifecycle(const store::Store& store) : store_(store) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    const Target& target = request.target;
    const Resource& resource = *target.resource;
    if (request.operation == Operation::kDelete) {
      bool immortal = resource.plural == "namespaces" && resource.group.empty() &&
                      std::find(kImmortal.begin(), kImmortal.end(), target.name) != kImmortal.end();
      if (!immortal) return {};
      return api::forbidden("namespaces", target.name, "this namespace may not be deleted");
    }
    if (request.operation != Operation::kCreate || !resource.namespaced()) return {};
    ObjectPtr ns = store_.get("namespaces", "", target.ns);
    if (ns == nullptr) return api::not_found("namespaces", target.ns);
    if (!ns->deleting()) return {};
    Error error = api::forbidden(
        resource.group_resource(), name_of(request),
        fmt::format("unable to create new content in namespace {} because it is being terminated",
                    target.ns));
    error.details().causes.push_back(
        {.reason = "NamespaceTerminating",
         .message = fmt::format("namespace {} is being terminated", target.ns),
         .field = "metadata.namespace"});
    return error;
  }

 private:
  const store::Store& store_;
};

}  // namespace

std::unique_ptr<Admission> namespace_lifecycle(const store::Store& store) {
  return std::make_unique<NamespaceLifecycle>(store);
}

}  // namespace wherry::apiserver
