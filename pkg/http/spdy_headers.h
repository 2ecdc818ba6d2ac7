#pragma once
// SpdyHeaderCodec: header blocks of one SPDY/3 session. Both directions keep their compression
// state for the session's whole life, so every block must pass through here, in order. One thread.

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace wherry::http {

class SpdyHeaderCodec {
 public:
  SpdyHeaderCodec();
  ~SpdyHeaderCodec();
  SpdyHeaderCodec(const SpdyHeaderCodec&) = delete;
  SpdyHeaderCodec& operator=(const SpdyHeaderCodec&) = delete;

  std::string encode(const Headers& headers);  // Names in lower case.
  // kBadRequest when malformed or larger than any request needs; the session cannot go on then.
  Result<Headers> decode(std::string_view block);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wherry::http
