// Protobuf to JSON, by the tables. A field that occurs more than once counts as protobuf says: the
// last scalar, the messages merged (which is their bytes one after the other), all items of a list.

#include <algorithm>
#include <bit>
#include <map>
#include <vector>

#include "api/decode.h"
#include "api/decode_text.h"
#include "api/protobuf.h"
#include "api/protobuf_wire.h"
#include "api/strict.h"
#include "base/clock.h"
#include "base/encoding.h"

namespace wherry::api {
namespace {

// A message of two bytes can stand for a whole object, so bytes alone do not bound the work.
constexpr size_t kMessagesMax = 500'000;

// As Go's JSON encoder: bytes that are not UTF-8 become U+FFFD.
std::string valid_utf8(std::string_view text) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    auto lead = static_cast<unsigned char>(text[at]);
    size_t size = lead < 0x80   ? 1
                  : lead < 0xc2 ? 0
                  : lead < 0xe0 ? 2
                  : lead < 0xf0 ? 3
                  : lead < 0xf5 ? 4
                                : 0;
    bool good = size > 0 && at + size <= text.size();
    for (size_t i = 1; good && i < size; ++i) {
      auto next = static_cast<unsigned char>(text[at + i]);
      unsigned char low = 0x80, high = 0xbf;
      if (i == 1 && lead == 0xe0) low = 0xa0;
      if (i == 1 && lead == 0xed) high = 0x9f;
      if (i == 1 && lead == 0xf0) low = 0x90;
      if (i == 1 && lead == 0xf4) high = 0x8f;
      good = next >= low && next <= high;
    }
    if (good) {
      out += text.substr(at, size);
      at += size;
    } else {
      out += "\xef\xbf\xbd";
      ++at;
    }
  }
  return out;
}

// Where a value goes: a member, which is not there yet since a message is read once, or the end of
// a list.
struct Slot {
  json::Node parent;
  std::string_view key;
  bool in_list = false;

  template <typename T>
  void put(T value) const {
    in_list ? parent.push(value) : parent.add(key, value);
  }
  void put_null() const { in_list ? parent.push_null() : parent.add_null(key); }
  json::Node object() const { return in_list ? parent.push_object() : parent.add_object(key); }
  json::Node array() const { return in_list ? parent.push_array() : parent.add_array(key); }
};

using Parts = std::span<const wire::Part>;

std::string_view last_bytes(Parts parts) {
  return parts.empty() ? std::string_view() : parts.back().bytes;
}
int64_t last_number(Parts parts) {
  return parts.empty() ? 0 : static_cast<int64_t>(parts.back().value);
}

// The bytes of a message that came in pieces; `buffer` holds them when there is more than one.
std::string_view merged(Parts parts, std::string& buffer) {
  if (parts.size() <= 1) return last_bytes(parts);
  for (const wire::Part& part : parts) buffer += part.bytes;
  return buffer;
}

// The fields of a message, those of one number beside each other in the order they came.
class Message {
 public:
  explicit Message(std::vector<wire::Part> parts) : parts_(std::move(parts)) {
    std::stable_sort(parts_.begin(), parts_.end(),
                     [](const auto& a, const auto& b) { return a.number < b.number; });
  }
  bool empty() const { return parts_.empty(); }
  Parts of(uint32_t number) const {
    auto first = std::lower_bound(parts_.begin(), parts_.end(), number,
                                  [](const auto& part, uint32_t n) { return part.number < n; });
    auto last = first;
    while (last != parts_.end() && last->number == number) ++last;
    return {first, last};
  }
  // Calls `visit(number, parts)` for each number until it fails.
  template <typename Visit>
  Result<void> each(Visit visit) const {
    for (size_t at = 0; at < parts_.size();) {
      Parts found = of(parts_[at].number);
      TRY(visit(parts_[at].number, found));
      at += found.size();
    }
    return {};
  }

 private:
  std::vector<wire::Part> parts_;
};

class Decoder {
 public:
  Result<void> decode_struct(const Struct& type, std::string_view bytes, json::Node out) {
    Message message = TRY(read(bytes));
    ++depth_;
    TRY(message.each([&](uint32_t number, Parts found) -> Result<void> {
      const Field* field = type.find(number);
      if (field == nullptr) return {};  // From a newer client.
      if (!field->name.empty()) return decode_field(*field, found, out);
      std::string buffer;
      return decode_struct(*field->type.structure, merged(found, buffer), out);
    }));
    --depth_;
    return {};
  }

 private:
  Result<Message> read(std::string_view bytes) {
    if (depth_ >= kDecodeDepthMax) return Error::bad_request("protobuf: exceeded max depth");
    if (++messages_ > kMessagesMax) return Error::bad_request("protobuf: too many messages");
    std::vector<wire::Part> parts;
    wire::Reader reader(bytes);
    for (wire::Part part; reader.next(part);) parts.push_back(part);
    if (reader.failed()) return Error::bad_request("unexpected EOF");
    return Message(std::move(parts));
  }

  static bool is_number(const TypeRef& type) {
    return type.kind == Kind::kInt32 || type.kind == Kind::kInt64 || type.kind == Kind::kBool ||
           type.kind == Kind::kDouble;
  }

