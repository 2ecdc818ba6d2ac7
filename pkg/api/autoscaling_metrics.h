#pragma once
// The metrics of a HorizontalPodAutoscaler in their old, flat form, which autoscaling/v1 keeps in
// annotations and autoscaling/v2beta1 has as fields, and in that of autoscaling/v2. Pure.

#include "json/json.h"

namespace wherry::api {

// Rewrite a list of spec.metrics or status.currentMetrics in place.
void flatten_metrics(json::Node metrics);
void unflatten_metrics(json::Node metrics);
void flatten_current_metrics(json::Node metrics);
void unflatten_current_metrics(json::Node metrics);

}  // namespace wherry::api
