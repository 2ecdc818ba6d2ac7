#pragma once
// Writes a Payload into a volume's folder so that readers see the old files or the new ones, never
// a mix:
//
//   VOLUME/..2024_05_06_07_08_09.123456789/    the files
//   VOLUME/..data -> ..2024_...                switched by rename
//   VOLUME/name -> ..data/name                 one link for each first path component
//
// One writer per folder at a time.

#include <optional>
#include <string>

#include "agent/payload.h"
#include "base/clock.h"
#include "base/result.h"

namespace wherry::agent {

// Nothing is written when the folder holds exactly this already. True when something changed. With
// `fs_group` files belong to that group, which may read them.
Result<bool> write_payload(const std::string& folder, const Payload& payload,
                           std::optional<uint32_t> fs_group, Time now);

}  // namespace wherry::agent
