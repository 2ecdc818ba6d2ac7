// Continue tokens from query strings: what reads writes, and reads the same again.

#include <cstdint>

#include "apiserver/continue_token.h"
#include "base/check.h"
#include "base/encoding.h"

namespace wherry::apiserver {
namespace {

void check(std::string_view text) {
  Result<ContinueToken> token = decode_continue(text);
  if (!token.ok()) return;
  CHECK(token->revision != 0 && token->name.find('/') == std::string::npos);
  if (token->name.empty()) return;
  Result<ContinueToken> again = decode_continue(encode_continue(*token));
  CHECK(again.ok() && again->revision == token->revision);
  CHECK(again->ns == token->ns && again->name == token->name);
}

}  // namespace
}  // namespace wherry::apiserver

// As it comes, and as the text inside of one that is well made.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  wherry::apiserver::check(text);
  wherry::apiserver::check(wherry::base64url_encode(text));
  return 0;
}
