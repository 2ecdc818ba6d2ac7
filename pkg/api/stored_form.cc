// The stored form, made in place. An object that was decoded and then defaulted, admitted and
// stamped has its fields in no order any more, and otherwise is what decoding would make of it.
// Sorting them costs a fifth of decoding it anew.

#include "api/stored_form.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "api/decode.h"
#include "api/emptiness.h"
#include "api/quantity.h"
#include "base/clock.h"

namespace wherry::api {
namespace {

// Each function is true when what it was given is as decoding it would leave it.
class Settler {
 public:
  explicit Settler(bool keeps_empty_lists) : keeps_empty_lists_(keeps_empty_lists) {}

  bool settle(const Struct& type, json::Node object) const {
    if (!object.is_object()) return false;
    ptrdiff_t last = -1;
    size_t always = 0;  // Members that are there whatever their value.
    bool ordered = true;
    bool fine = object.visit([&](std::string_view key, json::Node value) {
      const Field* field = find(type, last, key);
      if (field == nullptr) return false;
      ptrdiff_t place = field - type.fields.data();
      if (place == last) return false;
      ordered = ordered && place > last;
      last = place;
      always += field->omit_empty ? 0 : 1;
      return settle(*field, value);
    });
    if (!fine || always != count_always(type)) return false;
    return ordered || sort(type, object);
  }

 private:
  static bool sort(const Struct& type, json::Node object) {
    auto place = [&type](std::string_view key) {
      return static_cast<size_t>(type.find(key) - type.fields.data());
    };
    object.sort_members(place);
    std::string_view last;
    return object.visit([&last](std::string_view key, json::Node) {
      return std::exchange(last, key) != key;  // Nothing stands twice.
    });
  }
  // Mostly it is one of the next.
  static const Field* find(const Struct& type, ptrdiff_t last, std::string_view key) {
    constexpr size_t kLook = 3;
    auto next = static_cast<size_t>(last + 1);
    for (size_t i = next; i < type.fields.size() && i < next + kLook; ++i) {
      if (type.fields[i].name == key && !key.empty()) return &type.fields[i];
    }
    return type.find(key);
  }
  static size_t count_always(const Struct& type) {
    return static_cast<size_t>(
        std::count_if(type.fields.begin(), type.fields.end(),
                      [](const Field& field) { return !field.omit_empty && !field.name.empty(); }));
  }

  bool settle(const Field& field, json::Node value) const {
    if (value.is_null()) return !field.omit_empty && field.pointer;
    if (field.omit_empty && !field.pointer && is_empty(field.type, value)) return false;
    bool none = field.type.kind == Kind::kList && value.empty();
    if (none && !keeps_empty_lists_) return false;
    return settle(field.type, value);
  }

  bool settle(const TypeRef& type, json::Node value) const {
    switch (type.kind) {
      case Kind::kStruct: return settle(*type.structure, value);
      case Kind::kList:
        return value.is_array() &&
               value.visit_items([&](json::Node item) { return settle(*type.element, item); });
      case Kind::kMap: return settle_map(*type.element, value);
      case Kind::kTime: return is_canonical_time(value.as_string());
      case Kind::kQuantity: return value.is_string() && is_canonical_quantity(value);
      case Kind::kBytes:
        return value.is_string() &&
               value.as_string().find_first_of("\r\n") == std::string_view::npos;
      // Of these there are few, or they may be anything.
      case Kind::kMicroTime:
      case Kind::kDuration: return false;
      case Kind::kAny: return type.structure == nullptr;
      default: return !value.is_null();
    }
  }

  bool settle_map(const TypeRef& element, json::Node map) const {
    if (!map.is_object()) return false;
    std::string_view last;
    bool first = true;
    return map.visit([&](std::string_view key, json::Node value) {
      if (!first && key <= last) return false;
      first = false;
      last = key;
      return settle(element, value);
    });
  }

  static bool is_canonical_time(std::string_view text) {
    std::optional<Time> time = parse_time(text);
    return time && format_time(*time) == text;
  }
  static bool is_canonical_quantity(json::Node value) {
    json::Document frozen = value.freeze();
    Result<std::string> text = canonical_quantity(frozen.root());
    return text.ok() && *text == value.as_string();
  }

  const bool keeps_empty_lists_;
};

// Groups whose objects are stored as JSON.
constexpr std::string_view kJsonGroups[] = {"apiextensions.k8s.io", "apiregistration.k8s.io"};

bool stored_as_json(const Resource& resource) {
  return std::find(std::begin(kJsonGroups), std::end(kJsonGroups), resource.group) !=
         std::end(kJsonGroups);
}

}  // namespace

json::Draft stored_form(const Resource& resource, json::Draft object) {
  if (resource.schema == nullptr) return object;
  if (Settler(stored_as_json(resource)).settle(*resource.schema, object.root())) return object;
  json::Document document = object.freeze();
  Result<json::Draft> decoded = stored_as_json(resource)
                                    ? decode(*resource.schema, document.root())
                                    : decode_without_empty_lists(*resource.schema, document.root());
  return decoded.ok() ? std::move(decoded).value() : std::move(object);
}

}  // namespace wherry::api
