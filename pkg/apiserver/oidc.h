#pragma once
// OidcVerifier: users by the ID tokens of an OpenID provider (OpenID Connect Core 1.0, section
// 3.1.3.7), as kube-apiserver's --oidc flags have it. Any thread.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/oidc_keys.h"
#include "apiserver/request.h"

namespace wherry::apiserver {

struct OidcOptions {
  std::string issuer_url;
  std::string client_id;
  std::string username_claim = "sub";
  std::string
      username_prefix;       // Empty: the issuer and "#", but nothing before an email; "-": none.
  std::string groups_claim;  // Empty: tokens give no groups.
  std::string groups_prefix;
  std::vector<std::string> required_claims;  // "name=value".
  std::vector<std::string> signing_algorithms{"RS256"};
  std::string ca_pem;  // Empty: the system's authorities.

  // kInvalid in the words of the flags.
  Result<void> check() const;
};

class OidcVerifier {
 public:
  OidcVerifier(OidcOptions options, const Clock& clock);

  void start() { keys_.start(); }
  void stop() { keys_.stop(); }

  // Whether the token says that it is of this provider.
  bool is_issuer_of(const pki::Token& token) const;
  // kUnauthorized when it is not good.
  Result<User> verify(const pki::Token& token);

 private:
  bool is_signed(const pki::Token& token);
  bool is_for_us(json::Value claims) const;
  Result<std::string> username(json::Value claims) const;
  Result<std::vector<std::string>> groups(json::Value claims) const;

  const OidcOptions options_;
  const Clock& clock_;
  OidcKeys keys_;
};

}  // namespace wherry::apiserver
