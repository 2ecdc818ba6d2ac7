// The verbs that write whole objects: create, update, patch.

#include "api/apply.h"
#include "api/conversion.h"
#include "api/defaults.h"
#include "api/go_text.h"
#include "api/managed_fields.h"
#include "api/meta.h"
#include "api/patch.h"
#include "api/status.h"
#include "api/stored_form.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/machinery.h"
#include "apiserver/patch_faults.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr int kGenerateNameTries = 8;
constexpr int kPatchTries = 5;

constexpr std::string_view kStatusFields[] = {"status"};
constexpr std::string_view kSpecFields[] = {"spec"};

bool writes_status(const Target& target) {
  const api::Subresource* part = target.resource->subresource(target.subresource);
  return part != nullptr && part->in_status;
}

void fill_defaults(const Resource& resource, json::Node object) {
  if (resource.schema != nullptr) api::apply_defaults(*resource.schema, object);
  if (resource.apply_defaults != nullptr) resource.apply_defaults(object);
}

void warn(Context& context, const Resource& resource, json::Value object) {
  if (resource.warnings == nullptr) return;
  for (std::string& text : resource.warnings(object)) context.warnings.push_back(std::move(text));
}

// That a patched object cannot be decoded is the patch's fault: 422 where a whole body is 400.
Error patch_refusal(Error error, const std::string& shown) {
  constexpr std::string_view kMark = " cannot be handled as a ";
  size_t at = error.message().find(kMark);
  if (at == std::string::npos) return error;
  at = error.message().find(": ", at);
  if (at == std::string::npos) return error;
  api::FieldErrors errors;
  errors.invalid(api::Path("patch"), shown, error.message().substr(at + 2));
  return errors.to_error("", "", "");
}

// An error of strict validation with faults of the patch before those of what came of it.
Error with_faults(const Resource& resource, const std::vector<std::string>& faults,
                  const Result<json::Draft>& object) {
  constexpr std::string_view kStrict = "strict decoding error: ";
  std::string all = join(faults, ", ");
  if (!object.ok()) {
    size_t at = object.error().message().find(kStrict);
    if (at == std::string::npos) return object.error();
    all += ", " + object.error().message().substr(at + kStrict.size());
  }
  return Error::bad_request("{} in version \"{}\" cannot be handled as a {}: {}{}", resource.kind,
                            resource.version, resource.kind, kStrict, all);
}

// What the normalise callback of an apply needs.
struct NormaliseContext {
  const Resource* resource;
};

void normalise(const void* context, json::Node object) {
  const Resource& resource = *static_cast<const NormaliseContext*>(context)->resource;
  if (resource.schema != nullptr) {
    json::Draft copy(object);
    json::Document frozen = copy.freeze();
    Result<json::Draft> decoded = api::decode(*resource.schema, frozen.root());
    if (decoded.ok()) object.assign(decoded->root());
  }
  fill_defaults(resource, object);
}

api::ApplyOptions tracking(const Context& context, const Target& target,
                           const WriteOptions& options, Time now) {
  api::ApplyOptions out;
  out.manager = manager_of(context, options);
  out.api_version = target.resource->api_version();
  out.subresource = target.subresource;
  out.force = options.force;
  out.now = now;
  const Resource* served = target.resource;
  out.in_version = [served](std::string_view api_version,
                            json::Value object) -> std::optional<api::Versioned> {
    const Resource* row = api::sibling(*served, api_version);
    if (row == nullptr) return std::nullopt;
    json::Document stored = api::to_stored(*served, json::Draft(object)).freeze();
    return api::Versioned{row->schema, api::from_stored(*row, stored.root()).freeze()};
  };
  if (writes_status(target)) {
    out.reset_fields = kSpecFields;
  } else if (target.resource->status_subresource &&
             (target.subresource.empty() || target.subresource == "finalize")) {
    out.reset_fields = kStatusFields;
  }
  return out;
}

// Fields in their order, and what is not told apart once it is stored.
json::Draft as_stored(const Resource& resource, json::Draft object) {
  if (resource.schema == nullptr) return object;
  json::Document document = object.freeze();
  Result<json::Draft> stored = api::stored_form(resource, document.root());
  return stored.ok() ? std::move(stored).value() : json::Draft(document.root());
}

}  // namespace

