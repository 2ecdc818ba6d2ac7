#pragma once
// What a HorizontalPodAutoscaler's metrics and behavior (autoscaling/v2) must be like, and the
// defaults of the behavior. Pure.

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

void validate_metrics(json::Value metrics, const Path& path, FieldErrors& errors);
void validate_behavior(json::Value behavior, const Path& path, FieldErrors& errors);
void behavior_defaults(json::Node behavior);

}  // namespace wherry::api