  static Result<void> expect_wire(const TypeRef& type, const wire::Part& part) {
    wire::Type wanted = type.kind == Kind::kDouble ? wire::Type::kFixed64
                        : is_number(type)          ? wire::Type::kVarint
                                                   : wire::Type::kBytes;
    if (part.type == wanted) return {};
    return Error::bad_request("proto: wrong wireType = {} for field {}",
                              static_cast<int>(part.type), part.number);
  }

  Result<void> decode_field(const Field& field, Parts found, json::Node out) {
    if (field.type.kind == Kind::kList) return decode_list(field, found, out);
    for (const wire::Part& part : found) {
      TRY(expect_wire(field.type.kind == Kind::kMap ? TypeRef{Kind::kStruct} : field.type, part));
    }
    if (field.type.kind == Kind::kMap) return decode_map(field, found, out);
    Slot slot{out, field.name};
    if (is_number(field.type)) {
      decode_number(field.type, found.back(), slot);
      return {};
    }
    if (field.type.kind == Kind::kString || field.type.kind == Kind::kBytes) {
      return decode_bytes(field.type, last_bytes(found), slot);
    }
    std::string buffer;
    return decode_bytes(field.type, merged(found, buffer), slot);
  }

  Result<void> decode_list(const Field& field, Parts found, json::Node out) {
    const TypeRef& element = *field.type.element;
    Slot slot{out.add_array(field.name), {}, true};
    for (const wire::Part& part : found) {
      if (is_number(element) && part.type == wire::Type::kBytes) {
        TRY(decode_packed(element, part.bytes, slot));
        continue;
      }
      TRY(expect_wire(element, part));
      if (is_number(element)) {
        decode_number(element, part, slot);
      } else {
        TRY(decode_bytes(element, part.bytes, slot));
      }
    }
    return {};
  }

  static Result<void> decode_packed(const TypeRef& element, std::string_view bytes,
                                    const Slot& slot) {
    while (!bytes.empty()) {
      wire::Part part;
      if (!wire::Reader::read_varint(bytes, part.value)) {
        return Error::bad_request("proto: unexpected end of a packed list");
      }
      decode_number(element, part, slot);
    }
    return {};
  }

  static void decode_number(const TypeRef& type, const wire::Part& part, const Slot& slot) {
    switch (type.kind) {
      case Kind::kBool: return slot.put(part.value != 0);
      case Kind::kInt32: return slot.put(static_cast<int64_t>(static_cast<int32_t>(part.value)));
      case Kind::kDouble: {
        auto real = std::bit_cast<double>(part.value);
        bool whole = real == static_cast<double>(static_cast<int64_t>(real / 2) * 2) &&
                     real > -1e15 && real < 1e15;
        return whole ? slot.put(static_cast<int64_t>(real)) : slot.put(real);
      }
      default: return slot.put(static_cast<int64_t>(part.value));
    }
  }

  Result<void> decode_map(const Field& field, Parts found, json::Node out) {
    const TypeRef& element = *field.type.element;
    std::map<std::string, wire::Part> entries;  // Sorted; the last of a key counts.
    for (const wire::Part& part : found) {
      Message entry = TRY(read(part.bytes));
      for (const wire::Part& key : entry.of(1)) TRY(expect_wire(TypeRef{Kind::kString}, key));
      wire::Part value;
      value.type = is_number(element) ? wire::Type::kVarint : wire::Type::kBytes;
      if (Parts given = entry.of(2); !given.empty()) value = given.back();
      TRY(expect_wire(element, value));
      entries[valid_utf8(last_bytes(entry.of(1)))] = value;
    }
    json::Node map = out.add_object(field.name);
    for (const auto& [key, value] : entries) {
      Slot slot{map, key};
      if (is_number(element)) {
        decode_number(element, value, slot);
      } else {
        TRY(decode_bytes(element, value.bytes, slot));
      }
    }
    return {};
  }

  // Everything that is length-delimited.
  Result<void> decode_bytes(const TypeRef& type, std::string_view bytes, const Slot& slot) {
    switch (type.kind) {
      case Kind::kString: slot.put(std::string_view(valid_utf8(bytes))); return {};
      case Kind::kBytes: slot.put(std::string_view(base64_encode(bytes))); return {};
      case Kind::kStruct: return decode_struct(*type.structure, bytes, slot.object());
      case Kind::kAny:
        if (type.structure != nullptr) return decode_choice(*type.structure, bytes, slot);
        return decode_raw(bytes, slot);
      case Kind::kFieldsV1: return decode_raw(bytes, slot);
      default: break;
    }
    Message message = TRY(read(bytes));
    switch (type.kind) {
      case Kind::kTime:
      case Kind::kMicroTime: return decode_time(type, message, slot);
      case Kind::kDuration:
        slot.put(std::string_view(format_go_duration(last_number(message.of(1)))));
        return {};
      case Kind::kQuantity: {
        std::string_view text = last_bytes(message.of(1));
        slot.put(std::string_view(valid_utf8(text.empty() ? "0" : text)));
        return {};
      }
      case Kind::kIntOrString:
        if (last_number(message.of(1)) == 1) {
          slot.put(std::string_view(valid_utf8(last_bytes(message.of(3)))));
        } else {
          slot.put(static_cast<int64_t>(static_cast<int32_t>(last_number(message.of(2)))));
        }
        return {};
      case Kind::kVerbs: {
        json::Node list = slot.array();
        for (const wire::Part& part : message.of(1)) list.push(valid_utf8(part.bytes));
        return {};
      }
      default: return Error::bad_request("proto: unexpected bytes");
    }
  }

