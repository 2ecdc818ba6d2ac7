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
// includes/excludes by capability and architecture). kInvalid names what is wrong.
Result<void> load_seccomp(const json::Node& target, std::string_view text,
                          const std::set<std::string>& capabilities);

}  // namespace wherry::container
