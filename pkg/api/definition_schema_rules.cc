// Schemas of custom resources: every value's type is said once, outside of allOf, anyOf, oneOf and
// not ("structural"), and only what keeps checking cheap is allowed.
// DEVIATION: expressions are not compiled, so that a wrong one is not refused.

#include <algorithm>
#include <set>

#include "api/definition_rules.h"
#include "api/pod_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kTypes[] = {"array", "boolean", "integer", "number", "object", "string"};
constexpr std::string_view kListTypes[] = {"atomic", "set", "map"};
constexpr std::string_view kMapTypes[] = {"atomic", "granular"};
constexpr std::string_view kReasons[] = {"FieldValueDuplicate", "FieldValueForbidden",
                                         "FieldValueInvalid", "FieldValueRequired"};
constexpr const char* kJunctors[] = {"allOf", "anyOf", "oneOf"};

bool flag(json::Value schema, const char* name) { return schema[name].as_bool(); }
bool keeps_unknown(json::Value schema) {
  return flag(schema, "x-kubernetes-preserve-unknown-fields");
}
bool int_or_string(json::Value schema) { return flag(schema, "x-kubernetes-int-or-string"); }
bool embedded(json::Value schema) { return flag(schema, "x-kubernetes-embedded-resource"); }
std::string_view type_of(json::Value schema) { return schema["type"].as_string(); }

// Calls `visit` with each schema directly inside of `schema` but those of allOf and the like.
template <typename Visit>
void each_part(json::Value schema, const Path& path, Visit visit) {
  for (auto [name, property] : schema["properties"].members())
    visit(property, path.child("properties").key(name), false);
  if (schema["items"].is_object()) visit(schema["items"], path.child("items"), true);
  if (schema["additionalProperties"].is_object())
    visit(schema["additionalProperties"], path.child("additionalProperties"), false);
}

// ---- Structure

enum class Level { kRoot, kField, kItem };

void check_type(json::Value schema, Level level, const Path& path, FieldErrors& errors) {
  std::string_view type = type_of(schema);
  Path at = path.child("type");
  if (level == Level::kRoot) {
    if (type.empty()) {
      errors.required(at, "must not be empty at the root");
    } else if (type != "object") {
      errors.invalid(at, type, "must be object at the root");
    }
  } else if (embedded(schema) && type != "object") {
    constexpr const char* kObject = "must be object if x-kubernetes-embedded-resource is true";
    if (type.empty()) {
      errors.required(at, kObject);
    } else {
      errors.invalid(at, type, kObject);
    }
  } else if (type.empty() && !int_or_string(schema) && !keeps_unknown(schema)) {
    errors.required(at, level == Level::kItem ? "must not be empty for specified array items"
                                              : "must not be empty for specified object fields");
  }
}

void check_embedded(json::Value schema, const Path& path, FieldErrors& errors) {
  if (schema["additionalProperties"]) {
    errors.forbidden(path.child("additionalProperties"),
                     "must not be used if x-kubernetes-embedded-resource is set");
  }
  if (schema["properties"].empty() && !keeps_unknown(schema)) {
    errors.required(path.child("properties"),
                    "must not be empty if x-kubernetes-embedded-resource is true without "
                    "x-kubernetes-preserve-unknown-fields");
  }
  if (int_or_string(schema)) {
    errors.invalid(path.child("x-kubernetes-embedded-resource"),
                   schema["x-kubernetes-embedded-resource"],
                   "must be false if x-kubernetes-int-or-string is true");
  }
}

// apiVersion, kind and metadata are there without being declared.
void check_identity(json::Value schema, Level level, const Path& path, FieldErrors& errors) {
  struct Known {
    const char* name;
    const char* type;
  };
  for (const Known& known :
       {Known{"apiVersion", "string"}, Known{"kind", "string"}, Known{"metadata", "object"}}) {
    json::Value property = schema["properties"][known.name];
    if (property && type_of(property) != known.type) {
      errors.invalid(path.child("properties").key(known.name).child("type"), type_of(property),
                     fmt::format("must be {}", known.type));
    }
  }
  if (level != Level::kRoot) return;
  bool plain = true;
  for (auto [key, value] : schema["properties"]["metadata"].members()) {
    plain = plain && (key == "type" || key == "default" || key == "properties");
    for (auto [name, _] : (key == "properties" ? value : json::Value()).members())
      plain = plain && (name == "name" || name == "generateName");
  }
  if (!plain) {
    errors.forbidden(path.child("properties").key("metadata"),
                     "must not specify anything other than name and generateName, but metadata "
                     "is implicitly specified");
  }
}

// The two forms in which int-or-string may say its types again.
bool says_both_types(json::Value list) {
  return list.size() == 2 && list.at(0).size() == 1 && list.at(1).size() == 1 &&
         type_of(list.at(0)) == "integer" && type_of(list.at(1)) == "string";
}

