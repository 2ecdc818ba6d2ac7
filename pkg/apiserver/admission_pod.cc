// What every Pod gets that does not say otherwise: tolerations of a node in trouble, and a
// priority. Wording: Kubernetes, DefaultTolerationSeconds and Priority admission.

#include <array>

#include "api/pod_rules.h"
#include "api/status.h"
#include "apiserver/admission.h"

namespace wherry::apiserver {
namespace {

constexpr int64_t kTolerationSeconds = 300;
constexpr std::array<std::string_view, 2> kTroubles = {"node.kubernetes.io/not-ready",
                                                       "node.kubernetes.io/unreachable"};

bool tolerates(json::Node tolerations, std::string_view key) {
  for (json::Node toleration : tolerations.items()) {
    std::string_view at = toleration["key"].as_string();
    std::string_view effect = toleration["effect"].as_string();
    if ((at == key || at.empty()) && (effect == "NoExecute" || effect.empty())) return true;
  }
  return false;
}

bool is_pod(const AdmissionRequest& request) {
  return request.target.resource->plural == "pods" && request.target.resource->group.empty() &&
         request.target.subresource.empty();
}

// On an update too: a list that was written anew still has them.
class DefaultTolerations final : public Admission {
 public:
  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_pod(request)) return {};
    json::Node spec = request.object.ensure_object("spec");
    std::array<bool, kTroubles.size()> there{};
    for (size_t i = 0; i < kTroubles.size(); ++i) {
      there[i] = tolerates(spec["tolerations"], kTroubles[i]);
    }
    for (size_t i = 0; i < kTroubles.size(); ++i) {
      if (there[i]) continue;
      json::Node toleration = spec.ensure_array("tolerations").push_object();
      toleration.set("key", kTroubles[i]);
      toleration.set("operator", "Exists");
      toleration.set("effect", "NoExecute");
      toleration.set("tolerationSeconds", kTolerationSeconds);
    }
    return {};
  }
};

class AppArmorFields final : public Admission {
 public:
  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_pod_create(request)) return {};
    for (std::string& text : api::take_app_armor(request.object))
      request.warnings.push_back(std::move(text));
    return {};
  }
};

struct PriorityValue {
  std::string class_name;
  int64_t value = 0;
  std::string preemption = "PreemptLowerPriority";
};

PriorityValue value_of(const api::Object& object) {
  json::Document document = object.document();
  PriorityValue out;
  out.class_name = object.name();
  out.value = document.root()["value"].as_int();
  out.preemption = document.root()["preemptionPolicy"].as_string("PreemptLowerPriority");
  return out;
}

class PriorityAdmission final : public Admission {
 public:
  explicit PriorityAdmission(const store::Store& store) : store_(store) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_pod_create(request)) return {};
    json::Node spec = request.object.ensure_object("spec");
    std::string pod = name_of(request);
    std::string name(spec["priorityClassName"].as_string());
    std::optional<PriorityValue> found = name.empty() ? default_class() : find(name);
    if (!found) {
      return api::forbidden("pods", pod,
                            fmt::format("no PriorityClass with name {} was found", name));
    }
    json::Node given = spec["priority"];
    if (given && given.as_int() != found->value) {
      return api::forbidden(
          "pods", pod,
          fmt::format(
              "the integer value of priority ({}) must not be provided in pod spec; priority "
              "admission controller computed {} from the given PriorityClass name",
              given.as_int(), found->value));
    }
    if (!found->class_name.empty()) spec.set("priorityClassName", found->class_name);
    spec.set("priority", found->value);
    json::Node preemption = spec["preemptionPolicy"];
    if (preemption && preemption.as_string() != found->preemption) {
      return api::forbidden(
          "pods", pod,
          fmt::format("the string value of PreemptionPolicy ({}) must not be provided in pod spec; "
                      "priority admission controller computed {} from the given PriorityClass name",
                      preemption.as_string(), found->preemption));
    }
    spec.set("preemptionPolicy", found->preemption);
    return {};
  }

 private:
  std::optional<PriorityValue> find(const std::string& name) const {
    if (ObjectPtr object = store_.get("priorityclasses.scheduling.k8s.io", "", name)) {
      return value_of(*object);
    }
    // The two that every cluster has, before anybody has written them down.
    if (name == "system-cluster-critical") return PriorityValue{name, 2'000'000'000};
    if (name == "system-node-critical") return PriorityValue{name, 2'000'001'000};
    return std::nullopt;
  }

  std::optional<PriorityValue> default_class() const {
    std::optional<PriorityValue> best;
    store_.snapshot("priorityclasses.scheduling.k8s.io")
        ->scan("", "", "", [&best](const ObjectPtr& object) {
          json::Document document = object->document();
          if (!document.root()["globalDefault"].as_bool()) return true;
          PriorityValue value = value_of(*object);
          if (!best || value.value < best->value) best = value;
          return true;
        });
    return best ? best : PriorityValue{};
  }

  const store::Store& store_;
};

}  // namespace

std::unique_ptr<Admission> default_tolerations() { return std::make_unique<DefaultTolerations>(); }

std::unique_ptr<Admission> app_armor_fields() { return std::make_unique<AppArmorFields>(); }

std::unique_ptr<Admission> priority(const store::Store& store) {
  return std::make_unique<PriorityAdmission>(store);
}

}  // namespace wherry::apiserver
