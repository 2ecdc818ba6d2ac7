#pragma once
// Values as Go prints them; upstream's messages hold such text. Pure.

#include <string>

#include "api/schema.h"
#include "json/json.h"

namespace wherry::api {

// A decoded JSON value: map[a:1 b:[x y]], <nil>, strings bare.
std::string go_text(json::Value value);

// A typed value as the JSON of Go's internal struct: every field, by its Go name, null for absent
// pointers and lists: {"Type":"x","RollingUpdate":null}.
json::Document go_struct(const Struct& type, json::Value value);
// The same of a list of them; null for one that is absent.
json::Document go_structs(const Struct& type, json::Value list);

}  // namespace wherry::api