Machinery::Machinery(store::Store& store, const Clock& clock, MachineryOptions options)
    : options_(std::move(options)),
      store_(store),
      clock_(clock),
      services_(options_.service_cidr, options_.node_port_first, options_.node_port_last),
      admissions_(options_.admission ? default_admissions(store, clock, options_.authoriser)
                                     : std::vector<std::unique_ptr<Admission>>()) {}

Result<void> Machinery::start() { return services_.load(store_); }

Result<json::Draft> Machinery::decode_body(Context& context, const Target& target, json::Value body,
                                           const WriteOptions& options) const {
  const Resource& resource = *target.resource;
  if (!body.is_object()) {
    return Error::bad_request("a {} is an object, not a {}", resource.kind,
                              json::type_name(body.type()));
  }
  TRY(check_kind(resource, body));
  api::DecodeOptions how{.field_validation = options.field_validation,
                         .kind = resource.kind,
                         .version = resource.version};
  json::Draft object = resource.schema != nullptr
                           ? TRY(api::decode(*resource.schema, body, how, context.warnings))
                           : json::Draft(body);
  if (api::ManagedFields::is_reset(body["metadata"]["managedFields"])) {
    object.root().ensure_object("metadata").set_array("managedFields");  // Decoding lost it.
  }
  object.root().set("kind", resource.kind);
  object.root().set("apiVersion", resource.api_version());
  fill_defaults(resource, object.root());
  if (api::is_stored_form(resource)) return object;
  // What the stored form makes of it, which may hold more than this version could say.
  json::Draft stored = api::to_stored(resource, std::move(object));
  fill_defaults(api::stored_rules(resource), stored.root());
  return api::from_stored(resource, stored.freeze().root());
}

void Machinery::track(Context& context, const Target& target, json::Value before, json::Node after,
                      const WriteOptions& options) const {
  // An object whose fields nobody owns stays so until somebody applies it.
  bool owned =
      !before["metadata"]["managedFields"].empty() || !after["metadata"]["managedFields"].empty();
  if (before && !owned) {
    after["metadata"].remove("managedFields");
    return;
  }
  api::track_update(target.resource->schema, before, after,
                    tracking(context, target, options, clock_.now()));
}

Result<Written> Machinery::create(Context& context, const Target& target, json::Value body,
                                  const WriteOptions& options) {
  json::Draft object = TRY(decode_body(context, target, body, options));
  TRY(fit_to_target(target, object.root()));
  // Only the store minds, which a dry run does not reach.
  std::string_view version = object.root()["metadata"]["resourceVersion"].as_string();
  if (!options.dry_run && !version.empty() && version != "0") {
    return Error(Code::kUnknown, "resourceVersion should not be set on objects to be created");
  }
  // What nobody can choose is nobody's; the rest is the caller's before anything is filled in.
  for (const char* field : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"}) {
    object.root()["metadata"].remove(field);
  }
  track(context, target, json::Value(), object.root(), options);
  return insert(context, target, api::to_stored(*target.resource, std::move(object)), options);
}

Result<void> Machinery::create_all(Context& context, std::span<const New> objects) {
  Companions batch;
  for (const auto& [target, body] : objects) {
    json::Document sent = body.freeze();
    json::Draft object = TRY(decode_body(context, target, sent.root(), {}));
    TRY(fit_to_target(target, object.root()));
    track(context, target, json::Value(), object.root(), {});
    object = api::to_stored(*target.resource, std::move(object));
    TRY(insert(context, target, std::move(object), {}, &batch));
  }
  if (!batch.writes.empty()) TRY(store_.commit(std::move(batch.writes)));
  return {};
}

