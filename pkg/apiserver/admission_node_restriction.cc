// NodeRestriction: what a node writes is about itself and about the pods that are bound to it.
// Wording: Kubernetes, NodeRestriction admission. Components of this process are no nodes here.

#include <algorithm>
#include <array>
#include <set>

#include "api/pod_uses.h"
#include "api/status.h"
#include "apiserver/admission.h"
#include "apiserver/authorise.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kMirror = "kubernetes.io/config.mirror";

// What a node may label itself with among the labels of Kubernetes' own domains.
constexpr std::array<std::string_view, 12> kNodeLabels = {
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/instance-type",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
};

bool in_domain(std::string_view text, std::string_view domain) {
  if (text == domain) return true;
  return text.ends_with(domain) && text[text.size() - domain.size() - 1] == '.';
}

bool label_is_forbidden(std::string_view key) {
  auto parts = split_once(key, "/");
  if (!parts) return false;
  std::string_view domain = parts->first;
  if (in_domain(domain, "node-restriction.kubernetes.io")) return true;
  if (!in_domain(domain, "kubernetes.io") && !in_domain(domain, "k8s.io")) return false;
  if (in_domain(domain, "kubelet.kubernetes.io") || in_domain(domain, "node.kubernetes.io")) {
    return false;
  }
  return std::find(kNodeLabels.begin(), kNodeLabels.end(), key) == kNodeLabels.end();
}

// The labels that are added, changed or removed and may not be.
std::string forbidden_labels(json::Value before, json::Value after) {
  std::set<std::string> keys;
  auto collect = [&keys](json::Value from, json::Value other) {
    for (auto [key, value] : from.members()) {
      bool same = other[key] && other[key].as_string() == value.as_string();
      if (!same && label_is_forbidden(key)) keys.emplace(key);
    }
  };
  collect(before, after);
  collect(after, before);
  return join(keys, ", ");
}

// One write of a node. Empty texts are no objection.
struct Wish {
  const AdmissionRequest& request;
  std::string node;
  const store::Store& store;
  json::Value after;
};

using Objection = std::string;

Objection owner_objection(const Wish& wish) {
  json::Value owners = wish.after["metadata"]["ownerReferences"];
  std::string_view kind = owners.empty() ? "an" : owners.size() > 1 ? "a single" : "";
  json::Value owner = owners.at(0);
  std::string who = fmt::format("node {}", quote(wish.node));
  // tidy: allow(kind): of the owner that a mirror pod must have.
  bool itself = owner["apiVersion"].as_string() == "v1" && owner["kind"].as_string() == "Node" &&
                owner["name"].as_string() == wish.node;
  if (kind.empty() && !itself) kind = "an";
  if (kind.empty() && !owner["controller"].as_bool()) kind = "a controller";
  if (!kind.empty()) {
    return fmt::format("{} can only create pods with {} owner reference set to itself", who, kind);
  }
  if (owner["blockOwnerDeletion"].as_bool()) {
    return who + " must not set blockOwnerDeletion on an owner reference";
  }
  ObjectPtr node = wish.store.get("nodes", "", wish.node);
  if (node == nullptr) return fmt::format("nodes {} not found", quote(wish.node));
  if (owner["uid"].as_string() == node->uid()) return {};
  return fmt::format("node {} UID mismatch: expected {} got {}", wish.node,
                     owner["uid"].as_string(), node->uid());
}

// A pod that a node shows to the cluster names nothing that it could be given for that.
Objection use_objection(const Wish& wish) {
  api::PodUses uses = api::uses_of(wish.after);
  const char* what = !uses.service_account.empty() ? "a service account"
                     : !uses.secrets.empty()       ? "secrets"
                     : !uses.config_maps.empty()   ? "configmaps"
                     : uses.ephemeral_claims ? "persistentvolumeclaims (via ephemeral volumes)"
                     : !uses.claims.empty()  ? "persistentvolumeclaims"
                     : uses.csi_volumes      ? "csidrivers (via CSI volumes)"
                     : !wish.after["spec"]["resourceClaims"].empty() ? "resourceclaims"
                                                                     : nullptr;
  if (what == nullptr) return {};
  return fmt::format("node {} can not create pods that reference {}", quote(wish.node), what);
}

