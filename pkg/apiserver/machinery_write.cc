// The verbs that write whole objects: create, update, patch.

#include "api/conversion.h"
#include "api/meta.h"
#include "api/status.h"
#include "api/stored_form.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/empties.h"
#include "apiserver/machinery.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr int kGenerateNameTries = 8;
constexpr int kPatchTries = 5;

void warn(Context& context, const Resource& resource, json::Value object) {
  if (resource.warnings == nullptr) return;
  for (std::string& text : resource.warnings(object)) context.warnings.push_back(std::move(text));
}

ServiceAllocator::Use use_of(const WriteOptions& options) {
  return options.dry_run ? ServiceAllocator::Use::kTrial : ServiceAllocator::Use::kReal;
}

// What the rules say of an object; where they refuse it, with its empty lists as they were sent.
template <typename Rules>
Result<void> judged(const Context& context, json::Value object, Rules rules) {
  Result<void> said = rules(object);
  if (said.ok() || !context.sent) return said;
  json::Document sent = with_empties(object, context.sent);
  Result<void> shown = rules(sent.root());
  return shown.ok() ? std::move(said) : std::move(shown);
}

// What was sent is looked at while one verb goes on: nothing of it is known to the next.
class Sent {
 public:
  explicit Sent(Context& context) : context_(context) {}
  Sent(const Sent&) = delete;
  ~Sent() {
    context_.sent = {};
    context_.merged = {};
  }

 private:
  Context& context_;
};

}  // namespace

Machinery::Machinery(store::Store& store, const Clock& clock, MachineryOptions options)
    : options_(std::move(options)),
      store_(store),
      clock_(clock),
      allocator_(options_.service_cidr, options_.node_port_first, options_.node_port_last),
      admissions_(options_.admission ? admissions_of({store, clock, options_.authoriser,
                                                      options_.admission_settings})
                                     : std::vector<std::unique_ptr<Admission>>()) {}

Result<void> Machinery::start() { return allocator_.load(store_); }

