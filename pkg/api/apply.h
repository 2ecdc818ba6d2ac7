#pragma once
// Server-side apply and managed fields (meta/v1 ManagedFieldsEntry): who set which field. Driven by
// the schema tables; `schema` null or preserve_unknown means structure is inferred from the data
// (lists atomic). Pure.
//
// A write goes through exactly one of the two calls. Both leave metadata.managedFields of the
// result ready to store. Fields in `reset_fields` are those the endpoint never writes (status for
// the main resource; spec for /status): they are neither taken from the caller nor owned by it.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/schema.h"
#include "base/clock.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

// An object in one of the versions that its kind is served in.
struct Versioned {
  const Struct* schema = nullptr;
  json::Document object;
};

struct ApplyOptions {
  std::string manager;      // fieldManager, or the User-Agent's first word.
  std::string api_version;  // Of the request: "apps/v1".
  std::string subresource;  // "" or "status", "scale".
  bool force = false;
  Time now{};
  std::span<const std::string_view> reset_fields = {};  // Top-level members or dotted paths.
  // Given the merged object before it is compared with the live one. May be null, as for upstream's
  // own kinds: what a default puts back in was still given up.
  void (*normalise)(const void* context, json::Node object) = nullptr;
  const void* normalise_context = nullptr;
  // An object of the request's version as `api_version` has it, for the sake of managers that wrote
  // in that one; nothing when the kind has no such version, and its managers are forgotten. May be
  // null: every manager is taken to speak of the request's version.
  std::function<std::optional<Versioned>(std::string_view api_version, json::Value object)>
      in_version = nullptr;
};

// Merges `applied` into `live` (absent: create). kConflict with one cause per contested field;
// kBadRequest when managedFields are set in the request or it cannot be typed. The result equals
// `live` in everything, managedFields and their times included, when nothing changed.
Result<json::Draft> apply(const Struct* schema, json::Value live, json::Value applied,
                          const ApplyOptions& options);

// For create, update and the other patches: works out what changed from `live` (absent: create) to
// `updated` and records it for options.manager as operation Update. Managed fields that the client
// sent as an empty list are dropped as upstream drops them.
void track_update(const Struct* schema, json::Value live, json::Node updated,
                  const ApplyOptions& options);

// Once the result of a write was decoded and defaulted: when it differs from `live` in nothing but
// the times of managed fields, they are taken from `live` too, so that the write is seen to change
// nothing.
void keep_times_if_unchanged(json::Value live, json::Node updated);

// The fields of `object` in FieldsV1 form ({"f:spec": {...}}), as an apply of it would own them.
json::Draft fields_of(const Struct* schema, json::Value object);

// "kubectl/v1.36.0 (linux/amd64) ..." gives "kubectl": the manager when a request names none.
std::string manager_from_user_agent(std::string_view user_agent);

}  // namespace wherry::api
