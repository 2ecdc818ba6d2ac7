#include "apiserver/encode.h"

#include <map>

#include "api/conversion.h"
#include "api/protobuf.h"
#include "api/status.h"
#include "api/table.h"
#include "apiserver/continue_token.h"
#include "json/yaml.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kMetaPackage = "io.k8s.apimachinery.pkg.apis.meta.v1.";

const api::Struct* meta_struct(std::string_view name) {
  return api::find_struct(std::string(kMetaPackage) + std::string(name));
}

http::SharedBytes newline() {
  static const auto kNewline = std::make_shared<const std::string>("\n");
  return kNewline;
}

// Two spaces a level, as API servers print; the JSON layer prints four, as kubectl does. Raw line
// ends never occur inside JSON strings, so only indentation is touched.
std::string indent_two(const std::string& four) {
  std::string out;
  out.reserve(four.size());
  size_t at = 0;
  while (at < four.size()) {
    size_t spaces = 0;
    while (at + spaces < four.size() && four[at + spaces] == ' ') ++spaces;
    out.append(spaces / 2, ' ');
    size_t end = four.find('\n', at + spaces);
    end = end == std::string::npos ? four.size() : end + 1;
    out.append(four, at + spaces, end - at - spaces);
    at = end;
  }
  return out;
}

// YAML is written from Go's maps.
json::Draft sorted(json::Value value) {
  json::Draft out;
  json::Node root = out.root();
  if (value.is_object()) {
    std::map<std::string_view, json::Value> members;
    for (auto [key, member] : value.members()) members.emplace(key, member);
    for (const auto& [key, member] : members) root.add(key, sorted(member).freeze().root());
  } else if (value.is_array()) {
    root.assign_array();
    for (json::Value item : value.items()) root.push(sorted(item).root());
  } else {
    root.assign(value);
  }
  return out;
}

api::IncludeObject include_of(std::string_view text) {
  if (text == "None") return api::IncludeObject::kNone;
  if (text == "Object") return api::IncludeObject::kObject;
  return api::IncludeObject::kMetadata;
}

// Tables read the stored form, all else is in the form of the version that was asked for.
ObjectPtr shown(const Resource& resource, const ObjectPtr& object, const Wanted& wanted) {
  return wanted.form == Form::kTable ? object : api::served_object(resource, object);
}

api::TableOptions table_options(const Wanted& wanted, std::string_view include, bool headers) {
  api::TableOptions options;
  options.include_object = include_of(include);
  options.headers = headers;
  options.version = wanted.form_version;
  return options;
}

std::shared_ptr<const std::string> frame(std::string_view type, std::string_view body,
                                         MediaType media) {
  if (media == MediaType::kProtobuf) {
    return std::make_shared<const std::string>(api::protobuf_watch_frame(type, body));
  }
  std::string out;
  out.reserve(body.size() + 40);
  out += R"({"type":")";
  out += type;
  out += R"(","object":)";
  out += body;
  out += "}\n";
  return std::make_shared<const std::string>(std::move(out));
}

// An object in one of the other forms, as a document with the struct it is encoded by.
json::Draft other_form(const Resource& resource, const ObjectPtr& object, const Wanted& wanted,
                       std::string_view include, bool headers, Time now) {
  json::Document document = object->document();
  if (wanted.form == Form::kPartial)
    return api::partial_metadata(document.root(), wanted.form_version);
  json::Draft meta;
  meta.root().set("resourceVersion", std::to_string(object->revision()));
  json::Document frozen = meta.freeze();
  json::Value items[] = {document.root()};
  return api::make_table(resource, items, table_options(wanted, include, headers), now,
                         frozen.root());
}

const api::Struct* form_struct(const Wanted& wanted) {
  return wanted.form == Form::kPartial ? meta_struct("PartialObjectMetadata") : nullptr;
}

void set_body(http::Response& response, MediaType media, std::string body, const Wanted& wanted) {
  if (wanted.gzip && body.size() > kCompressedBytesMin) {
    response.headers.set("Content-Encoding", "gzip");
    response.headers.add("Vary", "Accept-Encoding");
    body = http::gzip(body);
  }
  response.set_body(std::string(media_type_name(media)), std::move(body));
}

void set_rendered(http::Response& response, json::Value document, const api::Struct* schema,
                  const Wanted& wanted) {
  MediaType media = wanted.media;
  if (media == MediaType::kProtobuf && schema == nullptr) media = MediaType::kJson;
  std::string body = render(document, schema, media, wanted.pretty);
  if (media == MediaType::kJson) body += "\n";
  set_body(response, media, std::move(body), wanted);
}

}  // namespace

std::string render(json::Value document, const api::Struct* schema, MediaType media, bool pretty) {
  switch (media) {
    case MediaType::kYaml: return json::to_yaml(sorted(document).freeze().root());
    case MediaType::kProtobuf: return api::protobuf_encode_body(*schema, document);
    case MediaType::kJson: break;
  }
  return pretty ? indent_two(document.dump_pretty()) : document.dump();
}

