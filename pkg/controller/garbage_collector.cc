// Deletes what its owners have left behind, and finishes foreground and orphaning deletes. Works
// from the cache's owner index, so there is no graph to keep. Spec: Kubernetes documentation,
// "Garbage collection" and "Owners and dependents".

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kForeground = "foregroundDeletion";
constexpr std::string_view kOrphan = "orphan";

// A key names an object of any kind: "resource uid name", with the namespace beside it.
ObjectKey key_of(const api::Resource& resource, const api::Object& object) {
  return {std::string(object.ns()),
          fmt::format("{} {} {}", resource.group_resource(), object.uid(), object.name())};
}

bool has_finalizer(json::Value object, std::string_view name) {
  for (json::Value finalizer : object["metadata"]["finalizers"].items()) {
    if (finalizer.as_string() == name) return true;
  }
  return false;
}

struct Dependent {
  const api::Resource* resource;
  ObjectPtr object;
};

class GarbageCollector final : public Reconciler {
 public:
  explicit GarbageCollector(const Context& context) : context_(context) {
    std::set<std::string> seen;
    for (const api::Resource* resource : api::resources()) {
      if (is_stored(*resource) && seen.insert(resource->group_resource()).second) {
        resources_.push_back(resource);
      }
    }
  }

  Result<Requeue> reconcile(const ObjectKey& key) override {
    auto parts = split(key.name, ' ');
    const api::Resource& resource = api::resource(parts[0]);
    std::string_view uid = parts[1];
    ObjectPtr object = context_.cache.lister(resource).find(key.ns, parts[2]);
    if (object == nullptr || object->uid() != uid) {
      for (const Dependent& dependent : dependents_of(key.ns, uid)) TRY(examine(dependent));
      return Requeue::never();
    }
    json::Document document = object->document();
    if (object->deleting()) {
      if (has_finalizer(document.root(), kOrphan)) return orphan_dependents({&resource, object});
      if (has_finalizer(document.root(), kForeground))
        return wait_for_dependents({&resource, object});
    }
    TRY(examine({&resource, object}));
    return Requeue::never();
  }

 private:
  // Namespaced owners have dependents in their own namespace only.
  std::vector<Dependent> dependents_of(std::string_view ns, std::string_view uid) const {
    std::vector<Dependent> out;
    for (const api::Resource* resource : resources_) {
      for (ObjectPtr& object : context_.cache.lister(*resource).list_owned(ns, uid)) {
        out.push_back({resource, std::move(object)});
      }
    }
    return out;
  }

  // The owner that a reference names; null when it does not exist (any more).
  ObjectPtr find_owner(const api::Object& dependent, json::Value reference, bool* known) const {
    std::string_view api_version = reference["apiVersion"].as_string();
    auto parts = split_once(api_version, "/");
    const api::Resource* resource =
        api::find_kind(parts ? parts->first : "", parts ? parts->second : api_version,
                       reference["kind"].as_string());
    *known = resource != nullptr;
    if (resource == nullptr) return nullptr;
    std::string_view ns = resource->namespaced() ? dependent.ns() : std::string_view();
    ObjectPtr owner = context_.cache.lister(*resource).find(ns, reference["name"].as_string());
    if (owner == nullptr || owner->uid() != reference["uid"].as_string()) return nullptr;
    return owner;
  }

  // Is there an owner left that keeps this object? If not, it goes; if some are gone, their
  // references go.
  Result<void> examine(const Dependent& dependent) {
    ObjectPtr now = context_.cache.lister(*dependent.resource)
                        .find(dependent.object->ns(), dependent.object->name());
    if (now == nullptr || now->uid() != dependent.object->uid() || now->deleting()) return {};
    json::Document document = now->document();
    json::Value references = document.root()["metadata"]["ownerReferences"];
    if (references.empty()) return {};
    bool solid = false;
    bool waited_for = false;
    std::vector<std::string> useless;
    for (json::Value reference : references.items()) {
      bool known = false;
      ObjectPtr owner = find_owner(*now, reference, &known);
      if (!known) {
        solid = true;  // A kind that is not served: nothing can be said about its objects.
        continue;
      }
      bool waiting = false;
      if (owner != nullptr && owner->deleting()) {
        json::Document owner_document = owner->document();
        waiting = has_finalizer(owner_document.root(), kForeground);
      }
      if (owner != nullptr && !waiting) {
        solid = true;
        continue;
      }
      waited_for |= waiting;
      useless.emplace_back(reference["uid"].as_string());
    }
    if (useless.empty()) return {};
    if (solid) return drop_references({dependent.resource, now}, useless);
    // An owner waits in the foreground: what itself has dependents goes in the foreground too.
    std::vector<Dependent> own =
        waited_for ? dependents_of(now->ns(), now->uid()) : std::vector<Dependent>();
    // A dependent of this one that itself waits in the foreground closes a circle: nothing in it
    // may block.
    bool circle = std::any_of(own.begin(), own.end(), [](const Dependent& one) {
      json::Document text = one.object->document();
      return one.object->deleting() && has_finalizer(text.root(), kForeground);
    });
    if (circle) TRY(unblock({dependent.resource, now}));
    return remove({dependent.resource, now}, document.root(), !own.empty());
  }

  Result<void> unblock(const Dependent& dependent) {
    json::Document document = dependent.object->document();
    json::Draft draft(document.root());
    for (json::Node reference : draft.root()["metadata"]["ownerReferences"].items()) {
      if (reference["blockOwnerDeletion"].as_bool()) reference.set("blockOwnerDeletion", false);
    }
    return rewrite(dependent, draft);
  }

