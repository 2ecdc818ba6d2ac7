#pragma once
// A layer may hold "bin/tool" without an entry for "bin" (the OCI specification allows it). The
// folder is then implied: whatever the layers below have there goes on to be there. Where that is a
// symbolic link ("bin" to "usr/bin"), the file belongs behind it; where it is a folder, its owner
// and mode stay. Layers are unpacked apart from each other, so such a layer is made again for the
// layers it lies upon, its files being hard links to the ones unpacked first.

#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::container {

using Folders = std::vector<std::string>;  // Unpacked layers, the uppermost first.

// Whether an implied folder is something else below than a plain folder of root's.
bool wants_graft(const std::vector<std::string>& implied, const Folders& below);

// Fills the empty folder `target`. `implied` are paths inside `layer`.
Result<void> graft_layer(const std::string& layer, const std::vector<std::string>& implied,
                         const Folders& below, const std::string& target);

// What `layers` together have at `path`, links followed inside the root: the folders to lay over
// one another, the uppermost first, or the one file. kNotFound when there is nothing.
Result<Folders> subtree(const Folders& layers, const std::string& path);

}  // namespace wherry::container
