#include "api/defaults.h"

#include "api/quantity.h"

namespace wherry::api {
namespace {

// The zero value of a field that is no pointer means the same as absence.
bool is_unset(const Field& field, json::Node value) {
  if (!value || value.is_null()) return true;
  if (field.pointer) return false;
  switch (value.type()) {
    case json::Type::kString: return value.as_string().empty();
    case json::Type::kInt:
    case json::Type::kReal: return value.as_double() == 0;
    case json::Type::kBool: return !value.as_bool();
    case json::Type::kArray: return value.empty();
    case json::Type::kObject: return field.type.kind == Kind::kMap && value.empty();
    default: return false;
  }
}

// A default that says what the zero value says already; it would only be left out again.
bool is_zero_text(std::string_view text) {
  return text == "0" || text == "false" || text == "\"\"";
}

// Nothing finer than a thousandth of a resource can be asked for.
// DEVIATION: upstream leaves the overhead of a RuntimeClass as it is.
void round_amounts(json::Node amounts) {
  for (const auto& [name, amount] : amounts.members()) {
    std::string text(amount.as_string());
    bool fine = text.ends_with('u') || text.ends_with('n') || text.find("e-") != std::string::npos;
    if (fine) amount.assign(std::string_view(Quantity::from_text(text).up_to_milli().text()));
  }
}

void apply_to_value(const TypeRef& type, json::Node value) {
  switch (type.kind) {
    case Kind::kStruct:
      if (value.is_object()) apply_defaults(*type.structure, value);
      return;
    case Kind::kList:
      if (type.element->kind < Kind::kStruct) return;
      for (json::Node item : value.items()) apply_to_value(*type.element, item);
      return;
    case Kind::kMap:
      if (type.element->kind == Kind::kQuantity) round_amounts(value);
      if (type.element->kind < Kind::kStruct) return;
      for (const auto& [key, item] : value.members()) apply_to_value(*type.element, item);
      return;
    default: return;
  }
}

}  // namespace

void apply_defaults(const Struct& type, json::Node object) {
  for (const Field& field : type.fields) {
    if (field.name.empty()) continue;
    const bool container = field.type.kind == Kind::kStruct || field.type.kind == Kind::kList ||
                           field.type.kind == Kind::kMap;
    if (!container && field.default_json.empty()) continue;
    json::Node value = object[field.name];
    if (!field.default_json.empty() && is_unset(field, value) &&
        (field.pointer || !is_zero_text(field.default_json))) {
      // Constants of ours, checked when they were compiled; those of custom resources by whoever
      // took them.
      Result<json::Document> parsed = json::Document::parse(field.default_json);
      if (!parsed.ok()) continue;
      object.set(field.name, parsed->root());
      value = object[field.name];
    }
    if (container && value) apply_to_value(field.type, value);
  }
}

}  // namespace wherry::api
