#pragma once
// The protobuf wire format: varints, tags and length-delimited fields. Pure.

#include <cstdint>
#include <string>
#include <string_view>

namespace wherry::api::wire {

enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, uint64_t value);
void put_tag(std::string& out, uint32_t number, Type type);
void put_bytes(std::string& out, uint32_t number, std::string_view bytes);  // Tag, length, bytes.
void put_number(std::string& out, uint32_t number, int64_t value);          // Tag, varint.
void put_double(std::string& out, uint32_t number, double value);

// One field of a message. For kBytes `bytes` is its content, for the others `number` its bits.
struct Part {
  uint32_t number = 0;
  Type type = Type::kVarint;
  uint64_t value = 0;
  std::string_view bytes;
};

// Reads the fields of a message off its front; what it gives points into the message.
class Reader {
 public:
  explicit Reader(std::string_view message) : rest_(message) {}
  // False at the end, and when the bytes are malformed: then failed().
  bool next(Part& part);
  bool failed() const { return failed_; }
  static bool read_varint(std::string_view& bytes, uint64_t& value);

 private:
  bool fail() {
    failed_ = true;
    return false;
  }
  bool take_fixed(size_t size, uint64_t& value);

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace wherry::api::wire
