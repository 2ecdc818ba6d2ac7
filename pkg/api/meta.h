#pragma once
// Rules on metadata and on whole objects that hold for every kind, and the two calls with which the
// generic verbs run a row's own hooks. Pure.

#include <string_view>

#include "api/field_error.h"
#include "api/resource.h"
#include "json/json.h"

namespace wherry::api {

// metadata of a new object: name or generateName, namespace, labels, annotations, finalizers,
// ownerReferences, managedFields.
void validate_meta(const Resource& resource, json::Value meta, FieldErrors& errors);
// What may not change: name, namespace, uid, creationTimestamp, deletionTimestamp, ... ("field is
// immutable").
void validate_meta_update(json::Value before, json::Value after, FieldErrors& errors);

// Everything checked on create: required fields, enums and bounds from the schema, metadata,
// row.validate. kInvalid with all causes.
Result<void> validate_create(const Resource& resource, json::Value object);
// The same for an update of the main resource: also metadata's and the row's update rules.
Result<void> validate_update(const Resource& resource, json::Value before, json::Value after);
// For an update through a subresource that writes a part of the spec (Subresource::narrow).
Result<void> validate_part_update(const Resource& resource, const Subresource& subresource,
                                  json::Value before, json::Value after);
// For an update through /status.
Result<void> validate_status_update(const Resource& resource, json::Value before,
                                    json::Value after);

// Required, enum and bounds rules the schema tables state, over the whole object.
void validate_schema(const Struct& schema, json::Value object, const Path& path,
                     FieldErrors& errors);

// Fills metadata.generation, resets status where the row says so, and runs the row's prepare hook.
void prepare_create(const Resource& resource, json::Node object, Time now);
// Keeps status and bumps metadata.generation where the spec changed, and runs the row's hook. With
// kStatus everything but status and metadata's labels, annotations, finalizers,
// ownerReferences and managedFields is taken from `before`; with kPart the subresource has narrowed
// the change already.
enum class UpdateScope { kMain, kStatus, kPart };
void prepare_update(const Resource& resource, json::Value before, json::Node after,
                    UpdateScope scope, Time now);

}  // namespace wherry::api
