#pragma once
// Schema defaults: the constant default of each field put in where the field is absent, also inside
// lists, maps and structs that are there. Defaults that depend on other fields belong to the
// resource rows. Pure; any thread.

#include "api/schema.h"
#include "json/json.h"

namespace wherry::api {

void apply_defaults(const Struct& type, json::Node object);

}  // namespace wherry::api
