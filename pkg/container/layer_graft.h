#pragma once
// A layer may hold "bin/tool" without an entry for "bin" (the OCI specification allows it). The
// folder is then implied: whatever the layers below have there goes on to be there. Where that is a
// symbolic link ("bin" to "usr/bin"), the file belongs behind it; where it is a folder, its owner
// and mode stay. Layers are unpacked apart from each other, so such a layer is made again for the
// layers it lies upon, its files being hard links to the ones unpacked first. The same is done for
// a layer with a hard link to a file of a layer below.

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::container {

using Folders = std::vector<std::string>;  // Unpacked layers, the uppermost first.

// What has to be looked up in the layers below: paths inside the layer of folders that are implied,
// and of hard links, with what they link to.
struct Loose {
  std::vector<std::string> implied;
  std::map<std::string, std::string> links;
};

// Whether an implied folder is something else below than a plain folder of root's, or something is
// linked.
bool wants_graft(const Loose& loose, const Folders& below);

// Fills the empty folder `target` with what is in `layer`. kInvalid: a link leads nowhere.
Result<void> graft_layer(const std::string& layer, const Loose& loose, const Folders& below,
                         const std::string& target);

// What `layers` together have at `path`, links followed inside the root: the folders to lay over
// one another, the uppermost first, or the one file. kNotFound when there is nothing.
Result<Folders> subtree(const Folders& layers, const std::string& path);

}  // namespace wherry::container
