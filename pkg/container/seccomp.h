#pragma once
// Seccomp profiles as the OCI runtime takes them. RuntimeDefault is an allow-list of our own for
// the native architecture; system calls that only make sense with a capability are allowed with it.
// Pure, except for reading a Localhost profile.

#include <set>
#include <string>

#include "base/result.h"
#include "json/json.h"

namespace wherry::container {

// Writes linux.seccomp into `target`. `capabilities` are the container's, as "CAP_SYS_ADMIN".
void default_seccomp(const json::Node& target, const std::set<std::string>& capabilities);

// A Localhost profile: JSON in the form that container engines take (names, action, args, and the
// includes/excludes by capability and architecture). kInvalid names what is wrong, also where only
// the compiler of filters sees it.
Result<void> load_seccomp(const json::Node& target, std::string_view text,
                          const std::set<std::string>& capabilities);

// Compiles linux.seccomp for this machine, as the runtime will, and throws the filter away: what
// the runtime would only refuse once the container is half made is an error here. Takes some
// milliseconds for a long profile.
Result<void> check_seccomp(json::Value profile);

}  // namespace wherry::container
