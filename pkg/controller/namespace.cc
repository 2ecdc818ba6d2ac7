// Empties a namespace that is being deleted, pods first, and lets it go when nothing is left.
// Spec: Kubernetes documentation, namespaces, "deleting a namespace"; KEP-5080 for the order.

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "controller/all.h"
#include "controller/pods.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kFinalizer = "kubernetes";
constexpr Duration kLookAgain =
    std::chrono::seconds(2);  // While finalizers of others hold objects.

bool deletable(const api::Resource& resource) {
  if (!resource.namespaced() || !is_stored(resource)) return false;
  if (resource.verbs.empty()) return true;
  return std::find(resource.verbs.begin(), resource.verbs.end(), "delete") != resource.verbs.end();
}

// What is left of one resource.
struct Left {
  int64_t objects = 0;
  std::map<std::string, int64_t> finalizers;
};

struct Outcome {
  std::map<std::string, Left> left;  // By "pods.", "deployments.apps".
  std::vector<std::string> failures;
};

class NamespaceLifecycle final : public Reconciler {
 public:
  explicit NamespaceLifecycle(const Context& context)
      : context_(context), namespaces_(context.lister("namespaces")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr ns = namespaces_.find("", key.name);
    if (ns == nullptr || !ns->deleting()) return Requeue::never();
    json::Document document = ns->document();
    if (!holds(document.root())) return Requeue::never();

    Outcome outcome;
    empty(api::resource("pods"), key.name, outcome);
    if (outcome.left.empty()) {
      std::set<std::string> seen;
      for (const api::Resource* resource : api::resources()) {
        if (deletable(*resource) && resource->plural != "pods" &&
            seen.insert(resource->group_resource()).second) {
          empty(*resource, key.name, outcome);
        }
      }
    }
    TRY(write_conditions(*ns, document.root(), outcome));
    if (!outcome.left.empty() || !outcome.failures.empty()) return Requeue::after(kLookAgain);
    return finalize(key.name);
  }

 private:
  static bool holds(json::Value ns) {
    for (json::Value finalizer : ns["spec"]["finalizers"].items()) {
      if (finalizer.as_string() == kFinalizer) return true;
    }
    return false;
  }

  void empty(const api::Resource& resource, const std::string& ns, Outcome& outcome) {
    const Lister& lister = context_.cache.lister(resource);
    for (const ObjectPtr& object : lister.list(ns)) {
      if (object->deleting()) continue;
      Result<void> gone = ignore_not_found(context_.client.remove(
          resource, ns, object->name(),
          {.uid = std::string(object->uid()), .propagation_policy = "Background"}));
      if (!gone.ok() && !gone.error().is(Code::kConflict))
        outcome.failures.push_back(gone.error().message());
    }
    for (const ObjectPtr& object : lister.list(ns)) {
      Left& left = outcome.left[resource.group.empty() ? std::string(resource.plural) + "."
                                                       : resource.group_resource()];
      ++left.objects;
      json::Document document = object->document();
      for (json::Value finalizer : document.root()["metadata"]["finalizers"].items()) {
        ++left.finalizers[std::string(finalizer.as_string())];
      }
    }
  }

  Result<void> write_conditions(const api::Object& ns, json::Value root, const Outcome& outcome) {
    std::vector<std::string> remaining;
    std::map<std::string, int64_t> finalizers;
    for (const auto& [name, left] : outcome.left) {
      remaining.push_back(fmt::format("{} has {} resource instances", name, left.objects));
      for (const auto& [finalizer, count] : left.finalizers) finalizers[finalizer] += count;
    }
    std::vector<std::string> held;
    for (const auto& [finalizer, count] : finalizers) {
      held.push_back(fmt::format("{} in {} resource instances", finalizer, count));
    }
    json::Draft draft(root);
    json::Node status = draft.root().ensure_object("status");
    Time now = context_.clock.now();
    auto put = [&](std::string_view type, bool bad, std::string_view bad_reason,
                   const std::string& bad_text, std::string_view good_reason,
                   std::string_view good_text) {
      set_condition(status, type, bad ? "True" : "False", bad ? bad_reason : good_reason,
                    bad ? std::string_view(bad_text) : good_text, now);
    };
    put("NamespaceDeletionDiscoveryFailure", false, "", "", "ResourcesDiscovered",
        "All resources successfully discovered");
    put("NamespaceDeletionGroupVersionParsingFailure", false, "", "", "ParsedGroupVersions",
        "All legacy kube types successfully parsed");
    put("NamespaceDeletionContentFailure", !outcome.failures.empty(), "ContentDeletionFailed",
        "Failed to delete all resource types, " + std::to_string(outcome.failures.size()) +
            " remaining: " + join(outcome.failures, ", "),
        "ContentDeleted", "All content successfully deleted, may be waiting on finalization");
    put("NamespaceContentRemaining", !remaining.empty(), "SomeResourcesRemain",
        "Some resources are remaining: " + join(remaining, ", "), "ContentRemoved",
        "All content successfully removed");
    put("NamespaceFinalizersRemaining", !held.empty(), "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: " + join(held, ", "),
        "ContentHasNoFinalizers", "All content-preserving finalizers finished");
    json::Document after = draft.freeze();
    if (json::equal(after.root()["status"], root["status"])) return {};
    return ignore_not_found(
        context_.client.update(api::resource("namespaces"), "", ns.name(), after.root(), "status"));
  }

  Result<Requeue> finalize(const std::string& name) {
    ObjectPtr now = namespaces_.find("", name);
    if (now == nullptr) return Requeue::never();
    json::Document document = now->document();
    json::Draft draft(document.root());
    json::Node finalizers = draft.root()["spec"]["finalizers"];
    std::vector<json::Node> items = finalizers.items();
    for (size_t i = items.size(); i > 0; --i) {
      if (items[i - 1].as_string() == kFinalizer) finalizers.remove_at(i - 1);
    }
    json::Document after = draft.freeze();
    TRY(ignore_not_found(
        context_.client.update(api::resource("namespaces"), "", name, after.root(), "finalize")));
    return Requeue::never();
  }

  const Context& context_;
  const Lister& namespaces_;
};

// Content that goes brings its namespace's next step.
void emptied(const Change& change, const Context& context, Keys& out) {
  if (change.after != nullptr) return;
  ObjectPtr ns = context.lister("namespaces").find("", change.before->ns());
  if (ns != nullptr && ns->deleting()) out.push_back({"", std::string(ns->name())});
}

constexpr Watch kWatches[] = {{.resource = "namespaces"}, {.resource = "pods", .map = &emptied}};

}  // namespace

constinit const ControllerSpec kNamespace = {
    .name = "namespace-controller",
    .watches = kWatches,
    .make = &make<NamespaceLifecycle>,
    .workers = 4,
};

}  // namespace wherry::controller
