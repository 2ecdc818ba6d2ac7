// RuntimeClass: a Pod that names one gets what the class says about its cost and about where it can
// run. Wording: Kubernetes, RuntimeClass admission.

#include "api/status.h"
#include "apiserver/admission.h"

namespace wherry::apiserver {
namespace {

bool same_amounts(json::Value a, json::Value b) {
  if (a.size() != b.size()) return false;
  for (auto [name, amount] : a.members()) {
    if (amount.as_string() != b[name].as_string()) return false;
  }
  return true;
}

class RuntimeClassAdmission final : public Admission {
 public:
  explicit RuntimeClassAdmission(const store::Store& store) : store_(store) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_pod_create(request)) return {};
    json::Node spec = request.object.ensure_object("spec");
    std::string pod = name_of(request);
    std::string name(spec["runtimeClassName"].as_string());
    json::Document document;
    // As a client of upstream's puts it that is asked for nothing.
    if (spec["runtimeClassName"] && name.empty())
      return Error::make(Code::kUnknown, "resource name may not be empty");
    if (!name.empty()) {
      ObjectPtr found = store_.get("runtimeclasses.node.k8s.io", "", name);
      if (found == nullptr) {
        return api::forbidden("pods", pod,
                              fmt::format("pod rejected: RuntimeClass \"{}\" not found", name));
      }
      document = found->document();
    }
    json::Value runtime = document.root();
    TRY(set_overhead(pod, spec, runtime["overhead"]["podFixed"]));
    return set_scheduling(pod, spec, runtime["scheduling"]);
  }

  // Only once the amounts are known to be sound.
  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    json::Value spec = request.after["spec"];
    if (!is_pod_create(request) || spec["overhead"].empty()) return {};
    ObjectPtr found = store_.get("runtimeclasses.node.k8s.io", "",
                                 std::string(spec["runtimeClassName"].as_string()));
    if (found != nullptr && !found->document().root()["overhead"]["podFixed"].empty()) return {};
    return api::forbidden("pods", name_of(request),
                          "pod rejected: Pod Overhead set without corresponding RuntimeClass "
                          "defined Overhead");
  }

 private:
  static Result<void> set_overhead(const std::string& pod, json::Node spec, json::Value overhead) {
    json::Draft given(spec["overhead"]);
    json::Document now = given.freeze();
    if (overhead.empty()) return {};
    if (!now.root().empty() && !same_amounts(now.root(), overhead)) {
      return api::forbidden("pods", pod,
                            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined "
                            "Overhead");
    }
    spec.set("overhead", overhead);
    return {};
  }

  static Result<void> set_scheduling(const std::string& pod, json::Node spec,
                                     json::Value scheduling) {
    for (auto [key, value] : scheduling["nodeSelector"].members()) {
      json::Node selector = spec.ensure_object("nodeSelector");
      std::string_view there = selector[key].as_string();
      if (selector[key] && there != value.as_string()) {
        return api::forbidden(
            "pods", pod,
            fmt::format("conflict: runtimeClass.scheduling.nodeSelector[{}] = {}; "
                        "pod.spec.nodeSelector[{}] = {}",
                        key, value.as_string(), key, there));
      }
      selector.set(key, value);
    }
    for (json::Value toleration : scheduling["tolerations"].items()) {
      spec.ensure_array("tolerations").push(toleration);
    }
    return {};
  }

  const store::Store& store_;
};

}  // namespace

std::unique_ptr<Admission> runtime_class(const store::Store& store) {
  return std::make_unique<RuntimeClassAdmission>(store);
}

}  // namespace wherry::apiserver
