// An Ingress that names no class gets the default one. Spec: Kubernetes, DefaultIngressClass
// admission.

#include "apiserver/admission.h"
#include "apiserver/default_class.h"

namespace wherry::apiserver {
namespace {

class DefaultIngressClass final : public Admission {
 public:
  explicit DefaultIngressClass(const store::Store& store) : store_(store) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    const Target& target = request.target;
    bool ingress = target.resource->plural == "ingresses" && target.subresource.empty();
    if (!ingress || request.operation != Operation::kCreate) return {};
    json::Node object = request.object;
    bool named = object["spec"]["ingressClassName"] ||
                 object["metadata"]["annotations"]["kubernetes.io/ingress.class"];
    if (named) return {};
    std::string name = default_class(store_, "ingressclasses.networking.k8s.io",
                                     {"ingressclass.kubernetes.io/is-default-class"});
    if (!name.empty()) object.ensure_object("spec").set("ingressClassName", name);
    return {};
  }

 private:
  const store::Store& store_;
};

}  // namespace

std::unique_ptr<Admission> default_ingress_class(const store::Store& store) {
  return std::make_unique<DefaultIngressClass>(store);
}

}  // namespace wherry::apiserver
