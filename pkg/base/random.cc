#include "base/random.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/check.h"

namespace wherry {
namespace {

void fill(char* to, size_t count) {
  size_t done = 0;
  while (done < count) {
    ssize_t got = getrandom(to + done, count - done, 0);
    if (got < 0 && errno == EINTR) continue;
    CHECK(got > 0);  // With a 3.17+ kernel and flags 0 it can only be interrupted.
    done += static_cast<size_t>(got);
  }
}

// For identifiers, of which each request needs one or two: fetched some at a time. What has been
// given out is not kept.
void take(char* to, size_t count) {
  struct Pool {
    std::array<char, 256> bytes;
    size_t left = 0;
  };
  thread_local Pool pool;
  CHECK(count <= pool.bytes.size());
  if (pool.left < count) {
    fill(pool.bytes.data(), pool.bytes.size());
    pool.left = pool.bytes.size();
  }
  char* from = pool.bytes.data() + pool.left - count;
  std::memcpy(to, from, count);
  std::memset(from, 0, count);
  pool.left -= count;
}

}  // namespace

std::string random_bytes(size_t count) {
  std::string out(count, '\0');
  fill(out.data(), count);
  return out;
}

uint64_t random_u64() {
  uint64_t value = 0;
  take(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

std::string random_uuid() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<char, 16> bytes;
  take(bytes.data(), bytes.size());
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string out(36, '-');
  size_t at = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) ++at;
    auto byte = static_cast<unsigned char>(bytes[i]);
    out[at++] = kDigits[byte >> 4];
    out[at++] = kDigits[byte & 15];
  }
  return out;
}

std::string random_suffix(size_t length) {
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string bytes(length, '\0');
  take(bytes.data(), length);
  for (char& c : bytes) c = kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  return bytes;
}

}  // namespace wherry
