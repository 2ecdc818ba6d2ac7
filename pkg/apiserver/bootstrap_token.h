#pragma once
// Bootstrap tokens, "abcdef.0123456789abcdef": what a machine shows that is to join. Each is a
// Secret bootstrap-token-abcdef in kube-system, of type bootstrap.kubernetes.io/token. Spec:
// Kubernetes documentation, "Authenticating with Bootstrap Tokens". Any thread.

#include <string_view>

#include "apiserver/request.h"
#include "base/clock.h"
#include "store/store.h"

namespace wherry::apiserver {

bool looks_like_bootstrap_token(std::string_view token);
// kUnauthorized when there is no such token, when it has expired, or is not for authentication.
Result<User> check_bootstrap_token(const store::Store& store, std::string_view token, Time now);

}  // namespace wherry::apiserver