enum class TypeAllowed { kNo, kYes };

void check_junctors(json::Value schema, bool both_types, const Path& path, FieldErrors& errors);

// Inside of allOf and the like only values are checked, nothing is declared.
void check_nested(json::Value schema, TypeAllowed type, const Path& path, FieldErrors& errors) {
  auto must_be = [&](const char* what, std::initializer_list<const char*> fields) {
    for (const char* field : fields) {
      json::Value value = schema[field];
      bool unset = !value || (value.is_bool() && !value.as_bool() &&
                              std::string_view(field) != "additionalProperties");
      if (!unset)
        errors.forbidden(path.child(field), fmt::format("must be {} to be structural", what));
    }
  };
  must_be("undefined", {"additionalProperties", "default", "x-kubernetes-list-type",
                        "x-kubernetes-list-map-keys", "x-kubernetes-map-type"});
  must_be("empty", {"description", "title"});
  if (type == TypeAllowed::kNo) must_be("empty", {"type"});
  must_be("false", {"nullable", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string",
                    "x-kubernetes-preserve-unknown-fields"});
  each_part(schema, path, [&](json::Value part, const Path& at, bool) {
    check_nested(part, TypeAllowed::kNo, at, errors);
  });
  check_junctors(schema, false, path, errors);
}

void check_junctors(json::Value schema, bool both_types, const Path& path, FieldErrors& errors) {
  for (const char* junctor : kJunctors) {
    json::Value list = schema[junctor];
    bool anyof_types = both_types && std::string_view(junctor) == "anyOf" && says_both_types(list);
    size_t at = 0;
    for (json::Value part : list.items()) {
      bool first_of_all = both_types && std::string_view(junctor) == "allOf" && at == 0 &&
                          says_both_types(part["anyOf"]);
      Path here = path.child(junctor).index(at++);
      if (first_of_all) {
        check_junctors(part, true, here, errors);
      } else {
        check_nested(part, anyof_types ? TypeAllowed::kYes : TypeAllowed::kNo, here, errors);
      }
    }
  }
  if (json::Value part = schema["not"])
    check_nested(part, TypeAllowed::kNo, path.child("not"), errors);
}

void check_structure(json::Value schema, Level level, const Path& path, FieldErrors& errors) {
  check_type(schema, level, path, errors);
  if (level == Level::kRoot && schema["additionalProperties"])
    errors.forbidden(path.child("additionalProperties"), "must not be used at the root");
  if (embedded(schema)) check_embedded(schema, path, errors);
  if (embedded(schema) || level == Level::kRoot) check_identity(schema, level, path, errors);
  check_junctors(schema, int_or_string(schema), path, errors);
  each_part(schema, path, [&](json::Value part, const Path& at, bool item) {
    check_structure(part, item ? Level::kItem : Level::kField, at, errors);
  });
}

// ---- Keywords

void check_unsupported(json::Value schema, const Path& path, FieldErrors& errors) {
  if (flag(schema, "uniqueItems")) {
    errors.forbidden(path.child("uniqueItems"),
                     "uniqueItems cannot be set to true since the runtime complexity becomes "
                     "quadratic");
  }
  if (schema["additionalProperties"] && !schema["properties"].empty()) {
    errors.forbidden(path.child("additionalProperties"),
                     "additionalProperties and properties are mutual exclusive");
  }
  for (const char* field :
       {"id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"}) {
    if (schema[field])
      errors.forbidden(path.child(field), fmt::format("{} is not supported", field));
  }
  if (schema["items"].is_array())
    errors.forbidden(path.child("items"), "items must be a schema object and not an array");
  if (std::string_view type = type_of(schema); !type.empty())
    check_enum(type, kTypes, path.child("type"), errors);
  if (type_of(schema) == "array" && !schema["items"])
    errors.required(path.child("items"), "must be specified");
  json::Value keep = schema["x-kubernetes-preserve-unknown-fields"];
  if (keep && !keep.as_bool()) {
    errors.invalid(path.child("x-kubernetes-preserve-unknown-fields"), keep,
                   "must be true or undefined");
  }
}

void check_type_is(json::Value schema, std::string_view due, const char* keyword, const Path& path,
                   FieldErrors& errors) {
  std::string_view type = type_of(schema);
  if (type == due) return;
  std::string detail = fmt::format("must be {} if {} is specified", due, keyword);
  if (type.empty()) {
    errors.required(path.child("type"), detail);
  } else {
    errors.invalid(path.child("type"), type, detail);
  }
}