Result<Written> Machinery::insert(Context& context, const Target& target, json::Draft object,
                                  const WriteOptions& options, Companions* batch) {
  const Resource& resource = api::stored_rules(*target.resource);
  const Target stored_target{&resource, target.ns, target.name, target.subresource};
  json::Node root = object.root();
  begin_object(root, clock_.now());
  AdmissionRequest request{Operation::kCreate, stored_target, context.user,
                           context.warnings,   context.notes, options.dry_run};
  request.object = root;
  TRY(mutate(request));
  bool generated = makes_name(root);
  if (generated) make_name(root);
  fill_defaults(resource, root);
  api::prepare_create(resource, root, clock_.now());

  ServiceAllocator::Reservation reservation;
  if (is_services(target)) {
    reservation = TRY(services_.reserve(json::Value(), root, options.dry_run));
  }

  object = as_stored(resource, std::move(object));
  root = object.root();
  for (int attempt = 1;; ++attempt) {
    json::Document frozen = object.freeze();
    TRY(api::validate_create(resource, frozen.root()));
    if (attempt == 1) warn(context, resource, frozen.root());
    Target place{target.resource, target.ns, std::string(root["metadata"]["name"].as_string()), {}};
    request.object = json::Node();
    request.after = frozen.root();
    if (batch != nullptr) {
      CHECK(!is_services(target));
      TRY(validate(request, *batch));
      batch->writes.push_back(TRY(write_of(place, frozen.root(), 0)));
      return Written{nullptr, true};
    }
    if (options.dry_run) {
      Companions none;  // Nothing is stored that they could go with.
      TRY(validate(request, none));
      if (store_.get(resource.group_resource(), place.ns, place.name) != nullptr) {
        return api::already_exists(target.resource->group_resource(), place.name);
      }
      return Written{TRY(loose_object(object, 0)), true};
    }
    Result<ObjectPtr> stored = commit_allowed(request, place, 0);
    if (stored.ok()) {
      reservation.keep();
      return Written{std::move(stored).value(), true};
    }
    bool again =
        generated && stored.error().is(Code::kAlreadyExists) && attempt < kGenerateNameTries;
    if (!again) return std::move(stored).error();
    make_name(root);
  }
}

Machinery::Part Machinery::part_of(const Target& target) {
  if (writes_status(target)) return Part::kStatus;
  if (target.subresource == "finalize") return Part::kFinalize;
  const api::Subresource* subresource = target.resource->subresource(target.subresource);
  bool narrow = subresource != nullptr && subresource->narrow != nullptr;
  return narrow ? Part::kPart : Part::kMain;
}

Result<Written> Machinery::update(Context& context, const Target& target, json::Value body,
                                  const WriteOptions& options) {
  if (target.subresource == "scale") {
    return write_scale(context, target, PatchType::kMerge, body, true, options);
  }
  json::Draft object = TRY(decode_body(context, target, body, options));
  TRY(fit_to_target(target, object.root()));
  json::Document wanted = object.freeze();
  Update how;
  how.part = part_of(target);
  how.expected = TRY(version_of(wanted.root()));
  how.tries = kPatchTries;
  const std::string stored = api::stored_rules(*target.resource).group_resource();
  bool missing = store_.get(stored, target.ns, target.name) == nullptr;
  if (missing && options.may_create && target.subresource.empty()) {
    object.root()["metadata"].remove("resourceVersion");  // Of what was there once.
    track(context, target, json::Value(), object.root(), options);
    Result<Written> made =
        insert(context, target, api::to_stored(*target.resource, std::move(object)), options);
    if (made.ok() || !made.error().is(Code::kAlreadyExists)) return made;
  }
  if (missing) return api::not_found(target.resource->group_resource(), target.name);
  if (how.expected == 0 && !target.resource->unconditional_update) {
    api::FieldErrors errors;
    errors.invalid(api::Path("metadata").child("resourceVersion"), int64_t{0},
                   "must be specified for an update");
    // Upstream names the resource here, not the kind.
    return errors.to_error(target.resource->group, target.resource->plural, target.name);
  }
  return replace(
      context, target,
      [&wanted](json::Value) -> Result<json::Draft> { return json::Draft(wanted.root()); }, options,
      how);
}

Result<json::Draft> Machinery::patched(Context& context, const Target& target, PatchType type,
                                       json::Value live, json::Value patch,
                                       const WriteOptions& options) const {
  const Resource& resource = *target.resource;
  json::Draft merged;
  if (type == PatchType::kJson) {
    merged = TRY(api::json_patch(live, patch));
  } else if (type == PatchType::kMerge) {
    merged = TRY(api::merge_patch(live, patch));
  } else if (resource.schema != nullptr) {
    merged = TRY(api::strategic_merge_patch(*resource.schema, live, patch));
  } else {
    return Error::make(Code::kUnsupportedMediaType,
                       "the body of the request was in an unknown format - accepted media types "
                       "include: application/json-patch+json, application/merge-patch+json, "
                       "application/apply-patch+yaml");
  }
  json::Document document = merged.freeze();
  bool ignored = options.field_validation == FieldValidation::kIgnore;
  bool strict = options.field_validation == FieldValidation::kStrict;
  std::vector<std::string> faults =
      ignored ? std::vector<std::string>() : patch_faults(type, patch);
  size_t said = context.warnings.size();
  Result<json::Draft> object = decode_body(context, target, document.root(), options);
  if (!object.ok() || !faults.empty() || context.warnings.size() != said) {
    // Once more, so that faults are found in upstream's order.
    context.warnings.resize(said);
    document = in_patch_order(type, document.root(), patch);
    if (!strict) context.warnings.insert(context.warnings.end(), faults.begin(), faults.end());
    object = decode_body(context, target, document.root(), options);
    if (strict && !faults.empty()) object = with_faults(resource, faults, object);
    bool strategic = type == PatchType::kStrategic;
    if (!object.ok()) {
      return patch_refusal(std::move(object).error(),
                           strategic ? api::go_text(patch) : document.root().dump());
    }
  }
  TRY(fit_to_target(target, object->root()));
  return object;
}

