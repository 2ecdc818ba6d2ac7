#pragma once
// Conversion between the versions a kind is served in and the one that is stored. A row that is not
// the stored one names it (Resource::stored_as) and has the two conversions; every other row is its
// own stored form, and all calls here leave its objects as they are. Pure; any thread.

#include <optional>
#include <string_view>

#include "api/object.h"
#include "api/resource.h"
#include "json/json.h"

namespace wherry::api {

bool is_stored_form(const Resource& row);

// By what stored objects of the row are judged: the stored row, with the checks of `served` where
// it has its own. Its group_resource() is the name under which the store keeps them.
const Resource& stored_rules(const Resource& served);

// From the form of `served` to the stored one and back. Both give what decoding gives: fields in
// order, zero values as Go has them.
json::Draft to_stored(const Resource& served, json::Draft object);
json::Draft from_stored(const Resource& served, json::Value object);
// The same for an object as it comes from the store; `object` itself where nothing changes.
ObjectPtr served_object(const Resource& served, const ObjectPtr& object);

// The row of the same group in which `served` is also known as `api_version`; null when there is
// none, as for another group's form of it.
const Resource* sibling(const Resource& served, std::string_view api_version);

}  // namespace wherry::api
