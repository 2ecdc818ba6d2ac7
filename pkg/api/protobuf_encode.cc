// JSON to protobuf, by the tables: what gogo-proto's generated code would write for the Go value
// that the JSON stands for.

#include <algorithm>
#include <vector>

#include "api/decode_text.h"
#include "api/protobuf.h"
#include "api/protobuf_wire.h"
#include "api/quantity.h"
#include "api/strict.h"
#include "base/clock.h"
#include "base/encoding.h"

namespace wherry::api {
namespace {

std::string encode_struct(const Struct& type, json::Value object);

// {1: seconds, 2: nanoseconds}; an unset time is an empty message. `precision` in nanoseconds.
std::string encode_time(json::Value value, int64_t precision) {
  std::string out;
  std::optional<Time> time = parse_time(value.as_string());
  if (!time) return out;
  auto seconds = std::chrono::floor<std::chrono::seconds>(*time);
  int64_t nanoseconds = std::chrono::nanoseconds(*time - seconds).count();
  wire::put_number(out, 1, seconds.time_since_epoch().count());
  wire::put_number(out, 2, nanoseconds / precision * precision);
  return out;
}

std::string encode_int_or_string(json::Value value) {
  std::string out;
  wire::put_number(out, 1, value.is_string() ? 1 : 0);
  wire::put_number(out, 2, value.is_string() ? 0 : value.as_int());
  wire::put_bytes(out, 3, value.as_string());
  return out;
}

std::string encode_quantity(json::Value value) {
  Result<std::string> text = canonical_quantity(value);
  std::string out;
  wire::put_bytes(out, 1, value && !value.is_null() && text.ok() ? std::string_view(*text) : "0");
  return out;
}

// The message for kinds that are one in protobuf; `value` may be absent, which gives the zero
// value.
std::string encode_message(const TypeRef& type, json::Value value);

std::string encode_choice(const Struct& choice, json::Value value) {
  const Field* chosen = choose(choice, value);
  std::string out;
  if (chosen == nullptr) return out;
  for (const Field& field : choice.fields) {
    // A schema in place of a boolean allows what the schema allows.
    if (field.type.kind == Kind::kBool) {
      wire::put_number(out, field.number, &field == chosen ? value.as_bool() : 1);
    } else if (&field != chosen) {
      continue;
    } else if (field.type.kind == Kind::kList) {
      for (json::Value item : value.items()) {
        wire::put_bytes(out, field.number, encode_message(*field.type.element, item));
      }
    } else {
      wire::put_bytes(out, field.number, encode_message(field.type, value));
    }
  }
  return out;
}

std::string encode_raw(json::Value value) {
  std::string out;
  if (value && !value.is_null()) wire::put_bytes(out, 1, value.dump());
  return out;
}

std::string encode_message(const TypeRef& type, json::Value value) {
  std::string out;
  switch (type.kind) {
    case Kind::kString: return std::string(value.as_string());
    case Kind::kBytes: return base64_decode(value.as_string()).value_or("");
    case Kind::kTime: return encode_time(value, 1'000'000'000);
    case Kind::kMicroTime: return encode_time(value, 1'000);
    case Kind::kDuration:
      wire::put_number(out, 1, parse_go_duration(value.as_string()).value_or(0));
      return out;
    case Kind::kQuantity: return encode_quantity(value);
    case Kind::kIntOrString: return encode_int_or_string(value);
    case Kind::kStruct: return encode_struct(*type.structure, value);
    case Kind::kAny:
      return type.structure ? encode_choice(*type.structure, value) : encode_raw(value);
    case Kind::kFieldsV1: return encode_raw(value);
    case Kind::kVerbs:
      for (json::Value item : value.items()) wire::put_bytes(out, 1, item.as_string());
      return out;
    default: return out;
  }
}

// A field, list item or map value under `number`.
void encode_value(const TypeRef& type, json::Value value, uint32_t number, std::string& out) {
  switch (type.kind) {
    case Kind::kInt32:
    case Kind::kInt64: return wire::put_number(out, number, value.as_int());
    case Kind::kBool: return wire::put_number(out, number, value.as_bool());
    case Kind::kDouble: return wire::put_double(out, number, value.as_double());
    default: return wire::put_bytes(out, number, encode_message(type, value));
  }
}

void encode_map(const Field& field, json::Value value, std::string& out) {
  std::vector<json::Member> members;
  for (auto member : value.members()) members.push_back(member);
  std::stable_sort(members.begin(), members.end(),
                   [](const auto& a, const auto& b) { return a.key < b.key; });
  for (const auto& [key, item] : members) {
    std::string entry;
    wire::put_bytes(entry, 1, key);
    bool nil_bytes = field.type.element->kind == Kind::kBytes && !item.is_string();
    if (!nil_bytes) encode_value(*field.type.element, item, 2, entry);
    wire::put_bytes(out, field.number, entry);
  }
}

void encode_field(const Field& field, json::Value value, std::string& out) {
  const bool present = value && !value.is_null();
  switch (field.type.kind) {
    case Kind::kList:
      for (json::Value item : value.items()) {
        encode_value(*field.type.element, item, field.number, out);
      }
      return;
    case Kind::kMap: return encode_map(field, value, out);
    case Kind::kBytes:
    case Kind::kVerbs:  // Nil is left out.
      if (present) encode_value(field.type, value, field.number, out);
      return;
    default:
      if (present || !field.pointer) encode_value(field.type, value, field.number, out);
  }
}

std::string encode_struct(const Struct& type, json::Value object) {
  std::string out;
  for (uint16_t index : type.by_number) {
    const Field& field = type.fields[index];
    if (field.name.empty()) {
      wire::put_bytes(out, field.number, encode_struct(*field.type.structure, object));
    } else {
      encode_field(field, object[field.name], out);
    }
  }
  return out;
}

constexpr std::string_view kMagic("k8s\0", 4);

}  // namespace

std::string protobuf_encode(const Struct& type, json::Value object) {
  return encode_struct(type, object);
}

std::string protobuf_wrap(std::string_view api_version, std::string_view kind, std::string_view raw,
                          std::string_view content_type) {
  std::string type_meta;
  wire::put_bytes(type_meta, 1, api_version);
  wire::put_bytes(type_meta, 2, kind);
  std::string out(kMagic);
  out.reserve(raw.size() + type_meta.size() + 32);
  wire::put_bytes(out, 1, type_meta);
  wire::put_bytes(out, 2, raw);
  wire::put_bytes(out, 3, "");
  wire::put_bytes(out, 4, content_type);
  return out;
}

std::string protobuf_encode_body(const Struct& type, json::Value object) {
  return protobuf_wrap(object["apiVersion"].as_string(), object["kind"].as_string(),
                       encode_struct(type, object));
}

ProtobufListFrame protobuf_list_frame(std::string_view api_version, std::string_view list_kind,
                                      json::Value list_metadata, size_t items_size) {
  static const Struct* const kListMeta =
      find_struct("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta");
  CHECK(kListMeta != nullptr);
  std::string metadata;
  wire::put_bytes(metadata, 1, encode_struct(*kListMeta, list_metadata));
  std::string type_meta;
  wire::put_bytes(type_meta, 1, api_version);
  wire::put_bytes(type_meta, 2, list_kind);
  ProtobufListFrame frame;
  frame.before = kMagic;
  wire::put_bytes(frame.before, 1, type_meta);
  wire::put_tag(frame.before, 2, wire::Type::kBytes);
  wire::put_varint(frame.before, metadata.size() + items_size);
  frame.before += metadata;
  wire::put_bytes(frame.after, 3, "");
  wire::put_bytes(frame.after, 4, "");
  return frame;
}

std::string protobuf_list_item(const Struct& type, json::Value object) {
  std::string message = encode_struct(type, object);
  std::string out;
  out.reserve(message.size() + 6);
  wire::put_bytes(out, 2, message);
  return out;
}

std::string protobuf_watch_frame(std::string_view event_type, std::string_view body) {
  std::string object;
  wire::put_bytes(object, 1, body);
  std::string event;
  wire::put_bytes(event, 1, event_type);
  wire::put_bytes(event, 2, object);
  std::string out;
  out.reserve(event.size() + 4);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(event.size() >> shift);
  return out + event;
}

}  // namespace wherry::api
