#include "api/protobuf_wire.h"

#include <bit>
#include <cstring>

namespace wherry::api::wire {

void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void put_tag(std::string& out, uint32_t number, Type type) {
  put_varint(out, static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(type));
}

void put_bytes(std::string& out, uint32_t number, std::string_view bytes) {
  put_tag(out, number, Type::kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_number(std::string& out, uint32_t number, int64_t value) {
  put_tag(out, number, Type::kVarint);
  put_varint(out, static_cast<uint64_t>(value));
}

void put_double(std::string& out, uint32_t number, double value) {
  put_tag(out, number, Type::kFixed64);
  auto bits = std::bit_cast<uint64_t>(value);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(bits >> (8 * i));
}

bool Reader::read_varint(std::string_view& bytes, uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool Reader::take_fixed(size_t size, uint64_t& value) {
  if (rest_.size() < size) return fail();
  value = 0;
  for (size_t i = 0; i < size; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
  }
  rest_.remove_prefix(size);
  return true;
}

bool Reader::next(Part& part) {
  if (rest_.empty()) return false;
  uint64_t tag = 0;
  if (!read_varint(rest_, tag)) return fail();
  if (tag >> 3 == 0 || tag >> 3 >= (1u << 29)) return fail();
  part.number = static_cast<uint32_t>(tag >> 3);
  part.bytes = {};
  switch (tag & 7) {
    case 0: part.type = Type::kVarint; return read_varint(rest_, part.value) || fail();
    case 1: part.type = Type::kFixed64; return take_fixed(8, part.value);
    case 5: part.type = Type::kFixed32; return take_fixed(4, part.value);
    case 2: {
      part.type = Type::kBytes;
      uint64_t size = 0;
      if (!read_varint(rest_, size) || size > rest_.size()) return fail();
      part.bytes = rest_.substr(0, size);
      rest_.remove_prefix(size);
      return true;
    }
    default: return fail();  // Groups; nothing of Kubernetes has them.
  }
}

}  // namespace wherry::api::wire
