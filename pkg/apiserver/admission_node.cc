// A new Node carries the taint that keeps pods away until the node controller has seen it ready
// (Kubernetes, TaintNodesByCondition admission).

#include "apiserver/admission.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";
constexpr std::string_view kNoSchedule = "NoSchedule";

class NodeTaint final : public Admission {
 public:
  Result<void> mutate(const AdmissionRequest& request) const override {
    const Resource& resource = *request.target.resource;
    bool node = resource.plural == "nodes" && resource.group.empty();
    if (!node || request.operation != Operation::kCreate) return {};
    json::Node taints = request.object.ensure_object("spec").ensure_array("taints");
    for (json::Node taint : taints.items()) {
      if (taint["key"].as_string() == kNotReady && taint["effect"].as_string() == kNoSchedule) {
        return {};
      }
    }
    json::Node taint = taints.push_object();
    taint.set("key", kNotReady);
    taint.set("effect", kNoSchedule);
    return {};
  }
};

}  // namespace

std::unique_ptr<Admission> node_taint() { return std::make_unique<NodeTaint>(); }

}  // namespace wherry::apiserver
