#pragma once
// The static token file of --token-auth-file: a line "token,user,uid" or
// "token,user,uid,\"group1,group2\"" for each; comma-separated values as RFC 4180 has them, "#"
// begins a comment. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authenticate.h"
#include "base/result.h"

namespace wherry::apiserver {

// kInvalid with the number of the line at fault, never with its content.
Result<std::vector<StaticToken>> parse_token_file(std::string_view text);

}  // namespace wherry::apiserver
