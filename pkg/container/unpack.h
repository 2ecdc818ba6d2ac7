#pragma once
// Unpacks one image layer into a folder that overlayfs can take as a lower one (OCI image layer
// specification: whiteouts become overlay's). Names are only ever resolved inside the folder; one
// that asks for more is refused. One thread a layer; several layers may unpack at the same time.

#include <string>

#include "base/result.h"
#include "container/byte_source.h"

namespace wherry::container {

struct UnpackOptions {
  // Owners, devices and trusted attributes need root; without it (tests) they are left out.
  bool privileged = true;
};

// Reads the tar to its end; gives the bytes of file content. kInvalid: a damaged archive or a path
// that leaves the folder.
Result<uint64_t> unpack_layer(ByteSource& tar, const std::string& target,
                              const UnpackOptions& options);

}  // namespace wherry::container