  static Result<void> decode_time(const TypeRef& type, const Message& message, const Slot& slot) {
    if (message.empty()) {
      slot.put_null();
      return {};
    }
    int64_t seconds = last_number(message.of(1));
    // The years 1 to 9999, outside of which there is no text form.
    if (seconds < -62'135'596'800 || seconds > 253'402'300'799) {
      return Error::bad_request("proto: time out of range");
    }
    int64_t nanoseconds = last_number(message.of(2));
    if (nanoseconds < 0 || nanoseconds > 999'999'999) nanoseconds = 0;
    Time time{std::chrono::seconds(seconds)};
    if (type.kind == Kind::kTime) {
      slot.put(std::string_view(format_time(time)));
    } else {
      time += std::chrono::microseconds(nanoseconds / 1000);
      slot.put(std::string_view(format_micro_time(time)));
    }
    return {};
  }

  Result<void> decode_raw(std::string_view bytes, const Slot& slot) {
    Message message = TRY(read(bytes));
    std::string_view raw = last_bytes(message.of(1));
    if (raw.empty()) {
      slot.put_null();
      return {};
    }
    json::Document document = TRY(json::Document::parse(raw));
    slot.put(document.root());
    return {};
  }

  Result<void> decode_choice(const Struct& choice, std::string_view bytes, const Slot& slot) {
    Message message = TRY(read(bytes));
    const Field* chosen = nullptr;
    for (const Field& field : choice.fields) {
      bool is_schema = field.type.kind == Kind::kStruct;
      if (is_schema ? !message.of(field.number).empty() : chosen == nullptr) chosen = &field;
    }
    if (chosen == nullptr) return Error::bad_request("proto: an empty choice");
    ++depth_;
    Parts found = message.of(chosen->number);
    if (chosen->type.kind == Kind::kBool) {
      slot.put(last_number(found) != 0);
    } else if (chosen->type.kind == Kind::kStruct) {
      std::string buffer;
      TRY(decode_struct(*chosen->type.structure, merged(found, buffer), slot.object()));
    } else {
      Slot items{slot.array(), {}, true};
      for (const wire::Part& part : found) {
        TRY(expect_wire(*chosen->type.element, part));
        TRY(decode_bytes(*chosen->type.element, part.bytes, items));
      }
    }
    --depth_;
    return {};
  }

  int depth_ = 0;
  size_t messages_ = 0;
};

constexpr std::string_view kMagic("k8s\0", 4);

Result<json::Draft> canonical(const Struct& type, const json::Draft& raw) {
  json::Document document = raw.freeze();
  return decode(type, document.root());
}

}  // namespace

Result<json::Draft> protobuf_decode(const Struct& type, std::string_view bytes) {
  json::Draft raw;
  TRY(Decoder().decode_struct(type, bytes, raw.root()));
  return canonical(type, raw);
}

Result<ProtobufEnvelope> protobuf_unwrap(std::string_view body) {
  if (!body.starts_with(kMagic)) {
    return Error::bad_request(
        "provided data does not appear to be a protobuf message, expected prefix {}",
        "[107 56 115 0]");
  }
  ProtobufEnvelope out;
  wire::Reader reader(body.substr(kMagic.size()));
  for (wire::Part part; reader.next(part);) {
    if (part.type != wire::Type::kBytes) continue;
    if (part.number == 1) {
      wire::Reader meta(part.bytes);
      for (wire::Part inner; meta.next(inner);) {
        if (inner.number == 1) out.api_version = valid_utf8(inner.bytes);
        if (inner.number == 2) out.kind = valid_utf8(inner.bytes);
      }
      if (meta.failed()) return Error::bad_request("unexpected EOF");
    } else if (part.number == 2) {
      out.raw = part.bytes;
    } else if (part.number == 3) {
      out.content_encoding = valid_utf8(part.bytes);
    } else if (part.number == 4) {
      out.content_type = valid_utf8(part.bytes);
    }
  }
  if (reader.failed()) return Error::bad_request("unexpected EOF");
  return out;
}

Result<json::Draft> protobuf_decode_body(const Struct& type, std::string_view body) {
  ProtobufEnvelope envelope = TRY(protobuf_unwrap(body));
  json::Draft raw;
  if (!envelope.kind.empty()) raw.root().set("kind", envelope.kind);
  if (!envelope.api_version.empty()) raw.root().set("apiVersion", envelope.api_version);
  TRY(Decoder().decode_struct(type, envelope.raw, raw.root()));
  return canonical(type, raw);
}

}  // namespace wherry::api
