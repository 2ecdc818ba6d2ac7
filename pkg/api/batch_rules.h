#pragma once
// Rules of batch/v1 JobSpec, of a Job and of a CronJob's template. Wording: Kubernetes. Pure.

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

// All but the selector and the labels that a Job makes itself.
void validate_job_spec(json::Value spec, const Path& path, FieldErrors& errors);

}  // namespace wherry::api
