#include "api/meta.h"

#include <algorithm>

#include "api/decode.h"
#include "api/names.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kStandardFinalizers[] = {"orphan", "foregroundDeletion", "kubernetes"};

void validate_name(const Resource& resource, std::string_view name, const Path& path,
                   FieldErrors& errors) {
  std::string why;
  bool good = resource.valid_name != nullptr ? resource.valid_name(name, &why)
                                             : valid_subdomain_name(name, &why);
  if (good) return;
  for (std::string_view problem : split(why, '\n')) errors.invalid(path, name, problem);
}

void validate_names(const Resource& resource, json::Value meta, const Path& path,
                    FieldErrors& errors) {
  std::string_view prefix = meta["generateName"].as_string();
  if (!prefix.empty()) {
    // What is appended makes a trailing dash good.
    std::string masked(prefix);
    if (masked.size() > 1 && masked.ends_with('-')) masked.back() = 'a';
    std::string why;
    bool good = resource.valid_name != nullptr ? resource.valid_name(masked, &why)
                                               : valid_subdomain_name(masked, &why);
    if (!good) {
      for (std::string_view problem : split(why, '\n')) {
        errors.invalid(path.child("generateName"), prefix, problem);
      }
    }
  }
  std::string_view name = meta["name"].as_string();
  if (name.empty()) {
    errors.required(path.child("name"), "name or generateName is required");
  } else {
    validate_name(resource, name, path.child("name"), errors);
  }
  std::string_view ns = meta["namespace"].as_string();
  if (!resource.namespaced()) {
    if (!ns.empty()) errors.forbidden(path.child("namespace"), "not allowed on this type");
  } else if (ns.empty()) {
    errors.required(path.child("namespace"), "");
  } else {
    for (const std::string& problem : dns_label_problems(ns)) {
      errors.invalid(path.child("namespace"), ns, problem);
    }
  }
}

void validate_owner(json::Value owner, const Path& path, FieldErrors& errors) {
  std::string_view api_version = owner["apiVersion"].as_string();
  size_t slash = api_version.rfind('/');
  std::string_view group =
      slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  std::string_view version =
      slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
  // A second slash makes it no group and version at all.
  if (version.empty() || group.find('/') != std::string_view::npos)
    errors.invalid(path.child("apiVersion"), api_version, "version must not be empty");
  for (const char* field : {"kind", "name", "uid"}) {
    std::string_view text = owner[field].as_string();
    if (text.empty()) errors.invalid(path.child(field), text, "must not be empty");
  }
  if (group.empty() && version == "v1" && owner["kind"].as_string() == "Event") {
    errors.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner");
  }
}

void validate_owners(json::Value owners, const Path& path, FieldErrors& errors) {
  std::string controller;
  for (json::Value owner : owners.items()) {
    validate_owner(owner, path, errors);
    if (!owner["controller"].as_bool()) continue;
    std::string name = fmt::format("{}/{}", owner["kind"].as_string(), owner["name"].as_string());
    if (!controller.empty()) {
      errors.invalid(
          path, owners,
          fmt::format("Only one reference can have Controller set to true. Found \"true\" in "
                      "references for {} and {}",
                      controller, name));
    }
    controller = name;
  }
}

void validate_finalizers(json::Value finalizers, const Path& path, FieldErrors& errors) {
  bool orphan = false;
  bool foreground = false;
  for (json::Value item : finalizers.items()) {
    std::string_view name = item.as_string();
    for (const std::string& problem : qualified_name_problems(name))
      errors.invalid(path, name, problem);
    orphan = orphan || name == "orphan";
    foreground = foreground || name == "foregroundDeletion";
  }
  if (orphan && foreground) {
    errors.invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
  }
}

void validate_finalizer_names(json::Value finalizers, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value item : finalizers.items()) {
    std::string_view name = item.as_string();
    bool standard = std::find(std::begin(kStandardFinalizers), std::end(kStandardFinalizers),
                              name) != std::end(kStandardFinalizers);
    if (!standard && name.find('/') == std::string_view::npos) {
      errors.invalid(path.index(at), name,
                     "name is neither a standard finalizer name nor is it fully qualified");
    }
    ++at;
  }
}

void validate_managed_fields(json::Value entries, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value entry : entries.items()) {
    Path item = path.index(at++);
    std::string_view operation = entry["operation"].as_string();
    if (operation != "Apply" && operation != "Update") {
      errors.invalid(item.child("operation"), operation, "must be `Apply` or `Update`");
    }
    std::string_view type = entry["fieldsType"].as_string();
    if (!type.empty() && type != "FieldsV1") {
      errors.invalid(item.child("fieldsType"), type, "must be `FieldsV1`");
    }
  }
}

