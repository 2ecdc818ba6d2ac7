// Pods that have a node bear its zone and region as labels, from the moment they have it. Spec:
// Kubernetes, PodTopologyLabels admission.

#include <array>

#include "apiserver/admission.h"

namespace wherry::apiserver {
namespace {

constexpr std::array<std::string_view, 2> kLabels = {"topology.kubernetes.io/zone",
                                                     "topology.kubernetes.io/region"};

class PodTopology final : public Admission {
 public:
  explicit PodTopology(const store::Store& store) : store_(store) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    const Target& target = request.target;
    bool pods = target.resource->plural == "pods" && target.resource->group.empty();
    if (!pods || request.operation != Operation::kCreate) return {};
    // A binding's labels become the pod's.
    json::Node name = target.subresource.empty()        ? request.object["spec"]["nodeName"]
                      : target.subresource == "binding" ? request.object["target"]["name"]
                                                        : json::Node();
    if (name.as_string().empty()) return {};
    ObjectPtr node = store_.get("nodes", "", name.as_string());
    if (node == nullptr) return {};
    json::Document document = node->document();
    for (std::string_view label : kLabels) {
      json::Value value = document.root()["metadata"]["labels"][label];
      if (!value) continue;
      request.object.ensure_object("metadata").ensure_object("labels").set(label, value);
    }
    return {};
  }

 private:
  const store::Store& store_;
};

}  // namespace

std::unique_ptr<Admission> pod_topology(const store::Store& store) {
  return std::make_unique<PodTopology>(store);
}

}  // namespace wherry::apiserver
