#pragma once
// Who may come, by the server's flags: static tokens, an OpenID provider, authenticating proxies.
// One thread.

#include "apiserver/server.h"
#include "flags.h"

namespace wherry::command {

// Reads the files that the flags name. kInvalid names the flag or the file.
Result<void> set_identities(const ServerFlags& flags, apiserver::ApiServer::Options& options);

}  // namespace wherry::command
