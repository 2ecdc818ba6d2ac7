// What is in use does not go away: claims that pods use, volumes that are bound, attribute classes
// that claims or volumes name. Each bears a finalizer from its creation, which is taken off once it
// is being deleted and nobody uses it any more. Spec: Kubernetes documentation, Storage Object in
// Use Protection.

#include "controller/all.h"

namespace wherry::controller {
namespace {

struct Protection {
  std::string_view resource;
  std::string_view finalizer;
  bool (*in_use)(const Context& context, json::Value object);
};

bool uses_claim(json::Value pod, std::string_view claim) {
  json::Value spec = pod["spec"];
  // A pod that has no node yet is not started with a claim that goes away.
  if (spec["nodeName"].as_string().empty()) return false;
  for (json::Value volume : spec["volumes"].items()) {
    if (volume["persistentVolumeClaim"]["claimName"].as_string() == claim) return true;
    if (volume["ephemeral"] && fmt::format("{}-{}", pod["metadata"]["name"].as_string(),
                                           volume["name"].as_string()) == claim) {
      return true;
    }
  }
  return false;
}

bool claim_in_use(const Context& context, json::Value claim) {
  json::Value meta = claim["metadata"];
  for (const ObjectPtr& pod : context.lister("pods").list(meta["namespace"].as_string())) {
    json::Document document = pod->document();
    if (uses_claim(document.root(), meta["name"].as_string())) return true;
  }
  return false;
}

bool volume_in_use(const Context&, json::Value volume) {
  return volume["status"]["phase"].as_string() == "Bound";
}

bool class_in_use(const Context& context, json::Value object) {
  std::string_view name = object["metadata"]["name"].as_string();
  for (const char* resource : {"persistentvolumeclaims", "persistentvolumes"}) {
    for (const ObjectPtr& user : context.lister(resource).list("")) {
      json::Document document = user->document();
      json::Value root = document.root();
      if (root["spec"]["volumeAttributesClassName"].as_string() == name) return true;
      if (root["status"]["currentVolumeAttributesClassName"].as_string() == name) return true;
    }
  }
  return false;
}

class Protector : public Reconciler {
 public:
  Protector(const Context& context, const Protection& protection)
      : context_(context), protection_(protection), objects_(context.lister(protection.resource)) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr object = objects_.find(key.ns, key.name);
    if (object == nullptr) return Requeue::never();
    json::Document document = object->document();
    json::Draft draft(document.root());
    bool marked = false;
    std::vector<std::string> others;
    for (json::Value item : document.root()["metadata"]["finalizers"].items()) {
      if (item.as_string() == protection_.finalizer) {
        marked = true;
      } else {
        others.emplace_back(item.as_string());
      }
    }
    if (marked != object->deleting()) return Requeue::never();
    if (object->deleting() && protection_.in_use(context_, document.root()))
      return Requeue::never();
    json::Node list = draft.root()["metadata"].set_array("finalizers");
    for (const std::string& name : others) list.push(name);
    if (!marked) list.push(protection_.finalizer);
    json::Document changed = draft.freeze();
    TRY(ignore_not_found(context_.client.update(api::resource(protection_.resource), key.ns,
                                                key.name, changed.root())));
    return Requeue::never();
  }

 private:
  const Context& context_;
  const Protection& protection_;
  const Lister& objects_;
};

template <const Protection& kWhat>
class ProtectorOf final : public Protector {
 public:
  explicit ProtectorOf(const Context& context) : Protector(context, kWhat) {}
};

constexpr Protection kClaims = {"persistentvolumeclaims", "kubernetes.io/pvc-protection",
                                &claim_in_use};
constexpr Protection kVolumes = {"persistentvolumes", "kubernetes.io/pv-protection",
                                 &volume_in_use};
constexpr Protection kClasses = {"volumeattributesclasses.storage.k8s.io",
                                 "kubernetes.io/vac-protection", &class_in_use};

// The claims of a pod that is gone.
void claims_of_gone_pod(const Change& change, const Context&, Keys& out) {
  if (change.after != nullptr) return;
  json::Document document = change.before->document();
  for (json::Value volume : document.root()["spec"]["volumes"].items()) {
    std::string name(volume["persistentVolumeClaim"]["claimName"].as_string());
    if (volume["ephemeral"])
      name = fmt::format("{}-{}", change.before->name(), volume["name"].as_string());
    if (!name.empty()) out.push_back({std::string(change.before->ns()), std::move(name)});
  }
}

// The classes that a claim or volume named before it changed or went.
void classes_named_before(const Change& change, const Context&, Keys& out) {
  if (change.before == nullptr) return;
  json::Document document = change.before->document();
  json::Value root = document.root();
  for (std::string_view name : {root["spec"]["volumeAttributesClassName"].as_string(),
                                root["status"]["currentVolumeAttributesClassName"].as_string()}) {
    if (!name.empty()) out.push_back({"", std::string(name)});
  }
}

constexpr Watch kClaimWatches[] = {{.resource = "persistentvolumeclaims"},
                                   {.resource = "pods", .map = &claims_of_gone_pod}};
constexpr Watch kVolumeWatches[] = {{.resource = "persistentvolumes"}};
constexpr Watch kClassWatches[] = {
    {.resource = "volumeattributesclasses.storage.k8s.io"},
    {.resource = "persistentvolumeclaims", .map = &classes_named_before},
    {.resource = "persistentvolumes", .map = &classes_named_before}};

}  // namespace

constinit const ControllerSpec kClaimProtection = {
    .name = "pvc-protection-controller",
    .watches = kClaimWatches,
    .make = &make<ProtectorOf<kClaims>>,
};

constinit const ControllerSpec kVolumeProtection = {
    .name = "pv-protection-controller",
    .watches = kVolumeWatches,
    .make = &make<ProtectorOf<kVolumes>>,
};

constinit const ControllerSpec kAttributesProtection = {
    .name = "volumeattributesclass-protection-controller",
    .watches = kClassWatches,
    .make = &make<ProtectorOf<kClasses>>,
};

}  // namespace wherry::controller