// Keys of a list that is a map: scalars that every item has.
void check_map_keys(json::Value schema, const Path& path, FieldErrors& errors) {
  json::Value keys = schema["x-kubernetes-list-map-keys"];
  json::Value items = schema["items"];
  Path keys_path = path.child("x-kubernetes-list-map-keys");
  Path items_path = path.child("items");
  if (keys.empty()) {
    errors.required(keys_path, "must not be empty if x-kubernetes-list-type is map");
    return;
  }
  if (!items.is_object()) return;
  if (type_of(items) != "object") {
    errors.invalid(items_path.child("type"), type_of(items),
                   "must be object if parent array's x-kubernetes-list-type is map");
    return;
  }
  std::set<std::string_view> seen;
  bool twice = false;
  for (json::Value key : keys.items()) {
    twice = !seen.insert(key.as_string()).second || twice;
    json::Value property = items["properties"][key.as_string()];
    if (!property) {
      errors.invalid(keys_path, keys, "entries must all be names of item properties");
    } else if (type_of(property) == "object" || type_of(property) == "array") {
      errors.invalid(items_path.child("properties").key(key.as_string()).child("type"),
                     type_of(property),
                     "must be a scalar type if parent array's x-kubernetes-list-type is map");
    }
  }
  if (twice) errors.invalid(keys_path, keys, "must not contain duplicate entries");
  for (json::Value key : keys.items()) {
    json::Value property = items["properties"][key.as_string()];
    if (!property) continue;
    Path at = items_path.child("properties").key(key.as_string());
    bool required = false;
    for (json::Value name : items["required"].items())
      required = required || name.as_string() == key.as_string();
    if (!required && !property["default"]) {
      errors.required(at.child("default"),
                      "this property is in x-kubernetes-list-map-keys, so it must have a default "
                      "or be a required property");
    }
    if (flag(property, "nullable")) {
      errors.forbidden(at.child("nullable"),
                       "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
    }
  }
}

void check_list_type(json::Value schema, const Path& path, FieldErrors& errors) {
  std::string_view kind = schema["x-kubernetes-list-type"].as_string();
  json::Value items = schema["items"];
  Path at = path.child("x-kubernetes-list-type");
  if (!kind.empty()) {
    if (check_enum(kind, kListTypes, at, errors))
      check_type_is(schema, "array", "x-kubernetes-list-type", path, errors);
  }
  if (kind != "map" && !schema["x-kubernetes-list-map-keys"].empty()) {
    constexpr const char* kMap = "must be map if x-kubernetes-list-map-keys is non-empty";
    if (kind.empty()) {
      errors.required(at, kMap);
    } else {
      errors.invalid(at, kind, kMap);
    }
  }
  if (kind == "map") check_map_keys(schema, path, errors);
  if (kind != "set" || !items.is_object()) return;
  if (type_of(items) == "object" && items["x-kubernetes-map-type"].as_string() != "atomic") {
    errors.invalid(path.child("items").child("x-kubernetes-map-type"), json::Value(),
                   "must be atomic as item of a list with x-kubernetes-list-type=set");
  }
  if (flag(items, "nullable")) {
    errors.forbidden(path.child("items").child("nullable"),
                     "cannot be nullable when x-kubernetes-list-type is set");
  }
}

void check_rules(json::Value rules, const Path& path, FieldErrors& errors) {
  constexpr const char* kBlank = "must be non-empty if specified";
  size_t index = 0;
  for (json::Value rule : rules.items()) {
    Path at = path.index(index++);
    if (trim(rule["rule"].as_string()).empty())
      errors.required(at.child("rule"), "rule is not specified");
    std::string_view message = rule["message"].as_string();
    if (!message.empty() && trim(message).empty()) {
      errors.invalid(at.child("message"), message, kBlank);
    } else if (trim(message).find('\n') != std::string_view::npos) {
      errors.invalid(at.child("message"), message, "must not contain line breaks");
    }
    std::string_view expression = rule["messageExpression"].as_string();
    if (!expression.empty() && trim(expression).empty())
      errors.invalid(at.child("messageExpression"), expression, kBlank);
    if (json::Value reason = rule["reason"])
      check_enum(reason.as_string(), kReasons, at.child("reason"), errors);
    std::string_view field = rule["fieldPath"].as_string();
    if (!field.empty() && field[0] != '.' && field[0] != '[')
      errors.invalid(at.child("fieldPath"), field, "must be a valid path");
  }
}

void check_keywords(json::Value schema, const Path& path, FieldErrors& errors) {
  check_unsupported(schema, path, errors);
  check_list_type(schema, path, errors);
  if (std::string_view kind = schema["x-kubernetes-map-type"].as_string(); !kind.empty()) {
    if (check_enum(kind, kMapTypes, path.child("x-kubernetes-map-type"), errors))
      check_type_is(schema, "object", "x-kubernetes-map-type", path, errors);
  }
  check_rules(schema["x-kubernetes-validations"], path.child("x-kubernetes-validations"), errors);
  each_part(schema, path,
            [&](json::Value part, const Path& at, bool) { check_keywords(part, at, errors); });
  for (const char* junctor : kJunctors) {
    size_t at = 0;
    for (json::Value part : schema[junctor].items())
      check_keywords(part, path.child(junctor).index(at++), errors);
  }
  if (json::Value part = schema["not"]) check_keywords(part, path.child("not"), errors);
}

// ---- Defaults

bool has_type(json::Value value, std::string_view type) {
  if (type == "integer") {
    return value.is_int() || (value.is_number() && value.as_double() == value.as_int());
  }
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "object") return value.is_object();
  return type != "array" || value.is_array();
}

