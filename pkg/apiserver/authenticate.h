#pragma once
// Authenticator: who sends a request. In this order: an authenticating proxy's headers, the client
// certificate, a bearer token (static, bootstrap, of an OpenID provider, ServiceAccount); none of
// them is system:anonymous, a token that is not good is refused. Immutable after construction; any
// thread.

#include <string>
#include <vector>

#include "apiserver/oidc.h"
#include "apiserver/request.h"
#include "apiserver/token.h"
#include "http/message.h"
#include "store/store.h"

namespace wherry::apiserver {

struct StaticToken {
  std::string token;
  User user;
};

// Proxies in front of the server, and the headers that say whom they speak for. They show
// certificates of these authorities, with one of these common names.
struct AuthenticatingProxies {
  std::string ca_pem;                      // Empty: there are none.
  std::vector<std::string> allowed_names;  // Empty: any.
  std::vector<std::string> user{"X-Remote-User"};
  std::vector<std::string> uid{"X-Remote-Uid"};
  std::vector<std::string> group{"X-Remote-Group"};
  std::vector<std::string> extra_prefix{"X-Remote-Extra-"};

  // Fields that say to us who somebody is, impersonation's too; who is behind us might take them
  // for our word.
  bool is_identity_field(std::string_view name) const;
};

class Authenticator {
 public:
  struct Means {
    const TokenIssuer* tokens = nullptr;  // Null: ServiceAccount tokens are refused.
    OidcVerifier* oidc = nullptr;         // Null: there is no OpenID provider.
    std::vector<StaticToken> static_tokens;
    AuthenticatingProxies proxies;
  };
  Authenticator(const store::Store& store, const Clock& clock, Means means)
      : store_(store), clock_(clock), means_(std::move(means)) {}

  Result<User> authenticate(const http::Request& request) const;
  // What TokenReview answers. `fitting`, when wanted, is set to those of the audiences (none: the
  // API server's own) that the token is for.
  Result<User> check_token(std::string_view token, const std::vector<std::string>& audiences,
                           std::vector<std::string>* fitting = nullptr) const;

 private:
  std::optional<User> proxied(const http::Request& request) const;

  const store::Store& store_;
  const Clock& clock_;
  const Means means_;
};

}  // namespace wherry::apiserver
