#include "apiserver/parameters.h"

#include <algorithm>

#include "api/protobuf.h"
#include "api/status.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/negotiate.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "json/yaml.h"

namespace wherry::apiserver {
namespace {

constexpr size_t kManagerBytesMax = 128;
constexpr size_t kProtobufMagicBytes = 4;

Error invalid_options(std::string_view kind, const api::FieldErrors& errors) {
  return errors.to_error("meta.k8s.io", kind, "");
}

// A parameter that is a number; kBadRequest in the words of Go's query conversion.
Result<std::optional<int64_t>> number(const http::Request& request, std::string_view name) {
  if (!request.query.has(name)) return std::optional<int64_t>();
  std::string_view text = request.query.get(name);
  if (text.empty()) return std::optional<int64_t>(0);
  std::optional<int64_t> value = parse_int(text);
  std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  bool number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
  if (!value && number) {
    return Error::bad_request("strconv.ParseInt: parsing {}: value out of range", quote(text));
  }
  if (!value) {
    return Error::bad_request("strconv.ParseInt: parsing {}: invalid syntax", quote(text));
  }
  return value;
}

Result<bool> check_dry_run(const std::vector<std::string_view>& values, std::string_view kind) {
  bool dry = false;
  for (std::string_view value : values) {
    if (value == "All") {
      dry = true;
      continue;
    }
    std::vector<std::string> shown;
    for (std::string_view one : values) shown.push_back(quote(one));
    return api::invalid(
        "meta.k8s.io", kind, "",
        {.reason = "FieldValueNotSupported",
         .message =
             fmt::format("Unsupported value: [{}]: supported values: \"All\"", join(shown, ",")),
         .field = "dryRun"});
  }
  return dry;
}

// What upstream shows of a body that it could not make sense of.
std::string summary(std::string_view body) {
  constexpr size_t kShown = 30;
  if (body.empty()) return "<empty>";
  if (body[0] == '{') {
    return body.size() > kShown ? std::string(body.substr(0, kShown)) + " ..." : std::string(body);
  }
  std::string hex = hex_encode(body.substr(0, kShown));
  return body.size() > kShown ? hex + " ..." : hex;
}

Error unrecognised(std::string_view kind, std::string_view why, std::string_view body) {
  return Error::bad_request("the object provided is unrecognized (must be of type {}): {} ({})",
                            kind, why, summary(body));
}

Result<json::Document> read_protobuf(const http::Request& request, const api::Struct* schema,
                                     std::string_view kind) {
  if (schema == nullptr) {
    return Error::make(Code::kUnsupportedMediaType,
                       "the body of the request was in an unknown format - accepted media types "
                       "include: application/json, application/yaml");
  }
  if (request.body.empty()) return unrecognised(kind, "empty data", request.body);
  Result<api::ProtobufEnvelope> envelope = api::protobuf_unwrap(request.body);
  if (!envelope.ok()) return unrecognised(kind, envelope.error().message(), request.body);
  if (request.body.size() == kProtobufMagicBytes) {
    return unrecognised(kind, "empty body", request.body);
  }
  Result<json::Draft> draft = json::Draft();
  // A kind that is another, or none at all, is refused by name before its content is looked at.
  if (envelope->kind.empty() || envelope->kind == kind) {
    draft = api::protobuf_decode_body(*schema, request.body);
  } else {
    draft->root().set("kind", envelope->kind);
    draft->root().set("apiVersion", envelope->api_version);
  }
  if (!draft.ok()) {
    std::string_view version = envelope->api_version;
    return Error::bad_request("{} in version \"{}\" cannot be handled as a {}: {}", kind,
                              version.substr(version.find('/') + 1), kind, draft.error().message());
  }
  return draft->freeze();
}

// Options are not an object that a handler is registered for: only what is wrong is said.
Error bare_refusal(Error error) {
  std::string_view text = error.message();
  for (std::string_view mark :
       {std::string_view("cannot be handled as a DeleteOptions: "),
        std::string_view(
            "the object provided is unrecognized (must be of type DeleteOptions): ")}) {
    size_t at = text.find(mark);
    if (at == std::string_view::npos) continue;
    text = text.substr(at + mark.size());
    size_t shown = text.rfind(" (");  // The summary of the body.
    if (mark.starts_with("the object") && shown != std::string_view::npos) {
      text = text.substr(0, shown);
    }
    return Error(error.code(), std::string(text));
  }
  return error;
}

DeleteOptions from_body(json::Value body) {
  DeleteOptions out;
  if (body["gracePeriodSeconds"].is_int()) {
    out.grace_period_seconds = body["gracePeriodSeconds"].as_int();
  }
  json::Value preconditions = body["preconditions"];
  if (preconditions["uid"].is_string()) out.uid = std::string(preconditions["uid"].as_string());
  if (preconditions["resourceVersion"].is_string()) {
    out.resource_version = std::string(preconditions["resourceVersion"].as_string());
  }
  out.propagation_policy = body["propagationPolicy"].as_string();
  if (body["orphanDependents"].is_bool())
    out.orphan_dependents = body["orphanDependents"].as_bool();
  return out;
}

// Managers are shown to people.
void check_printable(std::string_view manager, api::FieldErrors& errors) {
  for (size_t i = 0; i < manager.size(); ++i) {
    auto byte = static_cast<unsigned char>(manager[i]);
    if (byte >= 0x20 && byte != 0x7f) continue;
    errors.invalid(api::Path("fieldManager"), manager,
                   fmt::format("invalid character U+{:04X} (at position {})", byte, i));
  }
}

}  // namespace

Result<ListOptions> list_options(const http::Request& request, const Target& target) {
  ListOptions out;
  if (request.query.has("sendInitialEvents")) {
    api::FieldErrors errors;
    errors.forbidden(api::Path("sendInitialEvents"), "sendInitialEvents is forbidden for list");
    return invalid_options("ListOptions", errors);
  }
  out.filter = TRY(parse_filter(*target.resource, request.query.get("labelSelector"),
                                request.query.get("fieldSelector")));
  std::optional<int64_t> limit = TRY(number(request, "limit"));
  out.limit = limit.value_or(0);
  TRY(number(request, "timeoutSeconds"));  // Of no effect here, yet it has to be a number.
  out.continue_token = request.query.get("continue");
  out.resource_version = request.query.get("resourceVersion");
  out.resource_version_match = request.query.get("resourceVersionMatch");
  return out;
}

Result<WatchOptions> watch_options(const http::Request& request, const Target& target) {
  WatchOptions out;
  out.filter = TRY(parse_filter(*target.resource, request.query.get("labelSelector"),
                                request.query.get("fieldSelector")));
  out.resource_version = request.query.get("resourceVersion");
  out.resource_version_match = request.query.get("resourceVersionMatch");
  if (request.query.has("allowWatchBookmarks")) {
    out.bookmarks = is_true(request.query.get("allowWatchBookmarks"));
  }
  if (request.query.has("sendInitialEvents")) {
    out.send_initial_events = is_true(request.query.get("sendInitialEvents"));
  }
  out.continues = !request.query.get("continue").empty();
  out.timeout_seconds = TRY(number(request, "timeoutSeconds"));
  out.include_object = request.query.get("includeObject");
  return out;
}

Result<WriteOptions> write_options(const http::Request& request, std::string_view kind) {
  WriteOptions out;
  out.dry_run = TRY(check_dry_run(request.query.all("dryRun"), kind));
  out.force = request.query.has("force") && is_true(request.query.get("force"));
  out.field_manager = request.query.get("fieldManager");
  api::FieldErrors errors;
  if (out.field_manager.size() > kManagerBytesMax) {
    errors.too_long(api::Path("fieldManager"), kManagerBytesMax);
  }
  check_printable(out.field_manager, errors);
  std::string_view validation = request.query.get("fieldValidation");
  if (validation == "Strict") {
    out.field_validation = FieldValidation::kStrict;
  } else if (validation == "Ignore") {
    out.field_validation = FieldValidation::kIgnore;
  } else if (!validation.empty() && validation != "Warn") {
    static constexpr std::string_view kKnown[] = {"", "Ignore", "Strict", "Warn"};
    errors.not_supported(api::Path("fieldValidation"), validation, kKnown);
  }
  if (!errors.empty()) return invalid_options(kind, errors);
  return out;
}

Result<DeleteOptions> delete_options(const http::Request& request) {
  DeleteOptions out;
  if (!request.body.empty()) {
    const api::Struct* schema =
        api::find_struct("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    std::vector<std::string> repeated;  // Nobody is told.
    Result<json::Document> read = read_body(request, schema, "DeleteOptions", repeated);
    if (!read.ok()) return bare_refusal(std::move(read).error());
    json::Document body = TRY(std::move(read));
    std::string_view kind = body.root()["kind"].as_string();
    if (!kind.empty() && kind != "DeleteOptions") {
      return Error(Code::kBadRequest, unregistered(body.root()["apiVersion"].as_string(), kind));
    }
    Result<json::Draft> decoded = api::decode(*schema, body.root());
    if (!decoded.ok()) return bare_refusal(std::move(decoded).error());
    out = from_body(body.root());
    std::vector<std::string_view> dry;
    for (json::Value item : body.root()["dryRun"].items()) dry.push_back(item.as_string());
    out.dry_run = TRY(check_dry_run(dry, "DeleteOptions"));
  }
  std::optional<int64_t> grace = TRY(number(request, "gracePeriodSeconds"));
  if (grace) out.grace_period_seconds = grace;
  if (request.query.has("propagationPolicy")) {
    out.propagation_policy = request.query.get("propagationPolicy");
  }
  if (request.query.has("orphanDependents")) {
    out.orphan_dependents = is_true(request.query.get("orphanDependents"));
  }
  if (request.query.has("dryRun")) {
    out.dry_run = TRY(check_dry_run(request.query.all("dryRun"), "DeleteOptions"));
  }
  return out;
}

namespace {

std::string no_object(json::Value root) {
  return fmt::format(
      "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of "
      "type "
      "struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
      "\"json:\\\"kind,omitempty\\\"\" }}",
      json::type_name(root.type()));
}

// apiVersion and kind are read before anything else.
Result<void> check_type_fields(json::Value root, std::string_view kind, std::string_view body) {
  for (const char* field : {"apiVersion", "kind"}) {
    json::Value value = root[field];
    if (!value || value.is_null() || value.is_string()) continue;
    return unrecognised(kind,
                        fmt::format("couldn't get version/kind; json parse error: json: cannot "
                                    "unmarshal {} into Go struct field .{} of type string",
                                    json::type_name(value.type()), field),
                        body);
  }
  std::string_view version = root["apiVersion"].as_string();
  if (std::count(version.begin(), version.end(), '/') > 1) {
    return unrecognised(kind, fmt::format("unexpected GroupVersion string: {}", version), body);
  }
  return {};
}

}  // namespace

Result<json::Document> read_body(const http::Request& request, const api::Struct* schema,
                                 std::string_view kind, std::vector<std::string>& repeated) {
  MediaType media = TRY(body_type(request));
  if (media == MediaType::kProtobuf) return read_protobuf(request, schema, kind);
  if (media == MediaType::kYaml) {
    Result<json::Document> parsed = json::parse_yaml(request.body, &repeated);
    if (parsed.ok() && parsed->root().is_null()) return json::Draft().freeze();
    if (parsed.ok() && parsed->root().is_object()) {
      TRY(check_type_fields(parsed->root(), kind, request.body));
      return parsed;
    }
    if (parsed.ok()) return unrecognised(kind, no_object(parsed->root()), request.body);
    return Error::bad_request("the object provided is unrecognized (must be of type {}): {} ({})",
                              kind, parsed.error().message(), summary(request.body));
  }
  Result<json::Document> parsed = json::Document::parse(request.body);
  // Null leaves everything as it is in an object that holds nothing yet.
  if (parsed.ok() && parsed->root().is_null()) return json::Draft().freeze();
  if (parsed.ok() && parsed->root().is_object()) {
    TRY(check_type_fields(parsed->root(), kind, request.body));
    return parsed;
  }
  std::string why = api::go_json_error(request.body);
  if (parsed.ok()) {
    return unrecognised(kind, no_object(parsed->root()), request.body);
  } else if (why.empty()) {
    why = parsed.error().message();
  }
  return Error::bad_request(
      "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json "
      "parse "
      "error: {} ({})",
      kind, why, summary(request.body));
}

Result<PatchBody> read_patch(const http::Request& request) {
  std::string media = bare_media_type(request.headers.get("Content-Type"));
  PatchBody out{PatchType::kJson, {}};
  if (media == "application/merge-patch+json") {
    out.type = PatchType::kMerge;
  } else if (media == "application/strategic-merge-patch+json") {
    out.type = PatchType::kStrategic;
  } else if (media == "application/apply-patch+yaml") {
    out.type = PatchType::kApply;
  } else if (media != "application/json-patch+json") {
    return Error(Code::kUnsupportedMediaType, "415: Unsupported Media Type");
  }
  if (out.type == PatchType::kApply) {
    Result<json::Document> parsed = json::parse_yaml(request.body, &out.repeated);
    if (!parsed.ok()) {
      return Error::bad_request("error decoding YAML: error converting YAML to JSON: {}",
                                parsed.error().message());
    }
    if (parsed->root().is_null()) parsed = json::Draft().freeze();
    if (!parsed->root().is_object()) {
      return Error::bad_request(
          "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
          "unmarshal {} "
          "into Go value of type map[string]interface {{}}",
          json::type_name(parsed->root().type()));
    }
    out.document = std::move(parsed).value();
    return out;
  }
  Result<json::Document> parsed = json::Document::parse(request.body);
  if (!parsed.ok()) {
    std::string why = api::go_json_error(request.body);
    if (why.empty()) why = parsed.error().message();
    // A strategic patch is read by somebody else, who says no more than this.
    if (out.type == PatchType::kStrategic) return Error(Code::kBadRequest, std::move(why));
    return Error::bad_request("error decoding patch: {}", why);
  }
  if (out.type == PatchType::kMerge && parsed->root().is_null()) {
    return Error::bad_request("Invalid JSON Patch");
  }
  out.document = std::move(parsed).value();
  return out;
}

}  // namespace wherry::apiserver
