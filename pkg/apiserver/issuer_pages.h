#pragma once
// Where others learn how to check this cluster's ServiceAccount tokens by themselves: the two
// documents of OpenID Connect Discovery 1.0. Pure; any thread.

#include <string_view>

#include "apiserver/token.h"
#include "http/message.h"

namespace wherry::apiserver {

// /.well-known/openid-configuration and /openid/v1/jwks; false for any other path. `address` is
// where the API server is found, with its port.
bool answer_issuer_page(const http::Request& request, http::Response& response,
                        const TokenIssuer& tokens, std::string_view address);

}  // namespace wherry::apiserver
