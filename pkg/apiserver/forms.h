#pragma once
// Forms: what stored objects look like in forms other than their own JSON (protobuf, cells of a
// table, compressed), kept for those that clients ask for, so that a list is bytes that are already
// there in those forms too.
//
// Bounded in bytes. A form dies with the version of the object it was made of, or when nobody has
// asked for it for a while. What has been asked for lately is never driven out by what is new: a
// list of more than fits finds at least the part that did fit.
//
// Any thread.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/object.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "http/gzip_pieces.h"

namespace wherry::apiserver {

struct Encoded {
  std::string bytes;         // Empty for a compressed one.
  Time until = Time::max();  // It may say something else from then on.
  // Compressed, to be put behind the item of `before`; null for the first.
  http::DeflatedPiece deflated;
  std::weak_ptr<const api::Object> before;

  size_t cost() const;
};
using EncodedPtr = std::shared_ptr<const Encoded>;

class Forms {
 public:
  enum class Kind : uint8_t {
    kProtobuf,         // Item of a list, with its tag and length.
    kPartialProtobuf,  // The same of PartialObjectMetadata.
    kRow,              // Cells and conditions.
    kZippedJson,
    kZippedPartialJson,
    kZippedProtobuf,
    kZippedPartialProtobuf,
    kZippedRow,
  };
  static constexpr size_t kBytesMax = 24 << 20;

  explicit Forms(size_t bytes_max = kBytesMax) : bytes_max_(bytes_max) {}

  // For each object its form, or null where there is none that holds at `now`.
  std::vector<EncodedPtr> find(Kind kind, std::span<const api::ObjectPtr> objects, Time now)
      EXCLUDES(mutex_);
  void keep(Kind kind, const api::ObjectPtr& object, EncodedPtr form, Time now) EXCLUDES(mutex_);
  size_t bytes() const EXCLUDES(mutex_);

 private:
  struct Key {
    const api::Object* object;
    Kind kind;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const {
      return (reinterpret_cast<uintptr_t>(key.object) >> 4) * 31 + static_cast<size_t>(key.kind);
    }
  };
  struct Entry {
    std::weak_ptr<const api::Object> object;
    EncodedPtr form;
    Time used{};
  };
  void sweep(Time now, Duration unused) REQUIRES(mutex_);

  const size_t bytes_max_;
  mutable Mutex mutex_;
  std::unordered_map<Key, Entry, Hash> entries_ GUARDED_BY(mutex_);
  size_t bytes_ GUARDED_BY(mutex_) = 0;
  Time swept_ GUARDED_BY(mutex_){};
};

// Whether `weak` was made of `object` (or both of none).
bool made_of(const std::weak_ptr<const api::Object>& weak, const api::ObjectPtr& object);

}  // namespace wherry::apiserver