const char* type_name(json::Value value) {
  if (value.is_string()) return "string";
  if (value.is_bool()) return "boolean";
  if (value.is_int()) return "integer";
  if (value.is_number()) return "number";
  return value.is_array() ? "array" : value.is_object() ? "object" : "null";
}

// A default has to be of its own type. `inner` is the place in the default.
void check_default(json::Value schema, json::Value value, const Path& path, std::string inner,
                   FieldErrors& errors) {
  std::string_view type = type_of(schema);
  bool unset = !value || value.is_null();
  if ((unset && flag(schema, "nullable")) || type.empty()) return;
  if (!has_type(value, type)) {
    json::Draft shown;
    shown.root().set("type", type_name(value));
    json::Document text = shown.freeze();
    errors.type_invalid(
        path, text.root()["type"],
        fmt::format("{} in body must be of type {}: {}", inner, type, quote(type_name(value))));
    return;
  }
  if (json::Value known = schema["enum"]; !known.empty()) {
    std::vector<std::string_view> names;
    bool found = false;
    for (json::Value item : known.items()) {
      found = found || json::equal(item, value);
      if (item.is_string()) names.push_back(item.as_string());
    }
    if (!found) errors.not_supported(path, value, names);
  }
  auto below = [&](std::string_view name) {
    return inner.empty() ? std::string(name) : inner + "." + std::string(name);
  };
  for (json::Value name : schema["required"].items()) {
    if (value.is_object() && !value[name.as_string()])
      errors.required(path.child(name.as_string()), "");
  }
  bool unknown = false;
  for (auto [name, item] : value.members()) {
    json::Value property = schema["properties"][name];
    if (!property && schema["additionalProperties"].is_object())
      property = schema["additionalProperties"];
    unknown = unknown || (!property && !schema["additionalProperties"] && !keeps_unknown(schema));
    if (property) check_default(property, item, path.child(name), below(name), errors);
  }
  if (unknown) errors.invalid(path, value, "must not have unknown fields");
  size_t at = 0;
  for (json::Value item : value.items()) {
    std::string step = fmt::format("[{}]", at++);
    check_default(schema["items"], item, path.child(step), inner + step, errors);
  }
}

void check_defaults(json::Value schema, const Path& path, FieldErrors& errors) {
  json::Value value = schema["default"];
  if (value && !value.is_null()) check_default(schema, value, path.child("default"), "", errors);
  each_part(schema, path,
            [&](json::Value part, const Path& at, bool) { check_defaults(part, at, errors); });
}

}  // namespace

void validate_definition_schema(json::Value schema, const Path& path, FieldErrors& errors) {
  FieldErrors keywords, structure;
  if (flag(schema, "nullable"))
    keywords.forbidden(path.child("nullable"), "nullable cannot be true at the root");
  check_keywords(schema, path, keywords);
  check_structure(schema, Level::kRoot, path, structure);
  // A schema that uses what is not there at all, or names no type that is known, is told so alone.
  bool plain = std::any_of(keywords.causes().begin(), keywords.causes().end(), [](const Cause& c) {
    return c.message.ends_with("is not supported") || c.reason == "FieldValueNotSupported" ||
           c.message.ends_with("and not an array");
  });
  std::vector<Cause> sorted(structure.causes());
  std::stable_sort(sorted.begin(), sorted.end(), [](const Cause& a, const Cause& b) {
    return a.field + ": " + a.message < b.field + ": " + b.message;
  });
  if (!plain) {
    for (const Cause& cause : sorted) errors.copy(cause);
    if (sorted.empty()) check_defaults(schema, path, errors);
  }
  for (const Cause& cause : keywords.causes()) errors.copy(cause);
  for (const char* name : {"name", "generateName"}) {
    if (schema["properties"]["metadata"]["properties"][name]["default"]) {
      errors.forbidden(
          path.child("properties").key("metadata").child("properties").key(name).child("default"),
          "must not be set in top-level metadata");
    }
  }
}

}  // namespace wherry::api
