#include "json/blocks.h"

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>

namespace wherry::json {
namespace {

// Blocks of 2^kLeast to 2^kMost bytes are kept, no more of them by a thread than kBytesKept: what
// one request needs at a time. There are many threads that seldom make a document.
constexpr unsigned kLeast = 7;
constexpr unsigned kMost = 14;
constexpr size_t kBytesKept = 48 << 10;

// In front of each block; as long as what the general allocator aligns to.
struct alignas(16) Header {
  size_t capacity;
  Header* next;  // While it is kept.
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kKeeps = false;  // So that they see who uses what has been given back.
#else
constexpr bool kKeeps = true;
#endif

class Kept {
 public:
  constexpr Kept() = default;
  ~Kept() {
    gone_ = true;
    for (Header*& shelf : shelves_) {
      while (Header* block = pop(shelf)) std::free(block);
    }
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  // Null when there is none of 2^size bytes.
  Header* take(unsigned size) { return pop(shelves_[size - kLeast]); }
  bool keep(Header* block) {
    if (!kKeeps || gone_ || block->capacity > (size_t{1} << kMost)) return false;
    if (bytes_ + block->capacity > kBytesKept) return false;
    Header*& shelf = shelves_[static_cast<unsigned>(std::bit_width(block->capacity) - 1) - kLeast];
    block->next = shelf;
    shelf = block;
    bytes_ += block->capacity;
    return true;
  }

 private:
  Header* pop(Header*& shelf) {
    Header* block = shelf;
    if (block == nullptr) return nullptr;
    shelf = block->next;
    bytes_ -= block->capacity;
    return block;
  }

  std::array<Header*, kMost - kLeast + 1> shelves_{};  // By size.
  size_t bytes_ = 0;
  bool gone_ = false;  // The thread ends.
};

constinit thread_local Kept kept;

void* take(void*, size_t size) {
  unsigned rounded = size <= 1 ? kLeast : static_cast<unsigned>(std::bit_width(size - 1));
  if (rounded < kLeast) rounded = kLeast;
  Header* block = rounded <= kMost ? kept.take(rounded) : nullptr;
  if (block == nullptr) {
    size_t capacity = rounded <= kMost ? size_t{1} << rounded : size;
    if (capacity > SIZE_MAX - sizeof(Header)) return nullptr;
    block = static_cast<Header*>(std::malloc(sizeof(Header) + capacity));
    if (block == nullptr) return nullptr;
    block->capacity = capacity;
  }
  return block + 1;
}

void give(void*, void* bytes) {
  Header* block = static_cast<Header*>(bytes) - 1;
  if (!kept.keep(block)) std::free(block);
}

void* resize(void* context, void* bytes, size_t before, size_t size) {
  if ((static_cast<Header*>(bytes) - 1)->capacity >= size) return bytes;
  void* larger = take(context, size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, bytes, before);
  give(context, bytes);
  return larger;
}

constexpr yyjson_alc kBlocks = {take, resize, give, nullptr};

}  // namespace

const yyjson_alc* blocks() { return &kBlocks; }

}  // namespace wherry::json
