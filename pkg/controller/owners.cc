#include "controller/owners.h"

#include <algorithm>

namespace wherry::controller {

std::optional<OwnerRef> controller_of(const api::Object& object) {
  json::Document document = object.document();
  for (json::Value owner : document.root()["metadata"]["ownerReferences"].items()) {
    if (!owner["controller"].as_bool()) continue;
    return OwnerRef{std::string(owner["apiVersion"].as_string()),
                    std::string(owner["kind"].as_string()), std::string(owner["name"].as_string()),
                    std::string(owner["uid"].as_string())};
  }
  return std::nullopt;
}

bool controlled_by(const api::Object& object, std::string_view uid) {
  std::optional<OwnerRef> owner = controller_of(object);
  return owner && owner->uid == uid;
}

void owner_keys(const Change& change, std::string_view kind, Keys& out) {
  for (const ObjectPtr& object : {change.before, change.after}) {
    if (object == nullptr) continue;
    std::optional<OwnerRef> owner = controller_of(*object);
    if (!owner || owner->kind != kind) continue;
    ObjectKey key{std::string(object->ns()), owner->name};
    if (std::find(out.begin(), out.end(), key) == out.end()) out.push_back(key);
  }
}

void selecting_keys(const api::Object& dependent, const Lister& owners, bool plain, Keys& out) {
  for (const ObjectPtr& owner : owners.list(dependent.ns())) {
    json::Document document = owner->document();
    json::Value text = document.root()["spec"]["selector"];
    Result<api::Selector> selector =
        plain ? Result<api::Selector>(api::Selector::from_map(text, true))
              : api::Selector::from_label_selector(text);
    if (selector.ok() && !selector->everything() && selector->matches(dependent)) {
      out.push_back({std::string(owner->ns()), std::string(owner->name())});
    }
  }
}

void set_controller(json::Node metadata, const api::Object& owner) {
  json::Node reference = metadata.ensure_array("ownerReferences").push_object();
  reference.set("apiVersion", owner.api_version());
  reference.set("kind", owner.kind());
  reference.set("name", owner.name());
  reference.set("uid", owner.uid());
  reference.set("controller", true);
  reference.set("blockOwnerDeletion", true);
}

namespace {

Result<ObjectPtr> adopt(const Context& context, const api::Resource& resource,
                        const api::Object& owner, const api::Object& orphan) {
  json::Draft draft;
  json::Node metadata = draft.root().set_object("metadata");
  set_controller(metadata, owner);
  metadata.set("uid", orphan.uid());
  json::Document patch = draft.freeze();
  return context.client.patch(resource, orphan.ns(), orphan.name(), client::PatchType::kStrategic,
                              patch.root());
}

Result<void> release(const Context& context, const api::Resource& resource,
                     const api::Object& owner, const api::Object& held) {
  json::Draft draft;
  json::Node metadata = draft.root().set_object("metadata");
  json::Node reference = metadata.set_array("ownerReferences").push_object();
  reference.set("$patch", "delete");
  reference.set("uid", owner.uid());
  metadata.set("uid", held.uid());
  json::Document patch = draft.freeze();
  return ignore_not_found(context.client.patch(resource, held.ns(), held.name(),
                                               client::PatchType::kStrategic, patch.root()));
}

}  // namespace

Result<std::vector<ObjectPtr>> claim(const Context& context, const api::Resource& resource,
                                     const api::Object& owner, const api::Selector& selector) {
  std::vector<ObjectPtr> mine;
  for (const ObjectPtr& object : context.cache.lister(resource).list(owner.ns())) {
    std::optional<OwnerRef> holder = controller_of(*object);
    bool matches = selector.matches(*object);
    if (holder) {
      if (holder->uid != owner.uid()) continue;
      if (matches) {
        mine.push_back(object);
      } else if (!owner.deleting()) {
        TRY(release(context, resource, owner, *object));
      }
      continue;
    }
    if (!matches || owner.deleting() || object->deleting()) continue;
    Result<ObjectPtr> adopted = adopt(context, resource, owner, *object);
    if (adopted.ok()) {
      mine.push_back(std::move(adopted).value());
    } else if (!adopted.error().is(Code::kNotFound)) {
      return std::move(adopted).error();
    }
  }
  return mine;
}

}  // namespace wherry::controller
