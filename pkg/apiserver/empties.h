#pragma once
// Lists and maps that hold nothing. Objects are kept without them, as nothing is told apart by
// them; the refusal of an object shows them as they were sent. Pure.

#include "json/json.h"

namespace wherry::apiserver {

// Whether `value` holds an empty list or map somewhere.
bool has_empties(json::Value value);
// `object` with the empty lists and maps that `sent` has and it lacks.
json::Document with_empties(json::Value object, json::Value sent);

}  // namespace wherry::apiserver
