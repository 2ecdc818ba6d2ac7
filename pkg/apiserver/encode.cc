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

json::Draft list_meta(const ListResult& list) {
  json::Draft meta;
  meta.root().set("resourceVersion", std::to_string(list.revision));
  if (!list.continue_token.empty()) meta.root().set("continue", list.continue_token);
  if (list.remaining) meta.root().set("remainingItemCount", *list.remaining);
  return meta;
}

api::TableOptions table_options(const Wanted& wanted, std::string_view include, bool headers) {
  api::TableOptions options;
  options.include_object = include_of(include);
  options.headers = headers;
  options.version = wanted.form_version;
  return options;
}

// Stored objects begin with kind and apiVersion, which the items of a list go without.
std::string_view without_type(const ObjectPtr& object) {
  std::string_view json = object->json();
  size_t at = json.find("\"metadata\":");
  return at == std::string_view::npos ? json.substr(1) : json.substr(at);
}

// The stored objects' own bytes, one after the other; nothing is copied before it is sent.
void set_plain_list(http::Response& response, const Resource& resource, const ListResult& list) {
  json::Draft meta = list_meta(list);
  response.reserve_pieces(2 * list.items.size() + 2);
  response.set_body("application/json",
                    fmt::format(R"({{"kind":"{}List","apiVersion":"{}","metadata":{},"items":[)",
                                resource.kind, resource.api_version(), meta.dump()));
  std::string_view between = "{";
  for (const ObjectPtr& object : list.items) {
    response.append(http::Piece{nullptr, between});
    response.append(http::Piece{object, without_type(object)});
    between = ",{";
  }
  response.append(http::Piece{nullptr, "]}\n"});
}

std::string joined_body(const http::Response& response) {
  std::string out;
  out.reserve(response.body_size());
  for (const http::Piece& piece : response.pieces()) out += piece.bytes;
  return out;
}

std::string protobuf_list(const Resource& resource, const ListResult& list) {
  std::vector<std::string> encoded;
  encoded.reserve(list.items.size());
  for (const ObjectPtr& object : list.items) {
    encoded.push_back(api::protobuf_encode(*resource.schema, object->document().root()));
  }
  std::vector<std::string_view> items(encoded.begin(), encoded.end());
  json::Document meta = list_meta(list).freeze();
  return api::protobuf_list_body(resource.api_version(), std::string(resource.kind) + "List",
                                 meta.root(), items);
}

// The documents stay alive as long as their roots are looked at.
struct Parsed {
  std::vector<json::Document> documents;
  std::vector<json::Value> roots;
};

Parsed parse_all(const std::vector<ObjectPtr>& objects) {
  Parsed out;
  for (const ObjectPtr& object : objects) {
    out.documents.push_back(object->document());
    out.roots.push_back(out.documents.back().root());
  }
  return out;
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

// Unlike those of typed lists, these items say what they are.
json::Draft partial_list(const std::vector<json::Value>& objects, json::Value meta,
                         const std::string& version) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", "PartialObjectMetadataList");
  root.set("apiVersion", "meta.k8s.io/" + version);
  root.set("metadata", meta);
  // Clients have always seen null here, not [], when nothing matches.
  if (objects.empty()) root.set_null("items");
  if (objects.empty()) return draft;
  json::Node items = root.set_array("items");
  for (json::Value object : objects) items.push(api::partial_metadata(object, version).root());
  return draft;
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

const api::Struct* form_struct(const Wanted& wanted, bool list) {
  if (wanted.form != Form::kPartial) return nullptr;
  return meta_struct(list ? "PartialObjectMetadataList" : "PartialObjectMetadata");
}

void set_rendered(http::Response& response, json::Value document, const api::Struct* schema,
                  const Wanted& wanted) {
  MediaType media = wanted.media;
  if (media == MediaType::kProtobuf && schema == nullptr) media = MediaType::kJson;
  std::string body = render(document, schema, media, wanted.pretty);
  if (media == MediaType::kJson) body += "\n";
  response.set_body(std::string(media_type_name(media)), std::move(body));
}

void write_items(http::Response& response, const Resource& resource, const ListResult& list,
                 const Wanted& wanted, std::string_view include_object, Time now) {
  response.status = 200;
  if (wanted.form == Form::kObject) {
    if (wanted.media == MediaType::kProtobuf && resource.schema != nullptr) {
      response.set_body(std::string(media_type_name(wanted.media)), protobuf_list(resource, list));
      return;
    }
    set_plain_list(response, resource, list);
    if (!wanted.pretty && wanted.media != MediaType::kYaml) return;
    json::Document document = json::Document::parse(joined_body(response)).value();
    set_rendered(response, document.root(), nullptr, wanted);
    return;
  }
  Parsed parsed = parse_all(list.items);
  json::Document meta = list_meta(list).freeze();
  json::Draft draft =
      wanted.form == Form::kTable
          ? api::make_table(resource, parsed.roots, table_options(wanted, include_object, true),
                            now, meta.root())
          : partial_list(parsed.roots, meta.root(), wanted.form_version);
  set_rendered(response, draft.freeze().root(), form_struct(wanted, true), wanted);
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
  if (wanted.form == Form::kObject && wanted.media == MediaType::kJson && !wanted.pretty) {
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
  set_rendered(response, draft.freeze().root(), form_struct(wanted, false), wanted);
}

void write_list(http::Response& response, const Resource& resource, const ListResult& list,
                const Wanted& wanted, std::string_view include_object, Time now) {
  if (api::is_stored_form(resource) || wanted.form == Form::kTable) {
    write_items(response, resource, list, wanted, include_object, now);
    return;
  }
  ListResult converted = list;
  for (ObjectPtr& object : converted.items) object = shown(resource, object, wanted);
  write_items(response, resource, converted, wanted, include_object, now);
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
  const api::Struct* schema = form_struct(wanted, false);
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