Objection new_pod(const Wish& wish) {
  if (!wish.after["metadata"]["annotations"][kMirror]) {
    return fmt::format("pod does not have {} annotation, node {} can only create mirror pods",
                       quote(kMirror), quote(wish.node));
  }
  if (wish.after["spec"]["nodeName"].as_string() != wish.node) {
    return fmt::format("node {} can only create pods with spec.nodeName set to itself",
                       quote(wish.node));
  }
  Objection owner = owner_objection(wish);
  return owner.empty() ? use_objection(wish) : owner;
}

Objection pod_status(const Wish& wish) {
  json::Value before = wish.request.before;
  if (before["spec"]["nodeName"].as_string() != wish.node) {
    return fmt::format(
        "node {} can only update pod status for pods with spec.nodeName set to "
        "itself",
        quote(wish.node));
  }
  auto same = [&](const char* part, const char* field) {
    json::Value a = before[part][field], b = wish.after[part][field];
    return (a.empty() && b.empty()) || json::equal(a, b);
  };
  if (!same("metadata", "labels")) {
    return fmt::format("node {} cannot update labels through pod status", quote(wish.node));
  }
  if (!same("status", "resourceClaimStatuses")) {
    return fmt::format("node {} cannot update resource claim statues", quote(wish.node));
  }
  return {};
}

Objection pod(const Wish& wish) {
  if (wish.request.operation == Operation::kCreate) return new_pod(wish);
  return wish.request.target.subresource == "status" ? pod_status(wish) : Objection();
}

Objection node(const Wish& wish) {
  const AdmissionRequest& request = wish.request;
  std::string who = fmt::format("node {}", quote(wish.node));
  json::Value before = request.before, after = wish.after;
  std::string labels = forbidden_labels(before["metadata"]["labels"], after["metadata"]["labels"]);
  bool creates = request.operation == Operation::kCreate;
  if (creates) {
    if (after["spec"]["configSource"]) {
      return who + " is not allowed to create pods with a non-nil configSource";
    }
    if (!labels.empty()) {
      return who + " is not allowed to set the following labels: " + labels;
    }
  }
  std::string_view name = after["metadata"]["name"].as_string();
  if (name != wish.node) {
    return fmt::format("{} is not allowed to modify node {}", who, quote(name));
  }
  if (creates) return {};
  auto changed = [&](const char* part, const char* field) {
    json::Value a = before[part][field], b = after[part][field];
    return !(a.empty() && b.empty()) && !json::equal(a, b);
  };
  if (after["spec"]["configSource"] && changed("spec", "configSource")) {
    return who + " is not allowed to update configSource to a new non-nil configSource";
  }
  if (changed("spec", "taints")) return who + " is not allowed to modify taints";
  if (!labels.empty()) return "is not allowed to modify labels: " + labels;
  if (changed("metadata", "ownerReferences")) {
    return who + " is not allowed to modify ownerReferences";
  }
  return {};
}

Objection lease(const Wish& wish) {
  if (wish.after["metadata"]["name"].as_string() == wish.node) return {};
  return "can only access node lease with the same name as the requesting node";
}

Objection csi_node(const Wish& wish) {
  if (wish.after["metadata"]["name"].as_string() == wish.node) return {};
  return "can only access CSINode with the same name as the requesting node";
}

Objection slice(const Wish& wish) {
  if (wish.after["spec"]["nodeName"].as_string() == wish.node) return {};
  return fmt::format("can only {} ResourceSlice with the same NodeName as the requesting node",
                     wish.request.operation == Operation::kCreate ? "create" : "update");
}

