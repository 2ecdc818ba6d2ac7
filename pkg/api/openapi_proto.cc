// The OpenAPI v2 document in protobuf: gnostic's openapi.v2.Document, which kubectl and client-go
// ask for as application/com.github.proto-openapi.spec.v2@v1.0+protobuf. Numbers from
// gnostic-models OpenAPIv2.proto.

#include "api/openapi.h"
#include "api/protobuf_wire.h"

namespace wherry::api {
namespace {

void put_text(std::string& out, uint32_t number, json::Value value) {
  if (value.is_string()) wire::put_bytes(out, number, value.as_string());
}

void put_texts(std::string& out, uint32_t number, json::Value list) {
  for (json::Value item : list.items()) wire::put_bytes(out, number, item.as_string());
}

void put_flag(std::string& out, uint32_t number, json::Value value) {
  if (value.as_bool()) wire::put_number(out, number, 1);
}

// Any { 2: yaml }, of which JSON is a part.
std::string any(json::Value value) {
  std::string out;
  wire::put_bytes(out, 2, value.dump());
  return out;
}

std::string named(std::string_view name, std::string_view value) {
  std::string out;
  wire::put_bytes(out, 1, name);
  wire::put_bytes(out, 2, value);
  return out;
}

void put_extensions(std::string& out, uint32_t number, json::Value object) {
  for (auto [key, value] : object.members()) {
    if (key.starts_with("x-")) wire::put_bytes(out, number, named(key, any(value)));
  }
}

std::string schema(json::Value value) {
  std::string out;
  put_text(out, 1, value["$ref"]);
  put_text(out, 2, value["format"]);
  put_text(out, 4, value["description"]);
  if (json::Value given = value["default"]) wire::put_bytes(out, 5, any(given));
  if (value["maximum"].is_number()) wire::put_double(out, 7, value["maximum"].as_double());
  if (value["minimum"].is_number()) wire::put_double(out, 9, value["minimum"].as_double());
  put_texts(out, 19, value["required"]);
  for (json::Value item : value["enum"].items()) wire::put_bytes(out, 20, any(item));
  if (json::Value inner = value["additionalProperties"]) {
    std::string item;
    wire::put_bytes(item, 1, schema(inner));
    wire::put_bytes(out, 21, item);
  }
  if (value["type"]) {
    std::string type;
    put_text(type, 1, value["type"]);
    wire::put_bytes(out, 22, type);
  }
  if (json::Value inner = value["items"]) {
    std::string items;
    wire::put_bytes(items, 1, schema(inner));
    wire::put_bytes(out, 23, items);
  }
  if (json::Value properties = value["properties"]) {
    std::string list;
    for (auto [key, property] : properties.members()) {
      wire::put_bytes(list, 1, named(key, schema(property)));
    }
    wire::put_bytes(out, 25, list);
  }
  put_extensions(out, 31, value);
  return out;
}

// ParametersItem { 1: Parameter { 1: body | 2: NonBodyParameter { 3: query | 4: path } } }.
std::string parameter(json::Value value) {
  std::string inner, outer, item;
  std::string_view place = value["in"].as_string();
  if (place == "body") {
    put_text(inner, 1, value["description"]);
    put_text(inner, 2, value["name"]);
    put_text(inner, 3, value["in"]);
    put_flag(inner, 4, value["required"]);
    wire::put_bytes(inner, 5, schema(value["schema"]));
    wire::put_bytes(outer, 1, inner);
  } else {
    const bool path = place == "path";
    put_flag(inner, 1, value["required"]);
    put_text(inner, 2, value["in"]);
    put_text(inner, 3, value["description"]);
    put_text(inner, 4, value["name"]);
    put_text(inner, path ? 5 : 6, value["type"]);
    put_flag(inner, path ? 19 : 20, value["uniqueItems"]);
    std::string kind;
    wire::put_bytes(kind, path ? 4 : 3, inner);
    wire::put_bytes(outer, 2, kind);
  }
  wire::put_bytes(item, 1, outer);
  return item;
}

std::string response(json::Value value) {
  std::string made, out;
  put_text(made, 1, value["description"]);
  if (json::Value inner = value["schema"]) {
    std::string item;
    wire::put_bytes(item, 1, schema(inner));
    wire::put_bytes(made, 2, item);
  }
  wire::put_bytes(out, 1, made);
  return out;
}

std::string operation(json::Value value) {
  std::string out;
  put_texts(out, 1, value["tags"]);
  put_text(out, 3, value["description"]);
  put_text(out, 5, value["operationId"]);
  put_texts(out, 6, value["produces"]);
  put_texts(out, 7, value["consumes"]);
  for (json::Value item : value["parameters"].items()) wire::put_bytes(out, 8, parameter(item));
  std::string responses;
  for (auto [code, item] : value["responses"].members()) {
    wire::put_bytes(responses, 1, named(code, response(item)));
  }
  wire::put_bytes(out, 9, responses);
  put_texts(out, 10, value["schemes"]);
  put_extensions(out, 13, value);
  return out;
}

std::string path_item(json::Value value) {
  static constexpr std::pair<std::string_view, uint32_t> kMethods[] = {
      {"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"patch", 8}};
  std::string out;
  for (const auto& [method, number] : kMethods) {
    if (json::Value item = value[method]) wire::put_bytes(out, number, operation(item));
  }
  for (json::Value item : value["parameters"].items()) wire::put_bytes(out, 9, parameter(item));
  return out;
}

// SecurityDefinitionsItem { 2: ApiKeySecurity }.
std::string api_key(json::Value value) {
  std::string key, out;
  put_text(key, 1, value["type"]);
  put_text(key, 2, value["name"]);
  put_text(key, 3, value["in"]);
  put_text(key, 4, value["description"]);
  wire::put_bytes(out, 2, key);
  return out;
}

}  // namespace

std::string openapi_v2_protobuf(std::span<const Resource* const> custom) {
  Result<json::Document> document = json::Document::parse(openapi_v2(custom));
  CHECK(document.ok());  // Our own writing.
  json::Value root = document->root();
  std::string out, info, paths, definitions, security;
  put_text(out, 1, root["swagger"]);
  put_text(info, 1, root["info"]["title"]);
  put_text(info, 2, root["info"]["version"]);
  wire::put_bytes(out, 2, info);
  for (auto [path, item] : root["paths"].members()) {
    wire::put_bytes(paths, 2, named(path, path_item(item)));
  }
  wire::put_bytes(out, 8, paths);
  for (auto [name, item] : root["definitions"].members()) {
    wire::put_bytes(definitions, 1, named(name, schema(item)));
  }
  wire::put_bytes(out, 9, definitions);
  for (auto [name, item] : root["securityDefinitions"].members()) {
    wire::put_bytes(security, 1, named(name, api_key(item)));
  }
  wire::put_bytes(out, 13, security);
  return out;
}

}  // namespace wherry::api