  Result<void> remove(const Dependent& doomed, json::Value root, bool foreground) {
    client::DeleteOptions options{.uid = std::string(doomed.object->uid())};
    options.propagation_policy = foreground || has_finalizer(root, kForeground) ? "Foreground"
                                 : has_finalizer(root, kOrphan)                 ? "Orphan"
                                                                                : "Background";
    return ignore_not_found(context_.client.remove(*doomed.resource, doomed.object->ns(),
                                                   doomed.object->name(), options));
  }

  Result<void> drop_references(const Dependent& dependent, const std::vector<std::string>& uids) {
    json::Document document = dependent.object->document();
    json::Draft draft(document.root());
    json::Node references = draft.root()["metadata"]["ownerReferences"];
    std::vector<json::Node> items = references.items();
    for (size_t i = items.size(); i > 0; --i) {
      if (std::find(uids.begin(), uids.end(), items[i - 1]["uid"].as_string()) != uids.end()) {
        references.remove_at(i - 1);
      }
    }
    if (references.empty()) draft.root()["metadata"].remove("ownerReferences");
    return rewrite(dependent, draft);
  }

  Result<void> remove_finalizer(const Dependent& owner, std::string_view name) {
    json::Document document = owner.object->document();
    json::Draft draft(document.root());
    json::Node finalizers = draft.root()["metadata"]["finalizers"];
    std::vector<json::Node> items = finalizers.items();
    for (size_t i = items.size(); i > 0; --i) {
      if (items[i - 1].as_string() == name) finalizers.remove_at(i - 1);
    }
    return rewrite(owner, draft);
  }

  // Only metadata is touched, by a patch under the version that was read, so that no kind's rules
  // on its spec stand in the way.
  Result<void> rewrite(const Dependent& target, const json::Draft& wanted) {
    json::Draft patch;
    json::Node metadata = patch.root().set_object("metadata");
    metadata.set("uid", target.object->uid());
    metadata.set("resourceVersion", std::to_string(target.object->revision()));
    for (std::string_view key : {"ownerReferences", "finalizers"}) {
      json::Node value = wanted.root()["metadata"][key];
      if (value) {
        metadata.set(key, value);
      } else {
        metadata.set_null(key);
      }
    }
    json::Document document = patch.freeze();
    return ignore_not_found(context_.client.patch(*target.resource, target.object->ns(),
                                                  target.object->name(), client::PatchType::kMerge,
                                                  document.root()));
  }

  Result<Requeue> orphan_dependents(const Dependent& owner) {
    std::string uid(owner.object->uid());
    for (const Dependent& dependent : dependents_of(owner.object->ns(), uid)) {
      TRY(drop_references(dependent, {uid}));
    }
    TRY(remove_finalizer(owner, kOrphan));
    return Requeue::never();
  }

  Result<Requeue> wait_for_dependents(const Dependent& owner) {
    bool blocked = false;
    for (const Dependent& dependent : dependents_of(owner.object->ns(), owner.object->uid())) {
      json::Document document = dependent.object->document();
      for (json::Value reference : document.root()["metadata"]["ownerReferences"].items()) {
        if (reference["uid"].as_string() == owner.object->uid()) {
          blocked |= reference["blockOwnerDeletion"].as_bool();
        }
      }
      TRY(examine(dependent));
    }
    // The last blocking dependent's going brings the next pass.
    if (!blocked) TRY(remove_finalizer(owner, kForeground));
    return Requeue::never();
  }

  const Context& context_;
  std::vector<const api::Resource*> resources_;
};

// An object that came with owners, goes, or is gone; and the owners that may wait for it.
void changed(const Change& change, const Context& context, Keys& out) {
  const ObjectPtr& object = change.after != nullptr ? change.after : change.before;
  if (change.after == nullptr || change.after->deleting() || change.after->owned()) {
    bool owners_same = false;
    if (change.before != nullptr && change.after != nullptr && !change.after->deleting()) {
      json::Document before = change.before->document();
      json::Document after = change.after->document();
      owners_same = json::equal(before.root()["metadata"]["ownerReferences"],
                                after.root()["metadata"]["ownerReferences"]);
    }
    if (!owners_same) out.push_back(key_of(*change.resource, *object));
  }
  if (change.before == nullptr || !change.before->owned()) return;
  // What depended on a waiting owner has gone or let go.
  json::Document before = change.before->document();
  for (json::Value reference : before.root()["metadata"]["ownerReferences"].items()) {
    auto parts = split_once(reference["apiVersion"].as_string(), "/");
    const api::Resource* kind = api::find_kind(
        parts ? parts->first : "", parts ? parts->second : reference["apiVersion"].as_string(),
        reference["kind"].as_string());
    if (kind == nullptr) continue;
    std::string_view ns = kind->namespaced() ? change.before->ns() : std::string_view();
    ObjectPtr owner = context.cache.lister(*kind).find(ns, reference["name"].as_string());
    if (owner != nullptr && owner->deleting() && owner->uid() == reference["uid"].as_string()) {
      out.push_back(key_of(*kind, *owner));
    }
  }
}

}  // namespace

constinit const ControllerSpec kGarbageCollector = {
    .name = "generic-garbage-collector",
    .watches = {},
    .make = &make<GarbageCollector>,
    .watch_all = &changed,
    .workers = 2,
};

}  // namespace wherry::controller