// What a node may say of a claim is how much there is, and how its resizing goes.
Objection claim(const Wish& wish) {
  if (wish.request.target.subresource != "status") return {};
  auto rest = [](json::Value claim) {
    json::Draft draft(claim);
    draft.root()["metadata"].remove("managedFields");
    draft.root()["metadata"].remove("resourceVersion");
    for (const char* field :
         {"capacity", "conditions", "allocatedResources", "allocatedResourceStatuses",
          "modifyVolumeStatus", "currentVolumeAttributesClassName"}) {
      draft.root()["status"].remove(field);
    }
    return draft.freeze();
  };
  if (json::equal(rest(wish.request.before).root(), rest(wish.after).root())) return {};
  // DEVIATION: upstream adds a difference of Go structures.
  return fmt::format(
      "node {} is not allowed to update fields other than status.quantity and "
      "status.conditions",
      quote(wish.node));
}

struct Restricted {
  std::string_view group;
  std::string_view resource;
  Objection (*object)(const Wish&);
};

constexpr std::array<Restricted, 6> kRestricted = {{
    {"", "pods", &pod},
    {"", "nodes", &node},
    {"", "persistentvolumeclaims", &claim},
    {"coordination.k8s.io", "leases", &lease},
    {"storage.k8s.io", "csinodes", &csi_node},
    {"resource.k8s.io", "resourceslices", &slice},
}};

