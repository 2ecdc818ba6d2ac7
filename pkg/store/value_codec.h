#pragma once
// ValueCodec: how the values of some resources stand on disk (Options::coded). Memory, and so every
// reader of the store, has the plain bytes. What the codec does is its owner's business; the store
// only knows that stored bytes may have to be written anew when the codec changes.
//
// Immutable; the store's threads call it.

#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::store {

class ValueCodec {
 public:
  virtual ~ValueCodec() = default;
  // `place` names the row that holds the value; the same place is given to decode().
  virtual std::string encode(std::string_view place, std::string_view plain) const = 0;
  // Must read whatever an earlier codec of the same database has written, plain values too.
  virtual Result<std::string> decode(std::string_view place, std::string_view stored) const = 0;
  // Whether encode() would write in this manner today; else the store counts the value as stale.
  virtual bool current(std::string_view stored) const = 0;
};

}  // namespace wherry::store
