#pragma once
// Rules of kinds that extend the API or steer its use: webhook configurations, admission policies,
// CustomResourceDefinitions, APIServices, flow control. Each a hook of its row. Wording:
// Kubernetes. Pure.

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

void validate_webhooks(json::Value object, FieldErrors& errors);
void validate_api_service(json::Value object, FieldErrors& errors);
void validate_admission_policy(json::Value object, FieldErrors& errors);
void validate_admission_policy_binding(json::Value object, FieldErrors& errors);
void validate_mutating_policy(json::Value object, FieldErrors& errors);
void validate_mutating_policy_binding(json::Value object, FieldErrors& errors);
void validate_flow_schema(json::Value object, FieldErrors& errors);
void validate_priority_level(json::Value object, FieldErrors& errors);

// What several of them have: operations, groups, versions and resources; who is called; when.
void validate_admission_rule(json::Value rule, const Path& path, FieldErrors& errors);
void validate_webhook_client(json::Value client, const Path& path, FieldErrors& errors);
void validate_review_versions(json::Value versions, const Path& path, FieldErrors& errors);
void validate_match_conditions(json::Value conditions, const Path& path, FieldErrors& errors);

}  // namespace wherry::api
