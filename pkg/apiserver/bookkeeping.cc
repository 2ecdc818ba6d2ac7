#include "apiserver/bookkeeping.h"

#include "api/apply.h"
#include "api/defaults.h"
#include "api/status.h"
#include "base/random.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr size_t kGeneratedSuffix = 5;
constexpr size_t kNameMax = 63;

}  // namespace

std::string unregistered(std::string_view api_version, std::string_view kind) {
  return fmt::format(
      "no kind \"{}\" is registered for version \"{}\" in scheme \"pkg/runtime/scheme.go:111\"",
      kind, api_version);
}

namespace {

// A kind of ours, a list of one, or the list of anything that the core group has.
bool is_known(std::string_view group, std::string_view version, std::string_view kind) {
  if (api::find_kind(group, version, kind) != nullptr) return true;
  if (!kind.ends_with("List")) return false;
  std::string_view item = kind.substr(0, kind.size() - 4);
  return item.empty() ? group.empty() && version == "v1"
                      : api::find_kind(group, version, item) != nullptr;
}

}  // namespace

Result<void> check_kind(const Resource& resource, json::Value body) {
  std::string_view kind = body["kind"].as_string();
  std::string_view api_version = body["apiVersion"].as_string();
  auto parts = split_once(api_version, "/");
  std::string_view group = parts ? parts->first : std::string_view();
  std::string_view version = parts ? parts->second : api_version;
  if (api_version.empty()) {
    group = resource.group;
    version = resource.version;
  }
  if (kind.empty()) kind = resource.kind;
  if (kind == resource.kind && group == resource.group && version == resource.version) return {};
  const bool known = is_known(group, version, kind);
  if (known && kind == resource.kind) {
    return Error::bad_request(
        "the API version in the data ({}) does not match the expected API version ({})",
        api_version, resource.api_version());
  }
  if (known) {
    return Error::bad_request(
        "{} in version \"{}\" cannot be handled as a {}: converting ({}.{}) to ({}.{}): unknown "
        "conversion",
        kind, version, resource.kind, version, kind,
        resource.group.empty() ? "core" : split(resource.group, '.').front(), resource.kind);
  }
  return Error::bad_request("{} in version \"{}\" cannot be handled as a {}: {}", kind, version,
                            resource.kind,
                            unregistered(api_version.empty() ? version : api_version, kind));
}

Result<void> fit_to_target(const Target& target, json::Node object) {
  json::Node meta = object.ensure_object("metadata");
  std::string_view ns = meta["namespace"].as_string();
  if (!target.resource->namespaced()) {
    meta.remove("namespace");  // Upstream passes over one that has no meaning.
  } else if (ns.empty()) {
    meta.set("namespace", target.ns);
  } else if (ns != target.ns) {
    return Error::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request");
  }
  if (target.name.empty()) return {};
  std::string_view name = meta["name"].as_string();
  if (name.empty()) {
    return Error::bad_request(
        "the name of the object ({} based on URL) was undeterminable: name must be provided",
        target.name);
  }
  if (name != target.name) {
    return Error::bad_request("the name of the object ({}) does not match the name on the URL ({})",
                              name, target.name);
  }
  return {};
}

Result<void> check_applied(const Resource& resource, json::Value applied,
                           const WriteOptions& options) {
  if (options.field_manager.empty()) {
    api::FieldErrors errors;
    errors.required(api::Path("fieldManager"), "is required for apply patch");
    return errors.to_error("meta.k8s.io", "PatchOptions", "");
  }
  if (!applied.is_object()) return Error::bad_request("error decoding YAML: not an object");
  std::string_view api_version = applied["apiVersion"].as_string();
  std::string_view kind = applied["kind"].as_string();
  if (api_version == resource.api_version() && kind == resource.kind) return {};
  auto parts = split_once(api_version, "/");
  return Error::bad_request("invalid object type: {}/{}, Kind={}", parts ? parts->first : "",
                            parts ? parts->second : api_version, kind);
}

void begin_object(json::Node object, Time now) {
  json::Node meta = object.ensure_object("metadata");
  for (const char* field :
       {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"}) {
    meta.remove(field);
  }
  meta.set("uid", random_uuid());
  meta.set("creationTimestamp", format_time(now));
}

bool makes_name(json::Node object) {
  json::Node meta = object["metadata"];
  return meta["name"].as_string().empty() && !meta["generateName"].as_string().empty();
}

void make_name(json::Node object) {
  json::Node meta = object["metadata"];
  std::string_view base = meta["generateName"].as_string();
  std::string name(base.substr(0, kNameMax - kGeneratedSuffix));
  meta.set("name", name + random_suffix(kGeneratedSuffix));
}

void carry_over(json::Value before, json::Node after) {
  json::Value old = before["metadata"];
  json::Node meta = after.ensure_object("metadata");
  for (const char* field : {"uid", "creationTimestamp", "generateName"}) {
    if (!meta[field]) meta.set(field, old[field]);
  }
  meta.remove("selfLink");
  meta.set("resourceVersion", old["resourceVersion"]);
  for (const char* field : {"deletionTimestamp", "deletionGracePeriodSeconds"}) {
    if (!meta[field]) meta.set(field, old[field]);
  }
}

Result<Revision> version_of(json::Value object) {
  std::string_view text = object["metadata"]["resourceVersion"].as_string();
  if (text.empty() || text == "0") return Revision{0};
  std::optional<uint64_t> version = parse_uint(text);
  if (!version || *version > INT64_MAX) {
    return Error::make(Code::kUnknown, "strconv.ParseUint: parsing {}: invalid syntax",
                       quote(text));
  }
  return static_cast<Revision>(*version);
}

void put_in_order(const api::Struct* schema, json::Draft& object) {
  if (schema == nullptr) return;
  json::Document document = object.freeze();
  Result<json::Draft> ordered = api::decode(*schema, document.root());
  if (ordered.ok()) object = std::move(ordered).value();
}

bool has_finalizers(json::Value object) { return !object["metadata"]["finalizers"].empty(); }

bool ready_to_go(json::Value before, json::Value after) {
  json::Value old = before["metadata"];
  if (!old["deletionTimestamp"] || has_finalizers(after)) return false;
  // Namespaces have a second list, in spec; nobody else has that field.
  if (!after["spec"]["finalizers"].empty()) return false;
  return old["deletionGracePeriodSeconds"].as_int() == 0;
}

Result<ObjectPtr> loose_object(json::Draft& object, Revision revision) {
  json::Node meta = object.root().ensure_object("metadata");
  if (revision > 0) meta.set("resourceVersion", std::to_string(revision));
  return api::Object::parse(object.dump());
}

Result<ObjectPtr> success_object() {
  json::Draft status;
  json::Node root = status.root();
  root.set("kind", "Status");
  root.set("apiVersion", "v1");
  root.set_object("metadata");
  root.set("status", "Success");
  root.set("code", 201);
  return api::Object::parse(status.dump());
}

void fill_defaults(const Resource& resource, json::Node object) {
  if (resource.schema != nullptr) api::apply_defaults(*resource.schema, object);
  if (resource.apply_defaults != nullptr) resource.apply_defaults(object);
}

bool writes_status(const Target& target) {
  const api::Subresource* part = target.resource->subresource(target.subresource);
  return part != nullptr && part->in_status;
}

std::string manager_of(const Context& context, const WriteOptions& options) {
  if (!options.field_manager.empty()) return options.field_manager;
  std::string manager = api::manager_from_user_agent(context.user_agent);
  return manager.empty() ? "unknown" : manager;
}

}  // namespace wherry::apiserver