Result<Written> Machinery::create(Context& context, const Target& target, json::Value body,
                                  const WriteOptions& options) {
  Sent sent(context);
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
    json::Document whole = body.freeze();
    Sent sent(context);
    json::Draft object = TRY(decode_body(context, target, whole.root(), {}));
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
  // A dry run shows the version that was sent: only the store would have minded.
  const std::string sent_version(root["metadata"]["resourceVersion"].as_string());
  begin_object(root, clock_.now());
  AdmissionRequest request{Operation::kCreate, stored_target, context.user,
                           context.warnings,   context.notes, options.dry_run};
  request.object = root;
  TRY(mutate(request));
  bool generated = makes_name(root);
  if (generated) make_name(root);
  fill_defaults(resource, root);
  api::prepare_create(resource, root, clock_.now());

  ServiceAllocator::Reservation reservation =
      TRY(allocator_.reserve(*target.resource, json::Value(), root, use_of(options)));

  object = api::stored_form(resource, std::move(object));
  root = object.root();
  for (int attempt = 1;; ++attempt) {
    json::Document frozen = object.freeze();
    TRY(judged(context, frozen.root(),
               [&](json::Value after) { return api::validate_create(resource, after); }));
    if (attempt == 1) warn(context, resource, frozen.root());
    Target place{target.resource, target.ns, std::string(root["metadata"]["name"].as_string()), {}};
    request.object = json::Node();
    request.after = frozen.root();
    if (batch != nullptr) {
      CHECK(reservation.holds_nothing());
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
      if (!sent_version.empty()) {
        root["metadata"].set("resourceVersion", sent_version);
        put_in_order(resource.schema, object);
      }
      return Written{TRY(loose_object(object, 0)), true};
    }
    // What is reserved has to be kept afterwards.
    Result<Written> stored =
        commit_allowed(request, place, 0, reservation.holds_nothing() ? context.later : nullptr);
    if (stored.ok()) {
      reservation.keep();
      stored->created = true;
      return stored;
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
  Sent sent(context);
  if (target.subresource == "scale") return update_scale(context, target, body, options);
  json::Draft object = TRY(decode_body(context, target, body, options));
  TRY(fit_to_target(target, object.root()));
  json::Document wanted = object.freeze();
  Update how;
  how.part = part_of(target);
  how.replaces = true;
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

Result<Written> Machinery::patch(Context& context, const Target& target, PatchType type,
                                 json::Value patch, const WriteOptions& options) {
  Sent sent(context);
  if (target.subresource == "scale") return patch_scale(context, target, type, patch, options);
  if (type == PatchType::kApply) return apply(context, target, patch, options);
  Update how;
  how.part = part_of(target);
  how.tries = kPatchTries;
  return replace(
      context, target,
      [&](json::Value live) { return patched(context, target, type, live, patch, options); },
      options, how);
}

Result<Written> Machinery::apply(Context& context, const Target& target, json::Value applied,
                                 const WriteOptions& options) {
  const Resource& resource = *target.resource;
  TRY(check_applied(resource, applied, options));
  json::Draft request(applied);
  if (Result<void> fits = fit_to_target(target, request.root()); !fits.ok()) {
    // Fields are looked at before names.
    ObjectPtr live =
        store_.get(api::stored_rules(resource).group_resource(), target.ns, target.name);
    json::Document now = live == nullptr ? json::Document() : live->document();
    TRY(applied_to(context, target, now.root(), applied, options));
    return std::move(fits).error();
  }
  Revision expected = TRY(version_of(applied));
  const std::string stored_name = api::stored_rules(resource).group_resource();

  for (int attempt = 1;; ++attempt) {
    ObjectPtr live = store_.get(stored_name, target.ns, target.name);
    if (live == nullptr) {
      if (!target.subresource.empty() || options.must_exist) {
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
  // Of a patched one it is judged with the rest of metadata.
  if (how.replaces && !uid.empty() && uid != live->uid()) {
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
  if (how.part != Part::kWhole && !how.applied) {
    track(context, target, shown.root(), root, options);
  }
  // What it may not change is owned by whoever tried.
  if (narrows && part != nullptr && part->narrow != nullptr) {
    part->narrow(before, root, clock_.now());
  }
  object = api::to_stored(served, std::move(object));
  root = object.root();
  Target asked = target;  // Rules of admission hear through which part the change came.
  asked.resource = &resource;
  if (!how.asked_as.empty()) asked.subresource = how.asked_as;
  std::optional<AdmissionRequest> request;
  if (how.part != Part::kWhole) {
    request.emplace(AdmissionRequest{Operation::kUpdate, asked, context.user, context.warnings,
                                     context.notes, options.dry_run, before, root});
    request->patches = !how.replaces;
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
  if (how.part == Part::kMain) {
    reservation = TRY(allocator_.reserve(*target.resource, before, root, use_of(options)));
  }

  object = api::stored_form(resource, std::move(object));
  json::Document frozen = object.freeze();
  // Some parts of the status have rules of their own.
  bool own_rules = part != nullptr && part->validate_update != nullptr;
  if (how.part == Part::kStatus && !own_rules) {
    TRY(api::validate_status_update(resource, before, frozen.root()));
  } else if (how.part == Part::kStatus || how.part == Part::kPart) {
    TRY(api::validate_part_update(resource, *part, before, frozen.root()));
  } else if (how.part == Part::kMain) {
    TRY(judged(context, frozen.root(),
               [&](json::Value after) { return api::validate_update(resource, before, after); }));
    if (resource.warns_of_updates) warn(context, resource, frozen.root());
  }
  Written written = TRY(settle(request, target, live, object, options,
                               reservation.holds_nothing() ? context.later : nullptr));
  if (!options.dry_run) reservation.keep();
  return written;
}

}  // namespace wherry::apiserver
