#pragma once
// Public keys by the numbers of a JSON Web Key (RFC 7518, sections 6.2 and 6.3), each as big-endian
// bytes. Any thread.

#include <string_view>

#include "base/result.h"
#include "pki/pki.h"

namespace wherry::pki {

// kInvalid when the numbers are no key, or one that is too short to be safe (2048 bits).
Result<Key> rsa_public_key(std::string_view modulus, std::string_view exponent);
// kInvalid when the point is not on the curve.
Result<Key> p256_public_key(std::string_view x, std::string_view y);

}  // namespace wherry::pki
