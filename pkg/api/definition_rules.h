#pragma once
// Rules of CustomResourceDefinitions, apiextensions.k8s.io/v1: the definition itself, and the
// schemas in it, which have to be structural. Wording and paths: Kubernetes, which tells what all
// versions have in common without a version (spec.validation, spec.subresources, ...). Pure.

#include "api/field_error.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

void default_definition(json::Node object);
void prepare_definition(json::Node object, Time now);
void prepare_definition_update(json::Value before, json::Node after, Time now);
void validate_definition(json::Value object, FieldErrors& errors);
void validate_definition_update(json::Value before, json::Value after, FieldErrors& errors);
void validate_definition_status(json::Value before, json::Value after, FieldErrors& errors);

// The openAPIV3Schema of a version.
void validate_definition_schema(json::Value schema, const Path& path, FieldErrors& errors);

}  // namespace wherry::api
