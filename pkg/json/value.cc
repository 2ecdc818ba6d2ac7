#include <algorithm>
#include <charconv>
#include <optional>

#include "json/blocks.h"
#include "json/json.h"

namespace wherry::json {
namespace {

// Numbers on the wire are at most 2^63-1 for every int64 field; larger ones saturate.
int64_t saturate(uint64_t value) {
  return value > static_cast<uint64_t>(INT64_MAX) ? INT64_MAX : static_cast<int64_t>(value);
}

void append(std::string& out, yyjson_val* value, yyjson_write_flag flags) {
  if (value == nullptr) return;
  size_t length = 0;
  char* text = yyjson_val_write_opts(value, flags, blocks(), &length, nullptr);
  if (text == nullptr) return;
  out.append(text, length);
  blocks()->free(nullptr, text);
}

std::string write(yyjson_val* value, yyjson_write_flag flags) {
  std::string out;
  append(out, value, flags);
  return out;
}

}  // namespace

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kAbsent: return "absent";
    case Type::kNull: return "null";
    case Type::kBool: return "bool";
    case Type::kInt:
    case Type::kReal: return "number";
    case Type::kString: return "string";
    case Type::kArray: return "array";
    case Type::kObject: return "object";
  }
  return "absent";
}

Type Value::type() const {
  switch (yyjson_get_type(raw_)) {
    case YYJSON_TYPE_NULL: return Type::kNull;
    case YYJSON_TYPE_BOOL: return Type::kBool;
    case YYJSON_TYPE_NUM: return yyjson_is_real(raw_) ? Type::kReal : Type::kInt;
    case YYJSON_TYPE_STR: return Type::kString;
    case YYJSON_TYPE_ARR: return Type::kArray;
    case YYJSON_TYPE_OBJ: return Type::kObject;
    default: return Type::kAbsent;
  }
}

std::string_view Value::as_string(std::string_view fallback) const {
  if (!yyjson_is_str(raw_)) return fallback;
  return {unsafe_yyjson_get_str(raw_), unsafe_yyjson_get_len(raw_)};
}

int64_t Value::as_int(int64_t fallback) const {
  if (yyjson_is_uint(raw_)) return saturate(yyjson_get_uint(raw_));
  if (yyjson_is_sint(raw_)) return yyjson_get_sint(raw_);
  if (yyjson_is_real(raw_)) {
    double real = yyjson_get_real(raw_);
    if (real >= -9.2e18 && real <= 9.2e18) return static_cast<int64_t>(real);
  }
  return fallback;
}

double Value::as_double(double fallback) const {
  return yyjson_is_num(raw_) ? yyjson_get_num(raw_) : fallback;
}

bool Value::as_bool(bool fallback) const {
  return yyjson_is_bool(raw_) ? yyjson_get_bool(raw_) : fallback;
}

Value Value::operator[](std::string_view key) const {
  return Value(yyjson_obj_getn(raw_, key.data(), key.size()));
}

Value Value::at(size_t index) const { return Value(yyjson_arr_get(raw_, index)); }

size_t Value::size() const { return yyjson_is_ctn(raw_) ? unsafe_yyjson_get_len(raw_) : 0; }

Value::ItemRange::Iterator& Value::ItemRange::Iterator::operator++() {
  at_ = unsafe_yyjson_get_next(at_);
  --left_;
  return *this;
}

Member Value::MemberRange::Iterator::operator*() const {
  return {{unsafe_yyjson_get_str(key_), unsafe_yyjson_get_len(key_)}, Value(key_ + 1)};
}

Value::MemberRange::Iterator& Value::MemberRange::Iterator::operator++() {
  key_ = unsafe_yyjson_get_next(key_ + 1);
  --left_;
  return *this;
}

Value::MemberRange Value::members() const {
  if (!yyjson_is_obj(raw_) || size() == 0) return {nullptr, 0};
  return {unsafe_yyjson_get_first(raw_), size()};
}

Value::ItemRange Value::items() const {
  if (!yyjson_is_arr(raw_) || size() == 0) return {nullptr, 0};
  return {unsafe_yyjson_get_first(raw_), size()};
}