void validate_rest(json::Value meta, const Path& path, FieldErrors& errors) {
  validate_labels(meta["labels"], path.child("labels"), errors);
  validate_annotations(meta["annotations"], path.child("annotations"), errors);
  validate_owners(meta["ownerReferences"], path.child("ownerReferences"), errors);
  validate_managed_fields(meta["managedFields"], path.child("managedFields"), errors);
}

Result<void> finish(const Resource& resource, json::Value object, const FieldErrors& errors) {
  if (errors.empty()) return {};
  return errors.to_error(resource.group, resource.kind, object["metadata"]["name"].as_string());
}

void validate_content(const Resource& resource, json::Value object, FieldErrors& errors) {
  if (resource.validate != nullptr) {
    resource.validate(object, errors);
  } else if (resource.schema != nullptr) {
    validate_schema(*resource.schema, object, Path(), errors);
  }
}

bool is_empty(json::Value value) {
  return !value || value.is_null() || (value.is_string() && value.as_string().empty());
}

void validate_value(const Field& field, const TypeRef& type, json::Value value, const Path& path,
                    FieldErrors& errors) {
  if (!field.enum_values.empty() && value.is_string() && !value.as_string().empty()) {
    const auto& known = field.enum_values;
    if (std::find(known.begin(), known.end(), value.as_string()) == known.end()) {
      errors.not_supported(path, value.as_string(), known);
    }
  }
  if (value.is_int() && field.has_minimum && value.as_int() < field.minimum) {
    errors.invalid(path, value.as_int(),
                   fmt::format("must be greater than or equal to {}", field.minimum));
  }
  if (value.is_int() && field.has_maximum && value.as_int() > field.maximum) {
    errors.invalid(path, value.as_int(),
                   fmt::format("must be less than or equal to {}", field.maximum));
  }
  if (type.kind == Kind::kStruct) {
    if (value.is_object()) validate_schema(*type.structure, value, path, errors);
  } else if (type.kind == Kind::kList && type.element->kind == Kind::kStruct) {
    size_t at = 0;
    for (json::Value item : value.items()) {
      validate_schema(*type.element->structure, item, path.index(at++), errors);
    }
  } else if (type.kind == Kind::kMap && type.element->kind == Kind::kStruct) {
    for (auto [key, item] : value.members()) {
      validate_schema(*type.element->structure, item, path.key(key), errors);
    }
  }
}

}  // namespace

void validate_schema(const Struct& schema, json::Value object, const Path& path,
                     FieldErrors& errors) {
  for (const Field& field : schema.fields) {
    bool top = path.text().empty();
    if (top && (field.name == "metadata" || field.name == "status")) continue;
    json::Value value = object[field.name];
    if (is_empty(value)) {
      if (field.required) errors.required(path.child(field.name), "");
      continue;
    }
    validate_value(field, field.type, value, path.child(field.name), errors);
  }
}

void validate_meta(const Resource& resource, json::Value meta, FieldErrors& errors) {
  Path path("metadata");
  validate_names(resource, meta, path, errors);
  validate_rest(meta, path, errors);
  validate_finalizers(meta["finalizers"], path.child("finalizers"), errors);
  if (resource.finalizer_names)
    validate_finalizer_names(meta["finalizers"], path.child("finalizers"), errors);
}

void validate_meta_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path("metadata");
  for (const char* field : {"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp",
                            "deletionGracePeriodSeconds"}) {
    if (json::equal(before[field], after[field])) continue;
    errors.invalid(path.child(field), after[field], "field is immutable");
  }
  if (!before["deletionTimestamp"]) return;
  std::vector<std::string> added;
  for (json::Value item : after["finalizers"].items()) {
    bool known = false;
    for (json::Value old : before["finalizers"].items()) {
      known = known || old.as_string() == item.as_string();
    }
    if (!known) added.push_back(quote(item.as_string()));
  }
  if (!added.empty()) {
    errors.forbidden(
        path.child("finalizers"),
        fmt::format("no new finalizers can be added if the object is being deleted, found new "
                    "finalizers []string{{{}}}",
                    join(added, ", ")));
  }
}

namespace {

// The machinery's own check of changed metadata, then those of the kind: the same rules again.
void validate_changed_meta(const Resource& resource, MetaChecks checks, json::Value before,
                           json::Value after, FieldErrors& errors) {
  json::Value meta = after["metadata"];
  Path path("metadata");
  Path finalizers = path.child("finalizers");
  auto whole = [&] {
    validate_rest(meta, path, errors);
    validate_finalizers(meta["finalizers"], finalizers, errors);
  };
  auto change = [&] {
    validate_meta_update(before["metadata"], meta, errors);
    validate_rest(meta, path, errors);
  };
  auto names = [&] {
    if (resource.finalizer_names) validate_finalizer_names(meta["finalizers"], finalizers, errors);
  };
  whole();
  change();
  if (checks == MetaChecks::kNone) return;
  change();
  names();
  if (checks == MetaChecks::kChange) return;
  whole();
  names();
}

}  // namespace

