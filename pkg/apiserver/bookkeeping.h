#pragma once
// What the server itself keeps in metadata: uid, times, version, and the agreement between an
// object and the request that carries it. Pure.

#include <string>
#include <string_view>

#include "apiserver/request.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::apiserver {

// What upstream says of a kind it does not know.
std::string unregistered(std::string_view api_version, std::string_view kind);
// The object's kind and apiVersion are the row's, or absent; kBadRequest otherwise.
Result<void> check_kind(const Resource& resource, json::Value body);
// Namespace and name of the object agree with the request's path, or are filled in from it. `named`
// is set when the request names the object (update, patch).
Result<void> fit_to_target(const Target& target, json::Node object);
// That an apply says who applies, and something of the resource's kind.
Result<void> check_applied(const Resource& resource, json::Value applied,
                           const WriteOptions& options);

// Those of the schema, then the row's own.
void fill_defaults(const Resource& resource, json::Node object);
bool writes_status(const Target& target);  // Or a part of it.

// A new object's uid and creationTimestamp; what a client must not choose goes. The name is made
// from generateName where it is missing.
void begin_object(json::Node object, Time now);
void make_name(json::Node object);
bool makes_name(json::Node object);  // No name, but a generateName.

// In whose name managed fields are kept: what the request says, else the program that sent it.
std::string manager_of(const Context& context, const WriteOptions& options);

// Fields that a client may leave out of an update, and those it can never change back.
void carry_over(json::Value before, json::Node after);

// metadata.resourceVersion as a number; 0 when absent. kUnknown when it is no number.
Result<Revision> version_of(json::Value object);

// What was put in along the way stands at the end; clients see fields in the order of their
// declaration.
void put_in_order(const api::Struct* schema, json::Draft& object);

bool has_finalizers(json::Value object);
// Whether nothing but finalizers kept the object: it goes with this update.
bool ready_to_go(json::Value before, json::Value after);

// That the object is the one, and the version, that a delete speaks of.
Result<void> check_preconditions(const Target& target, const api::Object& live,
                                 const DeleteOptions& options);

// An object that is not in the store: the answer to a dry run, a Scale, a token.
Result<ObjectPtr> loose_object(json::Draft& object, Revision revision);
// A success Status in the shape of an object.
Result<ObjectPtr> success_object();

}  // namespace wherry::apiserver