std::vector<std::string> Value::strings() const {
  std::vector<std::string> out;
  out.reserve(size());
  for (Value item : items()) out.emplace_back(item.as_string());
  return out;
}

void Value::dump_to(std::string& out) const {
  is_string() ? quote_to(out, as_string()) : append(out, raw_, YYJSON_WRITE_NOFLAG);
}
std::string Value::dump() const { return write(raw_, YYJSON_WRITE_NOFLAG); }
std::string Value::dump_pretty() const { return write(raw_, YYJSON_WRITE_PRETTY); }

bool equal(Value a, Value b) {
  if (!a || !b) return !a && !b;
  return yyjson_equals(a.raw(), b.raw());
}

// A lambda: the function is forced inline, and GCC cannot do that to a pointer it does not know.
Document::Document(yyjson_doc* doc) : doc_(doc, [](yyjson_doc* raw) { yyjson_doc_free(raw); }) {}

namespace {

std::optional<unsigned> escaped_unit(std::string_view text) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  unsigned unit = 0;
  const char* end = text.data() + 6;
  auto [stop, fault] = std::from_chars(text.data() + 2, end, unit, 16);
  return stop == end && fault == std::errc() ? std::optional(unit) : std::nullopt;
}

// An escape that is one half of a character is read as Go reads it: as the character that stands
// for what cannot be told. Empty: there is none.
std::string without_halves(std::string_view text) {
  std::string out;
  size_t copied = 0;
  for (size_t i = 0; (i = text.find('\\', i)) != std::string_view::npos;) {
    std::optional<unsigned> unit = escaped_unit(text.substr(i));
    if (!unit) {
      i += 2;
      continue;
    }
    const bool high = *unit >= 0xd800 && *unit < 0xdc00;
    const bool low = *unit >= 0xdc00 && *unit < 0xe000;
    std::optional<unsigned> next = high ? escaped_unit(text.substr(i + 6)) : std::nullopt;
    const bool pair = next && *next >= 0xdc00 && *next < 0xe000;
    if ((high && !pair) || low) {
      out.append(text.substr(copied, i - copied)).append("\\ufffd");
      copied = i + 6;
    }
    i += pair ? 12 : 6;
  }
  if (copied != 0) out.append(text.substr(copied));
  return out;
}

}  // namespace

Result<Document> Document::parse(std::string_view text) {
  yyjson_read_err error{};
  yyjson_doc* doc = yyjson_read_opts(const_cast<char*>(text.data()), text.size(),
                                     YYJSON_READ_NOFLAG, blocks(), &error);
  std::string whole;
  if (doc == nullptr && error.code == YYJSON_READ_ERROR_INVALID_STRING) {
    whole = without_halves(text);
    if (!whole.empty())
      doc = yyjson_read_opts(whole.data(), whole.size(), YYJSON_READ_NOFLAG, blocks(), &error);
  }
  if (doc != nullptr) return Document(doc);
  if (std::string_view(error.msg).starts_with("number is infinity")) {
    // Valid JSON, of which Go has this to say.
    std::string_view number = text.substr(error.pos);
    return Error::bad_request("json: cannot unmarshal number {} into Go value of type float64",
                              number.substr(0, number.find_first_not_of("+-.eE0123456789")));
  }
  return Error::bad_request("{} at byte {}", error.msg, error.pos);
}

Value Document::root() const { return Value(yyjson_doc_get_root(doc_.get())); }

namespace {

// Of the characters that stand in a literal as they are; most texts have no others.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
  });
}

}  // namespace

void quote_to(std::string& out, std::string_view text) {
  if (is_plain(text)) {
    out += '"';
    out += text;
    out += '"';
    return;
  }
  yyjson_val value{};
  value.tag = (static_cast<uint64_t>(text.size()) << YYJSON_TAG_BIT) | YYJSON_TYPE_STR;
  value.uni.str = text.data();
  append(out, &value, YYJSON_WRITE_NOFLAG);
}

std::string quote(std::string_view text) {
  std::string out;
  quote_to(out, text);
  return out;
}

}  // namespace wherry::json