Result<void> validate_create(const Resource& resource, json::Value object) {
  FieldErrors errors;
  validate_meta(resource, object["metadata"], errors);
  validate_content(resource, object, errors);
  // What holds for the names of all kinds is asked of an object without other faults only.
  std::string_view name = object["metadata"]["name"].as_string();
  if (errors.empty() && !name.empty()) {
    for (const std::string& problem : path_segment_problems(name))
      errors.invalid(Path("metadata").child("name"), name, problem);
  }
  return finish(resource, object, errors);
}

Result<void> validate_update(const Resource& resource, json::Value before, json::Value after) {
  FieldErrors errors;
  validate_changed_meta(resource, resource.meta_checks, before, after, errors);
  const UpdateRules order = resource.update_rules;
  if (order == UpdateRules::kWholeFirst) validate_content(resource, after, errors);
  if (resource.validate_update != nullptr) resource.validate_update(before, after, errors);
  if (order == UpdateRules::kChangeFirst) validate_content(resource, after, errors);
  return finish(resource, after, errors);
}

Result<void> validate_part_update(const Resource& resource, const Subresource& subresource,
                                  json::Value before, json::Value after) {
  FieldErrors errors;
  validate_changed_meta(resource, resource.meta_checks, before, after, errors);
  validate_content(resource, after, errors);
  if (subresource.validate_update != nullptr) subresource.validate_update(before, after, errors);
  return finish(resource, after, errors);
}

Result<void> validate_status_update(const Resource& resource, json::Value before,
                                    json::Value after) {
  FieldErrors errors;
  validate_changed_meta(resource, std::min(resource.meta_checks, MetaChecks::kChange), before,
                        after, errors);
  if (resource.validate_status_update != nullptr) {
    resource.validate_status_update(before, after, errors);
  }
  return finish(resource, after, errors);
}

namespace {

// status as a new object has it: what Go prints for its zero value.
void reset_status(const Resource& resource, json::Node object) {
  const Field* field = resource.schema != nullptr ? resource.schema->find("status") : nullptr;
  if (field == nullptr || field->type.kind != Kind::kStruct || field->pointer) {
    object.remove("status");
    return;
  }
  json::Draft nothing;
  json::Document empty = nothing.freeze();
  Result<json::Draft> zero = decode(*field->type.structure, empty.root());
  CHECK(zero.ok());
  object.set("status", zero->root());
}

bool spec_changed(json::Value before, json::Node after) {
  json::Draft copy(before);
  json::Node old = copy.root();
  for (const json::Node::Member& member : after.members()) {
    if (member.key == "metadata" || member.key == "status") continue;
    if (member.key == "kind" || member.key == "apiVersion") continue;
    if (!json::equal(old[member.key], member.value)) return true;
  }
  for (const json::Node::Member& member : old.members()) {
    if (member.key == "metadata" || member.key == "status") continue;
    if (!after[member.key]) return true;
  }
  return false;
}

// What only the server writes in metadata.
void keep_server_meta(json::Value before, json::Node meta) {
  meta.remove("selfLink");
  for (const char* field : {"creationTimestamp", "generation"}) meta.set(field, before[field]);
  for (const char* field :
       {"uid", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"}) {
    json::Node value = meta[field];
    if (!value || (value.is_string() && value.as_string().empty())) meta.set(field, before[field]);
  }
}

}  // namespace

void prepare_create(const Resource& resource, json::Node object, Time now) {
  json::Node meta = object.ensure_object("metadata");
  for (const char* field : {"selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    meta.remove(field);
  }
  // Kinds that do not count their generations keep what the caller says.
  if (resource.generation) meta.set("generation", 1);
  if (resource.status_subresource && !resource.status_on_create) reset_status(resource, object);
  if (resource.prepare_create != nullptr) resource.prepare_create(object, now);
}

void prepare_update(const Resource& resource, json::Value before, json::Node after,
                    UpdateScope scope, Time now) {
  json::Node meta = after.ensure_object("metadata");
  keep_server_meta(before["metadata"], meta);
  if (scope == UpdateScope::kStatus) {
    json::Draft sent(after);
    after.assign(before);
    after.set("status", sent.root()["status"]);
    json::Node sent_meta = sent.root()["metadata"];
    json::Node kept = after.ensure_object("metadata");
    for (const char* field : {"labels", "annotations", "finalizers", "ownerReferences",
                              "managedFields", "resourceVersion", "uid", "name", "namespace"}) {
      kept.set(field, sent_meta[field]);
    }
    return;
  }
  if (resource.status_subresource) after.set("status", before["status"]);
  if (resource.prepare_update != nullptr && scope == UpdateScope::kMain) {
    resource.prepare_update(before, after, now);
  }
  if (resource.generation && spec_changed(before, after)) {
    after["metadata"].set("generation", before["metadata"]["generation"].as_int() + 1);
  }
}

}  // namespace wherry::api