Result<Written> Machinery::patch(Context& context, const Target& target, PatchType type,
                                 json::Value patch, const WriteOptions& options) {
  if (target.subresource == "scale") {
    return write_scale(context, target, type, patch, false, options);
  }
  if (type == PatchType::kApply) return apply(context, target, patch, options);
  Update how;
  how.part = part_of(target);
  how.tries = kPatchTries;
  return replace(
      context, target,
      [&](json::Value live) { return patched(context, target, type, live, patch, options); },
      options, how);
}

Result<json::Draft> Machinery::applied_to(Context& context, const Target& target, json::Value live,
                                          json::Value applied, const WriteOptions& options) const {
  NormaliseContext normalising{target.resource};
  api::ApplyOptions how = tracking(context, target, options, clock_.now());
  how.normalise = &normalise;
  how.normalise_context = &normalising;
  return api::apply(target.resource->schema, live, applied, how);
}

Result<Written> Machinery::apply(Context& context, const Target& target, json::Value applied,
                                 const WriteOptions& options) {
  const Resource& resource = *target.resource;
  if (options.field_manager.empty()) {
    api::FieldErrors errors;
    errors.required(api::Path("fieldManager"), "is required for apply patch");
    return errors.to_error("meta.k8s.io", "PatchOptions", "");
  }
  if (!applied.is_object()) return Error::bad_request("error decoding YAML: not an object");
  if (applied["apiVersion"].as_string() != resource.api_version() ||
      applied["kind"].as_string() != resource.kind) {
    auto parts = split_once(applied["apiVersion"].as_string(), "/");
    return Error::bad_request("invalid object type: {}/{}, Kind={}", parts ? parts->first : "",
                              parts ? parts->second : applied["apiVersion"].as_string(),
                              applied["kind"].as_string());
  }
  json::Draft request(applied);
  if (Result<void> fits = fit_to_target(target, request.root()); !fits.ok()) {
    // Fields are looked at before names.
    TRY(applied_to(context, target, json::Value(), applied, options));
    return std::move(fits).error();
  }
  Revision expected = TRY(version_of(applied));
  const std::string stored_name = api::stored_rules(resource).group_resource();

  for (int attempt = 1;; ++attempt) {
    ObjectPtr live = store_.get(stored_name, target.ns, target.name);
    if (live == nullptr) {
      if (!target.subresource.empty()) {
        return api::not_found(resource.group_resource(), target.name);
      }
      if (expected != 0) return api::modified(resource.group_resource(), target.name);
      if (!applied["metadata"]["uid"].as_string().empty()) {
        return api::conflict(
            resource.group_resource(), target.name,
            fmt::format("uid mismatch: the provided object specified uid {}, and no "
                        "existing object was found",
                        applied["metadata"]["uid"].as_string()));
      }
      json::Draft object = TRY(applied_to(context, target, json::Value(), applied, options));
      TRY(fit_to_target(target, object.root()));
      fill_defaults(resource, object.root());
      object = api::to_stored(resource, std::move(object));
      Result<Written> written = insert(context, target, std::move(object), options);
      if (written.ok() || !written.error().is(Code::kAlreadyExists) || attempt >= kPatchTries) {
        return written;
      }
      continue;
    }
    Update how{
        .part = part_of(target), .applied = true, .expected = expected, .tries = kPatchTries};
    Result<Written> written = replace(
        context, target,
        [&](json::Value now) { return applied_to(context, target, now, applied, options); },
        options, how);
    if (written.ok() || !written.error().is(Code::kNotFound) || attempt >= kPatchTries) {
      return written;
    }
  }
}