class NodeRestriction final : public Admission {
 public:
  NodeRestriction(const store::Store& store, const Authoriser* authoriser)
      : store_(store), authoriser_(authoriser) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    std::string node(node_of(request.user));
    if (node.empty()) return {};
    const Target& target = request.target;
    const Resource& resource = *target.resource;
    if (request.operation == Operation::kDelete) return judge_delete(target, node);
    bool posted = request.operation == Operation::kCreate && !target.subresource.empty();
    if (posted) return {};  // validate() judges it.
    for (const Restricted& rule : kRestricted) {
      if (rule.group != resource.group || rule.resource != resource.plural) continue;
      json::Draft sent(request.object);
      json::Document after = sent.freeze();
      Objection objection = rule.object({request, node, store_, after.root()});
      if (objection.empty()) return {};
      std::string name(after.root()["metadata"]["name"].as_string());
      if (name.empty()) name = after.root()["metadata"]["generateName"].as_string();
      return api::forbidden(resource.group_resource(), name, objection);
    }
    return {};
  }

  // What is posted to a subresource is not seen before.
  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    std::string node(node_of(request.user));
    if (node.empty() || request.operation != Operation::kCreate) return {};
    const Target& target = request.target;
    if (target.subresource == "eviction") return judge_eviction(target, node);
    if (target.subresource == "token") return judge_token(request, node);
    return {};
  }

 private:
  static bool is_pod(const Target& target) {
    return target.resource->group.empty() && target.resource->plural == "pods";
  }
  bool runs_on(const api::Object& pod, const std::string& node) const {
    json::Document document = pod.document();
    return document.root()["spec"]["nodeName"].as_string() == node;
  }

  Result<void> judge_delete(const Target& target, const std::string& node) const {
    if (!is_pod(target)) return {};
    ObjectPtr pod = store_.get("pods", target.ns, target.name);
    if (pod == nullptr) return api::not_found("pods", target.name);
    if (runs_on(*pod, node)) return {};
    return api::forbidden("pods", target.name,
                          fmt::format("node {} can only delete pods with spec.nodeName set to "
                                      "itself",
                                      quote(node)));
  }

  Result<void> judge_eviction(const Target& target, const std::string& node) const {
    ObjectPtr pod = store_.get("pods", target.ns, target.name);
    if (pod == nullptr) return api::not_found("pod", target.name);
    if (runs_on(*pod, node)) return {};
    return api::forbidden(
        "pods", target.name,
        fmt::format("node {} can only evict pods with spec.nodeName set to itself", node));
  }

  Result<void> judge_token(const AdmissionRequest& request, const std::string& node) const {
    const Target& target = request.target;
    auto refused = [&target](std::string_view why) {
      return api::forbidden("serviceaccounts", target.name, why);
    };
    json::Value spec = request.after["spec"];
    json::Value bound = spec["boundObjectRef"];
    // tidy: allow(kind): of what the token is bound to.
    if (bound["kind"].as_string() != "Pod") {
      return refused("node requested token not bound to a pod");
    }
    std::string uid(bound["uid"].as_string());
    if (uid.empty()) return refused("node requested token with a pod binding without a uid");
    std::string name(bound["name"].as_string());
    ObjectPtr pod = store_.get("pods", target.ns, name);
    if (pod == nullptr) return api::not_found("pod", name);
    if (pod->uid() != uid) {
      return refused(
          fmt::format("the UID in the bound object reference ({}) does not match the "
                      "UID in record. The object might have been deleted and then "
                      "recreated",
                      uid));
    }
    if (!runs_on(*pod, node)) {
      return refused("node requested token bound to a pod scheduled on a different node");
    }
    json::Value audiences = spec["audiences"];
    if (audiences.size() > 1) return refused("node may only request 0 or 1 audiences");
    std::string_view audience = audiences.at(0).as_string();
    if (audience.empty() || names_audience(*pod, audience) || may_ask_for(request, audience)) {
      return {};
    }
    return refused(
        fmt::format("audience {} not found in pod spec volume, {} is not authorized to "
                    "request tokens for this audience",
                    quote(audience), request.user.name));
  }

  // Whether a volume of the pod needs tokens for that audience.
  bool names_audience(const api::Object& pod, std::string_view audience) const {
    json::Document document = pod.document();
    for (json::Value volume : document.root()["spec"]["volumes"].items()) {
      for (json::Value source : volume["projected"]["sources"].items()) {
        json::Value token = source["serviceAccountToken"];
        if (token && token["audience"].as_string() == audience) return true;
      }
      std::string driver(volume["csi"]["driver"].as_string());
      std::string claim(volume["persistentVolumeClaim"]["claimName"].as_string());
      if (volume["ephemeral"]) {
        claim = fmt::format("{}-{}", pod.name(), volume["name"].as_string());
      }
      if (!claim.empty()) driver = driver_of_claim(pod.ns(), claim);
      if (!driver.empty() && driver_asks_for(driver, audience)) return true;
    }
    return false;
  }
  std::string driver_of_claim(std::string_view ns, const std::string& name) const {
    ObjectPtr claim = store_.get("persistentvolumeclaims", ns, name);
    if (claim == nullptr) return {};
    json::Document document = claim->document();
    ObjectPtr volume =
        store_.get("persistentvolumes", "", document.root()["spec"]["volumeName"].as_string());
    if (volume == nullptr) return {};
    json::Document source = volume->document();
    return std::string(source.root()["spec"]["csi"]["driver"].as_string());
  }
  bool driver_asks_for(const std::string& name, std::string_view audience) const {
    ObjectPtr driver = store_.get("csidrivers.storage.k8s.io", "", name);
    if (driver == nullptr) return false;
    json::Document document = driver->document();
    for (json::Value token : document.root()["spec"]["tokenRequests"].items()) {
      if (token["audience"].as_string() == audience) return true;
    }
    return false;
  }
  bool may_ask_for(const AdmissionRequest& request, std::string_view audience) const {
    if (authoriser_ == nullptr) return false;
    Attributes asked{.user = request.user, .verb = "request-serviceaccounts-token-audience"};
    asked.is_resource = true;
    asked.resource = audience;
    asked.ns = request.target.ns;
    asked.name = request.target.name;
    return authoriser_->allows(asked);
  }

  const store::Store& store_;
  const Authoriser* const authoriser_;
};

}  // namespace

std::unique_ptr<Admission> node_restriction(const store::Store& store,
                                            const Authoriser* authoriser) {
  return std::make_unique<NodeRestriction>(store, authoriser);
}

}  // namespace wherry::apiserver
