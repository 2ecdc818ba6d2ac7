#pragma once
// Authenticator: who sends a request. Client certificate first, then a bearer token (static,
// bootstrap or ServiceAccount); neither is system:anonymous, a token that is not good is refused.
// Immutable after construction; any thread.

#include <string>
#include <vector>

#include "apiserver/request.h"
#include "apiserver/token.h"
#include "http/message.h"
#include "store/store.h"

namespace wherry::apiserver {

struct StaticToken {
  std::string token;
  User user;
};

class Authenticator {
 public:
  // `tokens` may be null: then ServiceAccount tokens are refused.
  Authenticator(const store::Store& store, const Clock& clock, const TokenIssuer* tokens,
                std::vector<StaticToken> static_tokens)
      : store_(store), clock_(clock), tokens_(tokens), static_tokens_(std::move(static_tokens)) {}

  Result<User> authenticate(const http::Request& request) const;
  // What TokenReview answers.
  Result<User> check_token(std::string_view token, const std::vector<std::string>& audiences) const;

 private:
  const store::Store& store_;
  const Clock& clock_;
  const TokenIssuer* const tokens_;
  const std::vector<StaticToken> static_tokens_;
};

}  // namespace wherry::apiserver
