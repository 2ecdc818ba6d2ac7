#include "api/openapi_schema.h"

#include <algorithm>
#include <map>

namespace wherry::api {
namespace {

constexpr std::string_view kTime = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
constexpr std::string_view kMicroTime = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
constexpr std::string_view kDuration = "io.k8s.apimachinery.pkg.apis.meta.v1.Duration";
constexpr std::string_view kFieldsV1 = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";
constexpr std::string_view kQuantity = "io.k8s.apimachinery.pkg.api.resource.Quantity";
constexpr std::string_view kIntOrString = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
constexpr std::string_view kRawExtension = "io.k8s.apimachinery.pkg.runtime.RawExtension";
constexpr std::string_view kExtensions =
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";
constexpr std::string_view kExtensionsJson =
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON";

bool is_choice(const TypeRef& type) { return type.kind == Kind::kAny && type.structure != nullptr; }

void put_one_of(json::Node into, std::string_view first, std::string_view second) {
  json::Node list = into.add_array("oneOf");
  list.push_object().add("type", first);
  list.push_object().add("type", second);
}

}  // namespace

std::string SchemaWriter::reference_text(std::string_view definition) const {
  std::string out = version_ == OpenApi::kV3 ? "#/components/schemas/" : "#/definitions/";
  return out.append(definition);
}

void SchemaWriter::put_reference(json::Node into, std::string_view definition) {
  into.add("$ref", std::string_view(reference_text(definition)));
}

void SchemaWriter::put_reference(json::Node into, const Struct& type) {
  want(type);
  put_reference(into, type.definition);
}

void SchemaWriter::add_kind(const Struct& type, const GroupVersionKind& kind) {
  want(type);
  for (const Kinds& have : kinds_) {
    if (have.type == &type && have.kind == kind) return;
  }
  kinds_.push_back({&type, kind});
}

void SchemaWriter::add_object(std::string_view definition, std::string_view description) {
  if (out_[definition]) return;
  json::Node made = out_.add_object(definition);
  made.add("description", description);
  made.add("type", std::string_view("object"));
}

void SchemaWriter::add_list(std::string_view definition, const Struct& item,
                            const GroupVersionKind& kind) {
  const Struct* list_meta = find_struct("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta");
  CHECK(list_meta != nullptr);
  if (out_[definition]) return;
  json::Node made = out_.add_object(definition);
  made.add("description", std::string_view("A list of objects of this kind."));
  made.add_array("required").push("items");
  json::Node properties = made.add_object("properties");
  properties.add_object("apiVersion").add("type", std::string_view("string"));
  json::Node items = properties.add_object("items");
  items.add("type", std::string_view("array"));
  put_reference(items.add_object("items"), item);
  properties.add_object("kind").add("type", std::string_view("string"));
  put_reference(properties.add_object("metadata"), *list_meta);
  made.add("type", std::string_view("object"));
  json::Node entry = made.add_array("x-kubernetes-group-version-kind").push_object();
  entry.add("group", kind.group);
  entry.add("kind", kind.kind);
  entry.add("version", kind.version);
}

void SchemaWriter::want(const Struct& type) {
  if (structs_.insert(&type).second) unvisited_.push_back(&type);
}

void SchemaWriter::want_types_of(const TypeRef& type, const Struct& owner) {
  if (type.element != nullptr) return want_types_of(*type.element, owner);
  if (type.kind == Kind::kStruct || is_choice(type)) return want(*type.structure);
  std::string_view shared = shared_definition(type, owner);
  if (!shared.empty()) shared_.emplace(shared);
}

std::string_view SchemaWriter::shared_definition(const TypeRef& type, const Struct& owner) {
  switch (type.kind) {
    case Kind::kTime: return kTime;
    case Kind::kMicroTime: return kMicroTime;
    case Kind::kDuration: return kDuration;
    case Kind::kQuantity: return kQuantity;
    case Kind::kIntOrString: return kIntOrString;
    case Kind::kFieldsV1: return kFieldsV1;
    case Kind::kAny:
      return owner.definition.starts_with(kExtensions) ? kExtensionsJson : kRawExtension;
    default: return {};
  }
}

void SchemaWriter::write_shared(std::string_view definition) {
  json::Node made = out_.add_object(definition);
  if (definition == kTime || definition == kMicroTime) {
    made.add("description", std::string_view("A moment, as RFC 3339 text."));
    made.add("format", std::string_view("date-time"));
    made.add("type", std::string_view("string"));
  } else if (definition == kDuration) {
    made.add("description", std::string_view("A length of time, such as 1m30s."));
    made.add("type", std::string_view("string"));
  } else if (definition == kQuantity) {
    made.add(
        "description",
        std::string_view("An amount: a number that may end in a decimal (m, k, M, G, T, P, E) or "
                         "binary (Ki, Mi, Gi, Ti, Pi, Ei) suffix, or an exponent."));
    if (version_ == OpenApi::kV3) {
      put_one_of(made, "string", "number");
    } else {
      made.add("type", std::string_view("string"));
    }
  } else if (definition == kIntOrString) {
    made.add("description", std::string_view("A whole number or a text."));
    made.add("format", std::string_view("int-or-string"));
    if (version_ == OpenApi::kV3) {
      put_one_of(made, "integer", "string");
    } else {
      made.add("type", std::string_view("string"));
    }
  } else if (definition == kExtensionsJson) {
    made.add("description", std::string_view("Any JSON value."));
  } else {
    made.add("description", std::string_view("A JSON object whose shape is told elsewhere."));
    made.add("type", std::string_view("object"));
  }
}

void SchemaWriter::write_type(const TypeRef& type, const Struct& owner, json::Node into) {
  auto plain = [&into](std::string_view name, std::string_view format = {}) {
    if (!format.empty()) into.add("format", format);
    into.add("type", name);
  };
  switch (type.kind) {
    case Kind::kString: return plain("string");
    case Kind::kInt32: return plain("integer", "int32");
    case Kind::kInt64: return plain("integer", "int64");
    case Kind::kBool: return plain("boolean");
    case Kind::kDouble: return plain("number", "double");
    case Kind::kBytes: return plain("string", "byte");
    case Kind::kList:
      write_type(*type.element, owner, into.add_object("items"));
      return plain("array");
    case Kind::kVerbs:
      into.add_object("items").add("type", std::string_view("string"));
      return plain("array");
    case Kind::kMap:
      write_type(*type.element, owner, into.add_object("additionalProperties"));
      return plain("object");
    case Kind::kStruct: return put_reference(into, type.structure->definition);
    default:
      return put_reference(
          into, is_choice(type) ? type.structure->definition : shared_definition(type, owner));
  }
}

void SchemaWriter::write_extensions(const Field& field, json::Node into) {
  if (!field.list_map_keys.empty()) {
    json::Node keys = into.add_array("x-kubernetes-list-map-keys");
    for (std::string_view key : field.list_map_keys) keys.push(key);
  }
  static constexpr std::string_view kListTypes[] = {"", "atomic", "set", "map"};
  std::string_view list_type = kListTypes[static_cast<size_t>(field.list_type)];
  if (!list_type.empty()) into.add("x-kubernetes-list-type", list_type);
  if (field.map_atomic) into.add("x-kubernetes-map-type", std::string_view("atomic"));
  if (field.map_granular) into.add("x-kubernetes-map-type", std::string_view("granular"));
  if (!field.patch_merge_key.empty())
    into.add("x-kubernetes-patch-merge-key", field.patch_merge_key);
  if (field.patch_replace) into.add("x-kubernetes-patch-strategy", std::string_view("replace"));
  if (field.patch_merge || field.patch_retain_keys) {
    std::string_view strategy = !field.patch_retain_keys ? "merge"
                                : field.patch_merge      ? "merge,retainKeys"
                                                         : "retainKeys";
    into.add("x-kubernetes-patch-strategy", strategy);
  }
}

void SchemaWriter::write_field(const Field& field, const Struct& owner, json::Node properties) {
  json::Node made = properties.add_object(field.name);
  const bool reference = field.type.kind == Kind::kStruct || is_choice(field.type) ||
                         !shared_definition(field.type, owner).empty();
  json::Draft extras;
  write_extensions(field, extras.root());
  const bool bare =
      field.description.empty() && field.default_json.empty() && extras.root().empty();
  if (!field.default_json.empty()) {
    Result<json::Document> value = json::Document::parse(field.default_json);
    if (value.ok()) made.add("default", value->root());
  }
  if (!field.description.empty()) made.add("description", field.description);
  if (reference && version_ == OpenApi::kV3 && !bare) {
    // Beside a $ref other keywords do not count in v3.
    write_type(field.type, owner, made.add_array("allOf").push_object());
  } else {
    write_type(field.type, owner, made);
  }
  if (!field.enum_values.empty()) {
    std::vector<std::string_view> values(field.enum_values.begin(), field.enum_values.end());
    std::sort(values.begin(), values.end());
    json::Node place = field.type.kind == Kind::kList ? made["items"] : made;
    json::Node list = place.add_array("enum");
    for (std::string_view value : values) list.push(value);
  }
  if (field.has_minimum) made.add("minimum", field.minimum);
  if (field.has_maximum) made.add("maximum", field.maximum);
  for (const auto& [key, value] : extras.root().members()) made.set(key, value);
}

void SchemaWriter::write_struct(const Struct& type) {
  json::Node made = out_.add_object(type.definition);
  std::string_view description = type.description;
  made.add("description", description.empty() ? type.name : description);
  // A choice has no shape that a schema could say.
  if (type.definition.starts_with(kExtensions) && type.name.starts_with("JSONSchemaPropsOr"))
    return;
  std::vector<std::string_view> required;
  if (!type.by_name.empty()) {
    json::Node properties = made.add_object("properties");
    for (uint16_t index : type.by_name) {
      const Field& field = type.fields[index];
      write_field(field, type, properties);
    }
  }
  for (const Field& field : type.fields) {
    if (field.required && !field.name.empty()) required.push_back(field.name);
  }
  if (!required.empty()) {
    json::Node list = made.add_array("required");
    for (std::string_view name : required) list.push(name);
  }
  made.add("type", std::string_view("object"));
  json::Node kinds;
  for (const Kinds& entry : kinds_) {
    if (entry.type != &type) continue;
    if (!kinds) kinds = made.add_array("x-kubernetes-group-version-kind");
    json::Node kind = kinds.push_object();
    kind.add("group", entry.kind.group);
    kind.add("kind", entry.kind.kind);
    kind.add("version", entry.kind.version);
  }
  if (type.atomic) made.add("x-kubernetes-map-type", std::string_view("atomic"));
  if (type.preserve_unknown) made.add("x-kubernetes-preserve-unknown-fields", true);
}

void SchemaWriter::finish() {
  while (!unvisited_.empty()) {
    const Struct* type = unvisited_.back();
    unvisited_.pop_back();
    for (const Field& field : type->fields) {
      if (!field.name.empty()) want_types_of(field.type, *type);
    }
  }
  std::map<std::string_view, const Struct*> sorted;
  for (const Struct* type : structs_) sorted.emplace(type->definition, type);
  for (const auto& [definition, type] : sorted) write_struct(*type);
  for (const std::string& definition : shared_) write_shared(definition);
}

}  // namespace wherry::api
