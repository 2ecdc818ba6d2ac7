// What claims get and may: a default class, growth where the class allows it, and to stay as long
// as something uses them. Wording: Kubernetes, DefaultStorageClass, PersistentVolumeClaimResize and
// StorageObjectInUseProtection admission.

#include <array>

#include "api/quantity.h"
#include "api/status.h"
#include "apiserver/admission.h"
#include "apiserver/default_class.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kClasses = "storageclasses.storage.k8s.io";
constexpr std::string_view kOldAnnotation = "volume.beta.kubernetes.io/storage-class";

bool is_core(const AdmissionRequest& request, std::string_view plural) {
  const Target& target = request.target;
  return target.resource->group.empty() && target.resource->plural == plural &&
         target.subresource.empty();
}

class DefaultStorageClass final : public Admission {
 public:
  explicit DefaultStorageClass(const store::Store& store) : store_(store) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    if (request.operation != Operation::kCreate || !is_core(request, "persistentvolumeclaims")) {
      return {};
    }
    json::Node claim = request.object;
    bool named =
        claim["spec"]["storageClassName"] || claim["metadata"]["annotations"][kOldAnnotation];
    if (named) return {};
    std::string name = default_class(store_, kClasses,
                                     {"storageclass.kubernetes.io/is-default-class",
                                      "storageclass.beta.kubernetes.io/is-default-class"});
    if (!name.empty()) claim.ensure_object("spec").set("storageClassName", name);
    return {};
  }

 private:
  const store::Store& store_;
};

class ClaimResize final : public Admission {
 public:
  explicit ClaimResize(const store::Store& store) : store_(store) {}

  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    if (request.operation != Operation::kUpdate || !is_core(request, "persistentvolumeclaims")) {
      return {};
    }
    auto size = [](json::Value claim) {
      return api::Quantity::from(claim["spec"]["resources"]["requests"]["storage"]);
    };
    if (size(request.before) >= size(request.after) || may_grow(request.after)) return {};
    return api::forbidden("persistentvolumeclaims", request.target.name,
                          "only dynamically provisioned pvc can be resized and the storageclass "
                          "that provisions the pvc must support resize");
  }

 private:
  bool may_grow(json::Value claim) const {
    std::string_view name = claim["metadata"]["annotations"][kOldAnnotation].as_string(
        claim["spec"]["storageClassName"].as_string());
    ObjectPtr found = name.empty() ? nullptr : store_.get(kClasses, "", name);
    if (found == nullptr) return false;
    json::Document document = found->document();
    return document.root()["allowVolumeExpansion"].as_bool();
  }

  const store::Store& store_;
};

struct Protected {
  std::string_view resource, finalizer;
};
constexpr std::array<Protected, 3> kProtected = {
    {{"persistentvolumeclaims", "kubernetes.io/pvc-protection"},
     {"persistentvolumes", "kubernetes.io/pv-protection"},
     {"volumeattributesclasses.storage.k8s.io", "kubernetes.io/vac-protection"}}};

// The protection controllers take the finalizer off.
class InUseProtection final : public Admission {
 public:
  Result<void> mutate(const AdmissionRequest& request) const override {
    if (request.operation != Operation::kCreate || !request.target.subresource.empty()) return {};
    const std::string resource = request.target.resource->group_resource();
    for (const Protected& one : kProtected) {
      if (one.resource == resource) hold(request.object, one.finalizer);
    }
    return {};
  }

 private:
  static void hold(json::Node object, std::string_view finalizer) {
    json::Node list = object.ensure_object("metadata").ensure_array("finalizers");
    for (json::Node item : list.items()) {
      if (item.as_string() == finalizer) return;
    }
    list.push(finalizer);
  }
};

}  // namespace

std::unique_ptr<Admission> in_use_protection() { return std::make_unique<InUseProtection>(); }

std::unique_ptr<Admission> default_storage_class(const store::Store& store) {
  return std::make_unique<DefaultStorageClass>(store);
}
std::unique_ptr<Admission> claim_resize(const store::Store& store) {
  return std::make_unique<ClaimResize>(store);
}

}  // namespace wherry::apiserver
