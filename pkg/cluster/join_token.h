#pragma once
// The token that machines join with: "K10<SHA-256 of the server's CA, hex>::<user>:<secret>". The
// digest lets a machine know the server before it trusts it. A secret alone is a token too, without
// that protection. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "pki/pki.h"

namespace wherry::cluster {

struct JoinToken {
  std::string ca_sha256;  // Empty: not pinned.
  std::string user;       // "server" or "node".
  std::string secret;

  // kInvalid, never with the secret in the message.
  static Result<JoinToken> parse(std::string_view text);
  std::string text() const;
};

// The certificate of a bundle that has this digest.
Result<std::optional<pki::Certificate>> pinned_authority(std::string_view bundle_pem,
                                                         std::string_view sha256);

}  // namespace wherry::cluster
