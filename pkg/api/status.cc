#include "api/status.h"

#include "base/strings.h"

namespace wherry::api {
namespace {

struct CodeRow {
  Code code;
  int http;
  std::string_view reason;
};

// The one table. Where two codes share an HTTP status the first is what a bare status is read as.
constexpr CodeRow kCodes[] = {
    {Code::kBadRequest, 400, "BadRequest"},
    {Code::kUnauthorized, 401, "Unauthorized"},
    {Code::kForbidden, 403, "Forbidden"},
    {Code::kNotFound, 404, "NotFound"},
    {Code::kMethodNotAllowed, 405, "MethodNotAllowed"},
    {Code::kNotAcceptable, 406, "NotAcceptable"},
    {Code::kConflict, 409, "Conflict"},
    {Code::kAlreadyExists, 409, "AlreadyExists"},
    {Code::kGone, 410, "Gone"},
    {Code::kExpired, 410, "Expired"},
    {Code::kRequestEntityTooLarge, 413, "RequestEntityTooLarge"},
    {Code::kUnsupportedMediaType, 415, "UnsupportedMediaType"},
    {Code::kInvalid, 422, "Invalid"},
    {Code::kTooManyRequests, 429, "TooManyRequests"},
    {Code::kInternal, 500, "InternalError"},
    {Code::kServerTimeout, 500, "ServerTimeout"},
    {Code::kUnknown, 500, ""},
    {Code::kUnsupported, 501, "NotImplemented"},
    {Code::kUnavailable, 503, "ServiceUnavailable"},
    {Code::kTimeout, 504, "Timeout"},
    {Code::kStorageFull, 507, "InsufficientStorage"},
};

const CodeRow& row_of(Code code) {
  for (const CodeRow& row : kCodes) {
    if (row.code == code) return row;
  }
  return kCodes[14];
}

struct Target {
  std::string_view kind;
  std::string_view group;
};

Target split_resource(std::string_view resource) {
  size_t dot = resource.find('.');
  if (dot == std::string_view::npos) return {resource, {}};
  return {resource.substr(0, dot), resource.substr(dot + 1)};
}

Error about(Code code, std::string_view resource, std::string_view name, std::string message) {
  Error error(code, std::move(message));
  Target target = split_resource(resource);
  error.details().name = name;
  error.details().kind = target.kind;
  error.details().group = target.group;
  return error;
}

void set_unless_empty(json::Node node, std::string_view key, std::string_view value) {
  if (!value.empty()) node.set(key, value);
}

void head(json::Node root, std::string_view status) {
  root.set("kind", "Status");
  root.set("apiVersion", "v1");
  root.set_object("metadata");
  root.set("status", status);
}

bool says_something(const ErrorDetails& details) {
  return !details.name.empty() || !details.group.empty() || !details.kind.empty() ||
         !details.uid.empty() || !details.causes.empty() || details.retry_after_seconds != 0;
}

// Upstream leaves details out of errors that are about no object at all.
bool has_details(const Error& error) {
  if (says_something(error.details())) return true;
  switch (error.code()) {
    case Code::kNotFound:
    case Code::kInvalid:
    case Code::kMethodNotAllowed:
    case Code::kForbidden:
    case Code::kConflict: return true;
    default: return false;
  }
}

}  // namespace

int http_status(Code code) { return row_of(code).http; }
std::string_view reason_of(Code code) { return row_of(code).reason; }

Code code_from(std::string_view reason, int http_code) {
  for (const CodeRow& row : kCodes) {
    if (!reason.empty() && row.reason == reason) return row.code;
  }
  for (const CodeRow& row : kCodes) {
    if (row.http == http_code) return row.code;
  }
  return http_code >= 400 && http_code < 500 ? Code::kBadRequest : Code::kInternal;
}

json::Draft status_object(const Error& error) {
  json::Draft draft;
  json::Node root = draft.root();
  head(root, "Failure");
  set_unless_empty(root, "message", error.message());
  const ErrorDetails& details = error.details();
  // Upstream gives a reason only to errors it made on purpose; a bare internal one has none.
  bool bare = error.is(Code::kInternal) && !says_something(details);
  if (!bare) set_unless_empty(root, "reason", reason_of(error.code()));
  if (has_details(error)) {
    json::Node out = root.set_object("details");
    set_unless_empty(out, "name", details.name);
    set_unless_empty(out, "group", details.group);
    set_unless_empty(out, "kind", details.kind);
    set_unless_empty(out, "uid", details.uid);
    if (!details.causes.empty()) {
      json::Node causes = out.set_array("causes");
      for (const Cause& cause : details.causes) {
        json::Node item = causes.push_object();
        set_unless_empty(item, "reason", cause.reason);
        set_unless_empty(item, "message", cause.message);
        set_unless_empty(item, "field", cause.field);
      }
    }
    if (details.retry_after_seconds > 0) {
      out.set("retryAfterSeconds", details.retry_after_seconds);
    }
  }
  root.set("code", http_status(error.code()));
  return draft;
}

json::Draft success_status(std::string_view resource, std::string_view name, std::string_view uid) {
  json::Draft draft;
  json::Node root = draft.root();
  head(root, "Success");
  Target target = split_resource(resource);
  if (!name.empty() || !resource.empty() || !uid.empty()) {
    json::Node details = root.set_object("details");
    set_unless_empty(details, "name", name);
    set_unless_empty(details, "group", target.group);
    set_unless_empty(details, "kind", target.kind);
    set_unless_empty(details, "uid", uid);
  }
  return draft;
}

Error error_from_status(json::Value body, int http_code) {
  if (body["kind"].as_string() != "Status") {
    return Error::make(code_from({}, http_code), "the server answered with status {}", http_code);
  }
  int code = static_cast<int>(body["code"].as_int(http_code));
  Error error(code_from(body["reason"].as_string(), code),
              std::string(body["message"].as_string()));
  json::Value details = body["details"];
  ErrorDetails& out = error.details();
  out.name = details["name"].as_string();
  out.group = details["group"].as_string();
  out.kind = details["kind"].as_string();
  out.uid = details["uid"].as_string();
  out.retry_after_seconds = static_cast<int>(details["retryAfterSeconds"].as_int());
  for (json::Value cause : details["causes"].items()) {
    out.causes.push_back({std::string(cause["reason"].as_string()),
                          std::string(cause["message"].as_string()),
                          std::string(cause["field"].as_string())});
  }
  return error;
}

Error not_found(std::string_view resource, std::string_view name) {
  return about(Code::kNotFound, resource, name,
               fmt::format("{} {} not found", resource, quote(name)));
}

Error already_exists(std::string_view resource, std::string_view name) {
  return about(Code::kAlreadyExists, resource, name,
               fmt::format("{} {} already exists", resource, quote(name)));
}

Error conflict(std::string_view resource, std::string_view name, std::string_view detail) {
  return about(
      Code::kConflict, resource, name,
      fmt::format("Operation cannot be fulfilled on {} {}: {}", resource, quote(name), detail));
}

Error modified(std::string_view resource, std::string_view name) {
  return conflict(
      resource, name,
      "the object has been modified; please apply your changes to the latest version and "
      "try again");
}

Error forbidden(std::string_view resource, std::string_view name, std::string_view detail) {
  std::string message;
  if (resource.empty()) {
    message = fmt::format("forbidden: {}", detail);
  } else if (name.empty()) {
    message = fmt::format("{} is forbidden: {}", resource, detail);
  } else {
    message = fmt::format("{} {} is forbidden: {}", resource, quote(name), detail);
  }
  return about(Code::kForbidden, resource, name, std::move(message));
}

Error expired(std::string_view message) { return Error(Code::kExpired, std::string(message)); }
Error gone(std::string_view message) { return Error(Code::kGone, std::string(message)); }

Error method_not_allowed(std::string_view resource, std::string_view method) {
  if (method.empty()) {
    return about(Code::kMethodNotAllowed, resource, {},
                 "the server does not allow this method on the requested resource");
  }
  return about(Code::kMethodNotAllowed, resource, {},
               fmt::format("{} is not supported on resources of kind {}", method, quote(resource)));
}

Error no_such_resource() {
  return Error::not_found("the server could not find the requested resource");
}

Error unauthorized() { return Error(Code::kUnauthorized, "Unauthorized"); }

Error invalid(std::string_view group, std::string_view kind, std::string_view name, Cause cause) {
  std::string qualified(kind);
  if (!group.empty()) qualified += "." + std::string(group);
  Error error = Error::invalid("{} {} is invalid: {}: {}", qualified, quote(name), cause.field,
                               cause.message);
  error.details() = {
      std::string(name), std::string(group), std::string(kind), {}, {std::move(cause)}, 0};
  return error;
}

Error internal_error(std::string_view message) {
  Error error = Error::internal("Internal error occurred: {}", message);
  error.details().causes.push_back({{}, std::string(message), {}});
  return error;
}

Error too_many_requests(std::string_view message, int retry_after_seconds) {
  Error error(Code::kTooManyRequests, std::string(message));
  error.details().retry_after_seconds = retry_after_seconds;
  return error;
}

Error too_large(std::string_view message) {
  return Error::make(Code::kRequestEntityTooLarge, "Request entity too large: {}", message);
}

Error precondition_failed(std::string_view resource, std::string_view name, std::string_view field,
                          std::string_view wanted, std::string_view actual) {
  return conflict(
      resource, name,
      fmt::format("Precondition failed: {0} in precondition: {1}, {0} in object meta: {2}", field,
                  wanted, actual));
}

}  // namespace wherry::api
