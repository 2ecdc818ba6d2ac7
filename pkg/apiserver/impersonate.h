#pragma once
// Impersonation: who a request is to be judged as, when its sender asks to be taken for somebody
// else (the Impersonate-* headers). Pure; any thread.

#include "apiserver/request.h"
#include "http/message.h"

namespace wherry::apiserver {

// `caller` when nothing of the kind is asked. kForbidden when the caller may not act as that user,
// or in one of those groups.
Result<User> impersonate(User caller, const http::Request& request);

}  // namespace wherry::apiserver
