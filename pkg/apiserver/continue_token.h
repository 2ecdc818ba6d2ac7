#pragma once
// The token with which a client asks for the next page: base64url of
//
//   {"v":"meta.k8s.io/v1","rv":<revision, -1 for "whatever is
//   current">,"start":"<namespace>/<name>\u0000"}
//
// A client must not look inside; it is checked like any foreign bytes. Pure.

#include <string>
#include <string_view>

#include "api/object.h"
#include "base/result.h"

namespace wherry::apiserver {

struct ContinueToken {
  api::Revision revision = 0;  // -1: the list goes on at the current state.
  std::string ns;
  std::string name;
};

// An Expired error whose details.uid starts with this carries the token for going on at the current
// state; the encoder moves it to the Status's metadata.continue.
inline const std::string kInconsistentContinue = "continue:";

std::string encode_continue(const ContinueToken& token);
Result<ContinueToken> decode_continue(std::string_view text);

}  // namespace wherry::apiserver
