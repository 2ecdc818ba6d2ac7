#include "api/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "api/decode_text.h"
#include "api/emptiness.h"
#include "api/quantity.h"
#include "api/strict.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

// The place that a value goes to: a member of an object or the end of a list.
struct Slot {
  json::Node parent;
  std::string_view key;
  bool in_list = false;

  template <typename T>
  void put(T value) const {
    if (in_list) {
      parent.push(value);
    } else {
      parent.add(key, value);
    }
  }
  void put_null() const { in_list ? parent.push_null() : parent.add_null(key); }
  json::Node object() const { return in_list ? parent.push_object() : parent.add_object(key); }
  json::Node array() const { return in_list ? parent.push_array() : parent.add_array(key); }
};

enum class EmptyLists { kKept, kForgotten };

// What Go makes of a member that stands twice: the second is decoded into what the first left
// there, so that the members of structs and maps add up, and all else is replaced.
json::Draft added_up(const TypeRef& type, json::Value first, json::Value second) {
  const bool adds = type.kind == Kind::kStruct || type.kind == Kind::kMap;
  if (!adds || !first.is_object() || !second.is_object()) return json::Draft(second);
  json::Draft out(first);
  for (auto [key, value] : second.members()) {
    const Field* field = type.kind == Kind::kStruct ? type.structure->find(key) : nullptr;
    json::Value there = first[key];
    if (field == nullptr || !there) {
      out.root().set(key, value);
    } else {
      out.root().set(key, added_up(field->type, there, value).freeze().root());
    }
  }
  return out;
}

// Writes the canonical form of values that check_strict has passed. Repeated members add up.
class Builder {
 public:
  explicit Builder(bool lenient, EmptyLists lists = EmptyLists::kKept)
      : lenient_(lenient), lists_(lists) {}

  void build_struct(const Struct& type, json::Value in, json::Node out) {
    std::vector<json::Value> values(type.fields.size());
    std::vector<json::Member> unknown;
    for (auto member : in.members()) {
      if (const Field* field = type.find(member.key)) {
        json::Value& value = values[static_cast<size_t>(field - type.fields.data())];
        if (value) {
          added_.push_back(added_up(field->type, value, member.value).freeze());
          value = added_.back().root();
        } else {
          value = member.value;
        }
      } else if (type.preserve_unknown) {
        unknown.push_back(member);
      }
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const Field& field = type.fields[i];
      if (field.name.empty()) continue;
      build_field(field, values[i], {out, field.name});
    }
    std::stable_sort(unknown.begin(), unknown.end(),
                     [](const auto& a, const auto& b) { return a.key < b.key; });
    for (size_t i = 0; i < unknown.size(); ++i) {
      if (i + 1 < unknown.size() && unknown[i + 1].key == unknown[i].key) continue;
      out.add(unknown[i].key, unknown[i].value);
    }
  }

 private:
  void build_field(const Field& field, json::Value value, const Slot& slot) {
    if (!value || value.is_null()) {
      if (field.omit_empty) return;
      return field.pointer ? slot.put_null() : build_zero(field.type, slot);
    }
    if (field.omit_empty && !field.pointer && is_empty(field.type, value)) return;
    if (lists_ == EmptyLists::kForgotten && field.type.kind == Kind::kList && value.is_array() &&
        value.empty()) {
      return slot.put_null();
    }
    build_value(field.type, value, slot);
  }

  void build_zero(const TypeRef& type, const Slot& slot) {
    switch (type.kind) {
      case Kind::kString: return slot.put(std::string_view());
      case Kind::kInt32:
      case Kind::kInt64:
      case Kind::kDouble:
      case Kind::kIntOrString: return slot.put(int64_t{0});
      case Kind::kBool: return slot.put(false);
      case Kind::kDuration: return slot.put(std::string_view("0s"));
      case Kind::kQuantity: return slot.put(std::string_view("0"));
      case Kind::kStruct: return build_struct(*type.structure, json::Value(), slot.object());
      default: return slot.put_null();
    }
  }

  void build_value(const TypeRef& type, json::Value value, const Slot& slot) {
    if (lenient_ && !fits(type, value)) return slot.put(value);
    switch (type.kind) {
      case Kind::kTime: {
        std::optional<Time> time = parse_time(value.as_string());
        return time ? slot.put(std::string_view(format_time(*time))) : slot.put(value);
      }
      case Kind::kMicroTime: {
        std::optional<Time> time = parse_time(value.as_string());
        return time ? slot.put(std::string_view(format_micro_time(*time))) : slot.put(value);
      }
      case Kind::kDuration: {
        std::optional<int64_t> duration = parse_go_duration(value.as_string());
        return duration ? slot.put(std::string_view(format_go_duration(*duration)))
                        : slot.put(value);
      }
      case Kind::kQuantity: {
        Result<std::string> text = canonical_quantity(value);
        return text.ok() ? slot.put(std::string_view(*text)) : slot.put(value);
      }
      case Kind::kBytes: return build_bytes(value, slot);
      case Kind::kStruct: return build_struct(*type.structure, value, slot.object());
      case Kind::kList: return build_list(*type.element, value, slot.array());
      case Kind::kMap: return build_map(*type.element, value, slot.object());
      case Kind::kAny:
        if (type.structure != nullptr) {
          if (const Field* chosen = choose(*type.structure, value)) {
            return build_value(chosen->type, value, slot);
          }
        }
        return slot.put(value);
      default: return slot.put(value);
    }
  }

