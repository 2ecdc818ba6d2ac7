// The scale subresource: spec.replicas of an object in the form of a Scale, and as that owned,
// patched and applied.

#include "api/managed_fields.h"
#include "api/meta.h"
#include "api/selector.h"
#include "api/status.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/machinery.h"

namespace wherry::apiserver {
namespace {

constexpr int kScaleTries = 5;
constexpr std::string_view kReplicas[] = {"spec", "replicas"};

bool has_replicas(const api::FieldSet& fields) {
  const api::FieldSet* spec = fields.find("f:spec");
  const api::FieldSet* replicas = spec == nullptr ? nullptr : spec->find("f:replicas");
  return replicas != nullptr && replicas->member;
}

api::FieldSet only_replicas() {
  api::FieldSet out;
  out.children["f:spec"].children["f:replicas"].member = true;
  return out;
}

// Who owns the number of replicas, as owners of a Scale.
api::ManagedFields scale_owners(const Resource& form, json::Value object) {
  api::ManagedFields owners = api::ManagedFields::parse(object["metadata"]["managedFields"]);
  api::ManagedFields out;
  for (api::Manager& manager : owners.managers()) {
    if (!has_replicas(manager.fields)) continue;
    manager.fields = only_replicas();
    manager.api_version = form.api_version();
    out.managers().push_back(std::move(manager));
  }
  return out;
}

// The owners of `object` once those of its Scale are as in `scale`. Whoever no longer owns the
// number there loses it here; when somebody came by it is not noted.
api::ManagedFields object_owners(json::Value object, json::Value scale,
                                 std::string_view api_version) {
  api::ManagedFields owners = api::ManagedFields::parse(object["metadata"]["managedFields"]);
  api::ManagedFields scaled = api::ManagedFields::parse(scale["metadata"]["managedFields"]);
  for (api::Manager& manager : owners.managers()) {
    // Updates have a version, and a Scale's is never that of the object.
    bool stays = manager.applies() && scaled.find(manager) != nullptr;
    if (!stays && has_replicas(manager.fields)) manager.fields.erase(kReplicas);
  }
  for (const api::Manager& manager : scaled.managers()) {
    if (!has_replicas(manager.fields)) continue;
    api::Manager owner = manager;
    owner.api_version = api_version;
    owner.time.clear();
    owner.fields = only_replicas();
    if (api::Manager* known = owners.find(owner)) {
      known->fields.add(owner.fields);
    } else {
      owners.managers().push_back(std::move(owner));
    }
  }
  owners.tidy();
  return owners;
}

// A Scale of an object with spec.replicas, status.replicas and a selector, which is a LabelSelector
// or, for the oldest kinds, a plain map.
json::Draft scale_of(const Resource& form, json::Value object) {
  json::Draft scale;
  json::Node root = scale.root();
  root.set("kind", form.kind);
  root.set("apiVersion", form.api_version());
  json::Node meta = root.set_object("metadata");
  json::Value from = object["metadata"];
  for (const char* field : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    meta.set(field, from[field]);
  }
  json::Node spec = root.set_object("spec");
  int64_t wanted = object["spec"]["replicas"].as_int();
  if (wanted != 0) spec.set("replicas", wanted);
  json::Node status = root.set_object("status");
  status.set("replicas", object["status"]["replicas"].as_int());
  json::Value selector = object["spec"]["selector"];
  api::Selector parsed = api::Selector::from_map(selector, true);
  if (selector["matchLabels"] || selector["matchExpressions"]) {
    Result<api::Selector> full = api::Selector::from_label_selector(selector);
    if (full.ok()) parsed = std::move(full).value();
  }
  if (!parsed.text().empty()) status.set("selector", parsed.text());
  return scale;
}

const Resource& form_of(const Target& target) {
  const api::Subresource* part = target.resource->subresource(target.subresource);
  CHECK(part != nullptr && part->form != nullptr);
  return *part->form;
}

}  // namespace

Result<ObjectPtr> Machinery::get_subresource(const Target& target) const {
  ObjectPtr object = TRY(get(target));
  if (target.subresource != "scale") return object;
  json::Document document = object->document();
  json::Draft scale = scale_of(form_of(target), document.root());
  return loose_object(scale, object->revision());
}

Result<Written> Machinery::write_scale(Context& context, const Target& target, const Change& change,
                                       const WriteOptions& options, const Update& asked) {
  const Resource& form = form_of(target);
  const Target scale_target{&form, target.ns, target.name, target.subresource};
  Target object_target = target;
  object_target.subresource.clear();
  Update how = asked;
  how.tries = kScaleTries;
  how.applied = true;  // Owners are those of the Scale.
  how.asked_as = target.subresource;
  auto scaled = [&](json::Value live) -> Result<json::Draft> {
    json::Draft current = scale_of(form, live);
    scale_owners(form, live).write(current.root()["metadata"]);
    json::Document now = current.freeze();
    json::Draft wanted = TRY(change(now.root()));
    if (!asked.applied) track(context, scale_target, now.root(), wanted.root(), options);
    json::Document scale = wanted.freeze();
    json::Value meta = scale.root()["metadata"];
    api::FieldErrors errors;
    form.validate(scale.root(), errors);
    if (!errors.empty()) return errors.to_error(form.group, form.kind, target.name);
    json::Draft object(live);
    json::Node root = object.root();
    root.ensure_object("spec").set("replicas", scale.root()["spec"]["replicas"].as_int());
    object_owners(live, scale.root(), target.resource->api_version()).write(root["metadata"]);
    for (const char* field : {"uid", "resourceVersion"}) {
      if (meta[field]) root["metadata"].set(field, meta[field]);
    }
    return object;
  };
  Written written = TRY(replace(context, object_target, scaled, options, how));
  json::Document document = written.object->document();
  json::Draft scale = scale_of(form, document.root());
  return Written{TRY(loose_object(scale, written.object->revision())), false};
}

Result<Written> Machinery::update_scale(Context& context, const Target& target, json::Value body,
                                        const WriteOptions& options) {
  const Target scale_target{&form_of(target), target.ns, target.name, target.subresource};
  json::Draft sent = TRY(decode_body(context, scale_target, body, options));
  TRY(fit_to_target(scale_target, sent.root()));
  json::Document wanted = sent.freeze();
  Update how;
  how.replaces = true;
  how.expected = TRY(version_of(wanted.root()));
  return write_scale(
      context, target,
      [&wanted](json::Value) -> Result<json::Draft> { return json::Draft(wanted.root()); }, options,
      how);
}

Result<Written> Machinery::patch_scale(Context& context, const Target& target, PatchType type,
                                       json::Value patch, const WriteOptions& options) {
  const Target scale_target{&form_of(target), target.ns, target.name, target.subresource};
  Update how;
  how.applied = type == PatchType::kApply;
  if (how.applied) {
    TRY(check_applied(*scale_target.resource, patch, options));
    how.expected = TRY(version_of(patch));
  }
  return write_scale(
      context, target,
      [&](json::Value now) -> Result<json::Draft> {
        if (!how.applied) return patched(context, scale_target, type, now, patch, options);
        json::Draft object = TRY(applied_to(context, scale_target, now, patch, options));
        TRY(fit_to_target(scale_target, object.root()));
        return object;
      },
      options, how);
}

}  // namespace wherry::apiserver