void write_object(http::Response& response, int status, const Resource& resource,
                  const ObjectPtr& stored, const Wanted& wanted, std::string_view include_object,
                  Time now) {
  const ObjectPtr object = shown(resource, stored, wanted);
  response.status = status;
  const bool as_stored =
      wanted.form == Form::kObject && wanted.media == MediaType::kJson && !wanted.pretty;
  if (as_stored && wanted.gzip && object->json().size() > kCompressedBytesMin) {
    set_body(response, MediaType::kJson, object->json() + "\n", wanted);
    return;
  }
  if (as_stored) {
    response.set_body("application/json", http::SharedBytes(object, &object->json()));
    response.append(newline());
    return;
  }
  if (wanted.form == Form::kObject) {
    const api::Struct* schema = resource.schema;
    if (object->kind() != resource.kind) schema = nullptr;
    set_rendered(response, object->document().root(), schema, wanted);
    return;
  }
  json::Draft draft = other_form(resource, object, wanted, include_object, true, now);
  set_rendered(response, draft.freeze().root(), form_struct(wanted), wanted);
}

void write_document(http::Response& response, int status, json::Value document,
                    const api::Struct* schema, const Wanted& wanted) {
  response.status = status;
  set_rendered(response, document, schema, wanted);
}

void write_error(http::Response& response, const Error& error, const Wanted& wanted) {
  Error shown = error;
  std::string fresh;
  if (shown.details().uid.starts_with(kInconsistentContinue)) {
    fresh = shown.details().uid.substr(kInconsistentContinue.size());
    shown.details().uid.clear();
  }
  json::Draft status = api::status_object(shown);
  if (!fresh.empty()) status.root().ensure_object("metadata").set("continue", fresh);
  // Answers that no kind's code made have empty details.
  bool generic = shown.is(Code::kMethodNotAllowed) || shown.is(Code::kNotFound) ||
                 shown.is(Code::kInvalid) || shown.message().starts_with("415: ") ||
                 shown.message().starts_with("406: ");
  if (generic && !status.root()["details"]) {
    status.root().remove("code");  // It stands last.
    status.root().set_object("details");
    status.root().set("code", api::http_status(shown.code()));
  }
  if (shown.details().retry_after_seconds > 0) {
    response.headers.set("Retry-After", std::to_string(shown.details().retry_after_seconds));
  }
  response.status = api::http_status(shown.code());
  set_rendered(response, status.freeze().root(), meta_struct("Status"), wanted);
}

void write_text(http::Response& response, int status, std::string text) {
  response.status = status;
  response.set_body("text/plain; charset=utf-8", std::move(text));
  response.headers.set("X-Content-Type-Options", "nosniff");
}

std::shared_ptr<const std::string> encode_event(std::string_view type, const Resource& resource,
                                                const ObjectPtr& stored, const Wanted& wanted,
                                                std::string_view include_object, bool headers,
                                                Time now) {
  const ObjectPtr object = shown(resource, stored, wanted);
  if (wanted.form == Form::kObject) {
    if (wanted.media == MediaType::kProtobuf && resource.schema != nullptr) {
      std::string body = api::protobuf_encode_body(*resource.schema, object->document().root());
      return frame(type, body, MediaType::kProtobuf);
    }
    return frame(type, object->json(), MediaType::kJson);
  }
  json::Draft draft = other_form(resource, object, wanted, include_object, headers, now);
  const api::Struct* schema = form_struct(wanted);
  MediaType media = schema == nullptr ? MediaType::kJson : wanted.media;
  return frame(type, render(draft.freeze().root(), schema, media, false), media);
}

std::shared_ptr<const std::string> encode_bookmark(const Resource& resource, Revision revision,
                                                   bool initial_events_end, const Wanted& wanted,
                                                   std::string_view include_object) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", resource.kind);
  root.set("apiVersion", resource.api_version());
  json::Node meta = root.set_object("metadata");
  meta.set("resourceVersion", std::to_string(revision));
  if (initial_events_end) {
    meta.set_object("annotations").set("k8s.io/initial-events-end", "true");
  }
  if (wanted.form == Form::kObject) {
    bool protobuf = wanted.media == MediaType::kProtobuf && resource.schema != nullptr;
    MediaType media = protobuf ? MediaType::kProtobuf : MediaType::kJson;
    return frame("BOOKMARK", render(draft.freeze().root(), resource.schema, media, false), media);
  }
  Result<ObjectPtr> object = api::Object::parse(draft.dump());
  CHECK(object.ok());
  return encode_event("BOOKMARK", resource, *object, wanted, include_object, false, Time{});
}

std::shared_ptr<const std::string> encode_error_event(const Error& error, const Wanted& wanted) {
  json::Draft status = api::status_object(error);
  bool protobuf = wanted.media == MediaType::kProtobuf && wanted.form != Form::kTable;
  MediaType media = protobuf ? MediaType::kProtobuf : MediaType::kJson;
  return frame("ERROR", render(status.freeze().root(), meta_struct("Status"), media, false), media);
}

std::string watch_content_type(const Wanted& wanted) {
  if (wanted.media == MediaType::kProtobuf && wanted.form != Form::kTable) {
    return "application/vnd.kubernetes.protobuf;stream=watch";
  }
  return "application/json";
}

}  // namespace wherry::apiserver
