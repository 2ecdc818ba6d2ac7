#pragma once
// Rules of conditions that are meta/v1 Conditions: types once each, known states, reasons that are
// words. Wording: Kubernetes. Pure.

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

void validate_conditions(json::Value conditions, const Path& path, FieldErrors& errors);

}  // namespace wherry::api
