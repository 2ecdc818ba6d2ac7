#pragma once
// Random names and identifiers from the kernel's generator. Any thread.

#include <cstddef>
#include <cstdint>
#include <string>

namespace wherry {

// For secrets: straight from the kernel.
std::string random_bytes(size_t count);
// For names, from bytes of the kernel's that each thread fetches a few at a time.
uint64_t random_u64();
std::string random_uuid();  // RFC 4122 version 4, as metadata.uid has it.
std::string random_suffix(
    size_t length);  // Letters and digits that upstream uses for generated names.

}  // namespace wherry
