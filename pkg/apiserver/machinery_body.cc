// From what a client sent, whole, as a patch or as what it applies, to an object with its owners.

#include "api/apply.h"
#include "api/conversion.h"
#include "api/defaults.h"
#include "api/go_text.h"
#include "api/managed_fields.h"
#include "api/patch.h"
#include "api/status.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/empties.h"
#include "apiserver/machinery.h"
#include "apiserver/patch_faults.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kStatusFields[] = {"status"};
constexpr std::string_view kSpecFields[] = {"spec"};

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
    json::Document frozen = object.freeze();
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
  const api::Subresource* part = served->subresource(target.subresource);
  if (part != nullptr && !part->reset_fields.empty()) {
    out.reset_fields = part->reset_fields;
  } else if (writes_status(target)) {
    out.reset_fields = kSpecFields;
  } else if (part == nullptr && !served->reset_fields.empty()) {
    out.reset_fields = served->reset_fields;
  } else if (target.resource->status_subresource &&
             (target.subresource.empty() || target.subresource == "finalize")) {
    out.reset_fields = kStatusFields;
  }
  return out;
}

}  // namespace

Result<json::Draft> Machinery::decode_body(Context& context, const Target& target, json::Value body,
                                           const WriteOptions& options) const {
  const Resource& resource = *target.resource;
  if (!body.is_object()) {
    return Error::bad_request("a {} is an object, not a {}", resource.kind,
                              json::type_name(body.type()));
  }
  TRY(check_kind(resource, body));
  context.sent = has_empties(body) ? body : json::Value();
  api::DecodeOptions how{.field_validation = options.field_validation,
                         .kind = resource.kind,
                         .version = resource.version};
  const size_t said = context.warnings.size();
  Result<json::Draft> decoded = resource.schema != nullptr
                                    ? api::decode(*resource.schema, body, how, context.warnings)
                                    : json::Draft(body);
  const std::vector<std::string>& repeated = options.repeated;
  if (!repeated.empty() && options.field_validation == FieldValidation::kStrict)
    return with_faults(resource, {"yaml: unmarshal errors:\n  " + join(repeated, "\n  ")}, decoded);
  if (options.field_validation == FieldValidation::kWarn) {
    context.warnings.insert(context.warnings.begin() + static_cast<std::ptrdiff_t>(said),
                            repeated.begin(), repeated.end());
  }
  json::Draft object = TRY(std::move(decoded));
  if (api::ManagedFields::is_reset(body["metadata"]["managedFields"])) {
    object.root().ensure_object("metadata").set_array("managedFields");  // Decoding lost it.
  }
  object.root().set("kind", resource.kind);
  object.root().set("apiVersion", resource.api_version());
  fill_defaults(resource, object.root());
  if (resource.conversion_fault != nullptr) {
    std::string fault = resource.conversion_fault(object.freeze().root());
    if (!fault.empty()) {
      return Error::bad_request("{} in version \"{}\" cannot be handled as a {}: {}", resource.kind,
                                resource.version, resource.kind, fault);
    }
  }
  if (api::is_stored_form(resource)) return object;
  // What the stored form makes of it, which may hold more than this version could say.
  json::Draft stored = api::to_stored(resource, std::move(object));
  fill_defaults(api::stored_rules(resource), stored.root());
  return api::from_stored(resource, stored.freeze().root());
}

void Machinery::track(Context& context, const Target& target, json::Value before, json::Node after,
                      const WriteOptions& options) const {
  const Resource& resource = *target.resource;
  // An object whose fields nobody owns stays so until somebody applies it.
  bool owned =
      !before["metadata"]["managedFields"].empty() || !after["metadata"]["managedFields"].empty();
  if (before && !owned) {
    after["metadata"].remove("managedFields");
    return;
  }
  // Labels that will be the template's are the caller's.
  json::Node meta = after["metadata"];
  const bool lent = resource.labels_of_template && meta["labels"].empty();
  if (lent) meta.set("labels", after["spec"]["template"]["metadata"]["labels"]);
  api::track_update(resource.schema, before, after,
                    tracking(context, target, options, clock_.now()));
  if (lent) meta.remove("labels");
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
    // It is made of the Go type, which has one name.
    merged.root().set("kind", resource.kind);
    merged.root().set("apiVersion", resource.api_version());
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
  context.merged = std::move(document);
  return object;
}

Result<json::Draft> Machinery::applied_to(Context& context, const Target& target, json::Value live,
                                          json::Value applied, const WriteOptions& options) const {
  NormaliseContext normalising{target.resource};
  api::ApplyOptions how = tracking(context, target, options, clock_.now());
  how.normalise = &normalise;
  how.normalise_context = &normalising;
  json::Draft object = TRY(api::apply(target.resource->schema, live, applied, how));
  // What is wrong with the text is told after what is wrong with the fields.
  const std::vector<std::string>& repeated = options.repeated;
  if (!repeated.empty() && options.field_validation == FieldValidation::kStrict) {
    return Error::bad_request(
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {}",
        join(repeated, "\n  "));
  }
  if (options.field_validation == FieldValidation::kWarn)
    context.warnings.insert(context.warnings.end(), repeated.begin(), repeated.end());
  return object;
}

}  // namespace wherry::apiserver
