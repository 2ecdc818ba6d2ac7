#pragma once
// Resolves a volumeMount's subPath inside a volume whose content a container may have written:
// symbolic links are followed only while they stay inside (openat2 with RESOLVE_BENEATH), and what
// is missing is made as folders. Any thread.

#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::agent {

// The real path on the host, free of links. kInvalid when the path leads out of the volume.
Result<std::string> resolve_subpath(const std::string& volume, std::string_view subpath);

}  // namespace wherry::agent
