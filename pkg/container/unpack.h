#pragma once
// Unpacks one image layer into a folder that overlayfs can take as a lower one (OCI image layer
// specification: whiteouts become overlay's). Names are only ever resolved inside the folder; one
// that asks for more is refused. One thread a layer; several layers may unpack at the same time.

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "container/byte_source.h"

namespace wherry::container {

struct UnpackOptions {
  // Owners, devices and trusted attributes need root; without it (tests) they are left out.
  bool privileged = true;
};

struct Unpacked {
  uint64_t bytes = 0;                // Of file content.
  std::vector<std::string> implied;  // Folders without an entry of their own; see layer_graft.h.
  // Hard links to what this layer does not have, by their own names; see layer_graft.h.
  std::map<std::string, std::string> links;
};

// Reads the tar to its end. kInvalid: a damaged archive or a path that leaves the folder.
Result<Unpacked> unpack_layer(ByteSource& tar, const std::string& target,
                              const UnpackOptions& options);

}  // namespace wherry::container
