#pragma once
// Makes the built-in roles and bindings (builtin_roles.h) and keeps them whole: at each start what
// is missing is added, and what somebody else added stays. An object whose annotation
// rbac.authorization.kubernetes.io/autoupdate is "false" is left alone.

#include "apiserver/machinery.h"

namespace wherry::apiserver {

Result<void> make_bootstrap_roles(Machinery& machinery, Context& context);

}  // namespace wherry::apiserver
