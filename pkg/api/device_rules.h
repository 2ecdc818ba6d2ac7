#pragma once
// Rules of resource.k8s.io/v1; each a hook of its row in extensions.cc. Wording: Kubernetes. Pure.
// DEVIATION: the expressions of selectors are not compiled, so that a wrong one is not refused.

#include <string_view>

#include "api/field_error.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

void default_claim(json::Node claim);
void default_claim_template(json::Node object);
void validate_claim(json::Value claim, FieldErrors& errors);
void validate_claim_template_object(json::Value object, FieldErrors& errors);
void validate_device_class(json::Value object, FieldErrors& errors);
void validate_claim_update(json::Value before, json::Value after, FieldErrors& errors);
void validate_claim_template_update(json::Value before, json::Value after, FieldErrors& errors);
void validate_claim_status(json::Value before, json::Value after, FieldErrors& errors);

void prepare_slice(json::Node slice, Time now);
void prepare_slice_update(json::Value before, json::Node after, Time now);
void validate_slice(json::Value slice, FieldErrors& errors);
void validate_slice_update(json::Value before, json::Value after, FieldErrors& errors);

// Parts that several of them have.
void validate_driver_name(std::string_view name, const Path& path, FieldErrors& errors);
void validate_pool_name(std::string_view name, const Path& path, FieldErrors& errors);
// [domain/]identifier, as attributes of devices are called.
enum class Domain { kOptional, kNeeded };
void validate_device_key(std::string_view key, Domain domain, const Path& path,
                         FieldErrors& errors);
// An item that has come before.
void find_repeated(json::Value list, const char* field, const Path& path, FieldErrors& errors);

}  // namespace wherry::api
