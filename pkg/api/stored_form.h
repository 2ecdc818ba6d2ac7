#pragma once
// What is left of an object that was stored. Most kinds are stored as protobuf, which does not know
// an empty list from none; a few are stored as JSON. Pure.

#include "api/resource.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

// The object decoded as its row's kind, as it comes back from there. `resource` is a stored form.
Result<json::Draft> stored_form(const Resource& resource, json::Value object);

}  // namespace wherry::api
