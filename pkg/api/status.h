#pragma once
// Status: errors as clients see them. The one table from Code to HTTP status and reason, meta/v1
// Status objects in both directions, and constructors for the errors whose wording clients match
// on. Pure.
//
// `resource` is "pods" or "deployments.apps" everywhere: the plural, then the group.

#include <string>
#include <string_view>

#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

int http_status(Code code);
std::string_view reason_of(Code code);  // "NotFound"; empty for a code without one.
Code code_from(std::string_view reason, int http_code);

// A Failure: kind, apiVersion, metadata {}, status, message, reason, details, code.
json::Draft status_object(const Error& error);
// A Success, as deletes answer: details name, group, kind (the plural) and uid; empty ones left
// out.
json::Draft success_status(std::string_view resource, std::string_view name, std::string_view uid);
// What a peer answered; `body` may be absent or no Status, then the message is made from the code.
Error error_from_status(json::Value body, int http_code);

// `pods "x" not found`
Error not_found(std::string_view resource, std::string_view name);
// `pods "x" already exists`
Error already_exists(std::string_view resource, std::string_view name);
// `Operation cannot be fulfilled on pods "x": the object has been modified; please apply your
// changes to the latest version and try again`
Error modified(std::string_view resource, std::string_view name);
// `Operation cannot be fulfilled on pods "x": detail`
Error conflict(std::string_view resource, std::string_view name, std::string_view detail);
// `pods "x" is forbidden: detail`; without a name `pods is forbidden: detail`.
Error forbidden(std::string_view resource, std::string_view name, std::string_view detail);
// `The provided continue parameter is too old ...` and the like; 410, reason Expired.
Error expired(std::string_view message);
// 410, reason Gone.
Error gone(std::string_view message);
// `the server does not allow this method on the requested resource`
Error method_not_allowed(std::string_view resource, std::string_view method);
// `the server could not find the requested resource`: a path that names no resource.
Error no_such_resource();
Error unauthorized();  // "Unauthorized".
// `Internal error occurred: message`, reason InternalError. A bare Error::internal has no reason on
// the wire, as upstream's unplanned errors.
Error internal_error(std::string_view message);
// 422 with one cause, for rules outside field validation.
Error invalid(std::string_view group, std::string_view kind, std::string_view name, Cause cause);
Error too_many_requests(std::string_view message, int retry_after_seconds);
Error too_large(std::string_view message);
// 409 with cause UID/ResourceVersion mismatch: `Precondition failed: UID in precondition: a, UID in
// object meta: b`.
Error precondition_failed(std::string_view resource, std::string_view name, std::string_view field,
                          std::string_view wanted, std::string_view actual);

}  // namespace wherry::api
