#pragma once
// What is left of an object that was stored. Most kinds are stored as protobuf, which does not know
// an empty list from none; a few are stored as JSON. Pure.

#include "api/resource.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

// The object as it comes back from there: decoded as its row's kind, its fields in their order.
// What cannot be decoded stays as it is. `resource` is a stored form.
json::Draft stored_form(const Resource& resource, json::Draft object);

}  // namespace wherry::api
