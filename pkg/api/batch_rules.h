#pragma once
// Rules of batch/v1 JobSpec, of a Job and of a CronJob's template. Wording: Kubernetes. Pure.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

// All but the selector and the labels that a Job makes itself.
void validate_job_spec(json::Value spec, const Path& path, FieldErrors& errors);

// An update of a Job, beside what holds for a new one.
void validate_job_update(json::Value before, json::Value after, FieldErrors& errors);
// What a controller writes to a Job's status, and how it may change.
void validate_job_status(json::Value before, json::Value after, FieldErrors& errors);

// How many indexes "0-3,7" names, or why it does not.
struct IndexCount {
  int64_t count = 0;
  std::string problem = {};
  std::vector<std::pair<int64_t, int64_t>> ranges = {};  // First and last of each, in order.
};
IndexCount count_indexes(std::string_view text, int64_t completions);

}  // namespace wherry::api