Result<Written> Machinery::replace(Context& context, const Target& target, const Change& change,
                                   const WriteOptions& options, const Update& how) {
  const std::string resource = target.resource->group_resource();
  const std::string stored = api::stored_rules(*target.resource).group_resource();
  size_t warnings = context.warnings.size();
  for (int attempt = 1;; ++attempt) {
    ObjectPtr live = store_.get(stored, target.ns, target.name);
    if (live == nullptr) return api::not_found(resource, target.name);
    if (how.expected != 0 && live->revision() != how.expected) {
      return api::modified(resource, target.name);
    }
    context.warnings.resize(warnings);
    Result<Written> written = replace_once(context, target, live, change, options, how);
    if (written.ok() || !written.error().is(Code::kConflict) || how.expected != 0) return written;
    ObjectPtr now = store_.get(stored, target.ns, target.name);
    bool raced = now == nullptr || now->revision() != live->revision();
    if (!raced || attempt >= how.tries) return written;
  }
}

Result<Written> Machinery::replace_once(Context& context, const Target& target,
                                        const ObjectPtr& live, const Change& change,
                                        const WriteOptions& options, const Update& how) {
  const Resource& served = *target.resource;
  const Resource& resource = api::stored_rules(served);
  json::Document before_document = live->document();
  json::Value before = before_document.root();
  json::Document shown =
      api::is_stored_form(served) ? before_document : api::from_stored(served, before).freeze();
  json::Draft object = TRY(change(shown.root()));
  json::Node root = object.root();

  std::string_view uid = root["metadata"]["uid"].as_string();
  // An applied one is judged with the rest of metadata.
  if (!how.applied && !uid.empty() && uid != live->uid()) {
    return api::conflict(
        served.group_resource(), target.name,
        fmt::format(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{}{}, ResourceVersion: 0, "
            "AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object "
            "meta: {}",
            resource.plural, target.ns.empty() ? "" : target.ns + "/", target.name, uid,
            live->uid()));
  }
  // A patch may carry the version it was made for.
  json::Document patched = object.freeze();
  Revision version = TRY(version_of(patched.root()));
  if (version != 0 && version != live->revision()) {
    return api::modified(served.group_resource(), target.name);
  }
  carry_over(before, root);
  const api::Subresource* part = resource.subresource(target.subresource);
  bool narrows = how.part == Part::kPart || how.part == Part::kStatus;
  if (narrows && part != nullptr && part->narrow != nullptr) {
    part->narrow(before, root, clock_.now());
  }
  if (how.part != Part::kWhole && !how.applied) {
    Target tracked = target;
    if (!how.tracked_as.empty()) tracked.subresource = how.tracked_as;
    track(context, tracked, shown.root(), root, options);
  }
  object = api::to_stored(served, std::move(object));
  root = object.root();
  Target asked = target;  // Rules of admission hear through which part the change came.
  asked.resource = &resource;
  if (!how.tracked_as.empty()) asked.subresource = how.tracked_as;
  std::optional<AdmissionRequest> request;
  if (how.part != Part::kWhole) {
    request.emplace(AdmissionRequest{Operation::kUpdate, asked, context.user, context.warnings,
                                     context.notes, options.dry_run, before, root});
    TRY(mutate(*request));
    request->object = json::Node();
  }
  if (how.part == Part::kFinalize) {
    root.set("status", before["status"]);
  } else if (how.part != Part::kWhole) {
    if (how.part == Part::kMain) fill_defaults(resource, root);
    api::prepare_update(resource, before, root,
                        how.part == Part::kStatus ? api::UpdateScope::kStatus
                        : how.part == Part::kPart ? api::UpdateScope::kPart
                                                  : api::UpdateScope::kMain,
                        clock_.now());
  }
  ServiceAllocator::Reservation reservation;
  if (is_services(target) && how.part == Part::kMain) {
    reservation = TRY(services_.reserve(before, root, options.dry_run));
  }

  object = as_stored(resource, std::move(object));
  json::Document frozen = object.freeze();
  // Some parts of the status have rules of their own.
  bool own_rules = part != nullptr && part->validate_update != nullptr;
  if (how.part == Part::kStatus && !own_rules) {
    TRY(api::validate_status_update(resource, before, frozen.root()));
  } else if (how.part == Part::kStatus || how.part == Part::kPart) {
    TRY(api::validate_part_update(resource, *part, before, frozen.root()));
  } else if (how.part == Part::kMain) {
    TRY(api::validate_update(resource, before, frozen.root()));
    warn(context, resource, frozen.root());
  }
  Written written = TRY(settle(request, target, live, object, options));
  if (!options.dry_run) reservation.keep();
  return written;
}

}  // namespace wherry::apiserver
