#pragma once
// Impersonation: who a request is to be judged as, when its sender asks to be taken for somebody
// else (the Impersonate-* headers). Pure; any thread.
//
// There are several ways to be allowed to. With the verb "impersonate" on users, groups and so on
// the sender may do as that user whatever that user may. The constrained ways
// (impersonate:user-info, impersonate:serviceaccount, impersonate:arbitrary-node and
// impersonate:associated-node) also ask whether the sender may do this very thing as somebody else:
// impersonate-on:<way>:<verb> on what the request is about.

#include "apiserver/authorise.h"
#include "apiserver/request.h"
#include "http/message.h"

namespace wherry::apiserver {

// `caller` when nothing of the kind is asked. kForbidden when the caller may not act as that user,
// or in one of those groups.
Result<User> impersonate(const Authoriser& authoriser, User caller, const http::Request& request,
                         const Route& route);

}  // namespace wherry::apiserver
