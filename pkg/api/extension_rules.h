#pragma once
// Rules of kinds that extend the API or steer its use: webhook configurations, APIServices, flow
// control. Each a hook of its row in extensions.cc. Wording: Kubernetes. Pure.

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

void validate_webhooks(json::Value object, FieldErrors& errors);
void validate_api_service(json::Value object, FieldErrors& errors);
void validate_flow_schema(json::Value object, FieldErrors& errors);
void validate_priority_level(json::Value object, FieldErrors& errors);

}  // namespace wherry::api