  // Whether a container is one; only then can its inside be decoded.
  static bool fits(const TypeRef& type, json::Value value) {
    switch (type.kind) {
      case Kind::kStruct:
      case Kind::kMap: return value.is_object();
      case Kind::kList: return value.is_array();
      case Kind::kTime:
      case Kind::kMicroTime:
      case Kind::kDuration:
      case Kind::kBytes: return value.is_string();
      default: return true;
    }
  }

  static void build_bytes(json::Value value, const Slot& slot) {
    std::string text;
    if (value.is_array()) {
      for (json::Value item : value.items()) text += static_cast<char>(item.as_int());
      return slot.put(std::string_view(base64_encode(text)));
    }
    if (value.as_string().find_first_of("\r\n") == std::string_view::npos) return slot.put(value);
    for (char c : value.as_string()) {
      if (c != '\r' && c != '\n') text += c;
    }
    slot.put(std::string_view(text));
  }

  void build_list(const TypeRef& element, json::Value value, json::Node out) {
    for (json::Value item : value.items()) build_item(element, item, {out, {}, true});
  }

  void build_map(const TypeRef& element, json::Value value, json::Node out) {
    std::vector<json::Member> members;
    members.reserve(value.size());
    for (auto member : value.members()) members.push_back(member);
    std::stable_sort(members.begin(), members.end(),
                     [](const auto& a, const auto& b) { return a.key < b.key; });
    for (size_t i = 0; i < members.size(); ++i) {
      if (i + 1 < members.size() && members[i + 1].key == members[i].key) continue;
      build_item(element, members[i].value, {out, members[i].key});
    }
  }

  void build_item(const TypeRef& element, json::Value item, const Slot& slot) {
    if (!item.is_null()) return build_value(element, item, slot);
    lenient_ ? slot.put_null() : build_zero(element, slot);
  }

  const bool lenient_;
  const EmptyLists lists_;
  std::deque<json::Document> added_;  // What was made of repeated members.
};

Error bad_request(const Struct& type, json::Value in, const DecodeOptions& options,
                  std::string_view cause) {
  std::string_view kind = options.kind;
  std::string_view version = options.version;
  if (kind.empty()) kind = in["kind"].as_string();
  if (kind.empty()) kind = type.name;
  if (version.empty()) {
    version = in["apiVersion"].as_string();
    version = version.substr(version.find('/') + 1);
  }
  return Error::bad_request("{} in version \"{}\" cannot be handled as a {}: {}", kind, version,
                            type.name, cause);
}

// The start of a body, for the message about it.
std::string summary(std::string_view text) {
  constexpr size_t kShown = 30;
  if (text.empty()) return "<empty>";
  std::string shown(text.substr(0, kShown));
  if (text.front() != '{') shown = hex_encode(shown);
  return text.size() > kShown ? shown + " ..." : shown;
}

}  // namespace

Result<json::Draft> decode(const Struct& type, json::Value in, const DecodeOptions& options,
                           std::vector<std::string>& warnings) {
  bool strict = options.field_validation != FieldValidation::kIgnore;
  StrictReport report = check_strict(type, in, strict);
  if (!report.type_error.empty() && !(options.keep_mismatched && in.is_object())) {
    return bad_request(type, in, options, report.type_error);
  }
  if (options.field_validation == FieldValidation::kStrict && !report.strict_errors.empty()) {
    return bad_request(type, in, options,
                       "strict decoding error: " + join(report.strict_errors, ", "));
  }
  for (std::string& error : report.strict_errors) warnings.push_back(std::move(error));
  json::Draft draft;
  Builder(options.keep_mismatched).build_struct(type, in, draft.root());
  return draft;
}

Result<json::Draft> decode(const Struct& type, json::Value in) {
  std::vector<std::string> warnings;
  return decode(type, in, DecodeOptions(), warnings);
}

Result<json::Draft> decode_text(const Struct& type, std::string_view text,
                                const DecodeOptions& options, std::vector<std::string>& warnings) {
  Result<json::Document> document = json::Document::parse(text);
  if (document.ok()) return decode(type, document->root(), options, warnings);
  std::string cause = go_json_error(text);
  if (cause.empty()) cause = document.error().message();
  return Error::bad_request(
      "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json "
      "parse "
      "error: {} ({})",
      type.name, cause, summary(text));
}

Result<json::Draft> decode_without_empty_lists(const Struct& type, json::Value in) {
  StrictReport report = check_strict(type, in, false);
  if (!report.type_error.empty()) return bad_request(type, in, DecodeOptions(), report.type_error);
  json::Draft draft;
  Builder(false, EmptyLists::kForgotten).build_struct(type, in, draft.root());
  return draft;
}

}  // namespace wherry::api
