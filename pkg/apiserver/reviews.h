#pragma once
// Reviews: kinds that are asked, not stored. Who am I, is this token good, may I do this.
// Any thread.

#include <optional>

#include "apiserver/authenticate.h"
#include "apiserver/authorise.h"
#include "apiserver/request.h"
#include "json/json.h"

namespace wherry::apiserver {

// Who knows the answers, and in whose name managed fields are kept.
struct Reviewers {
  const Authenticator& authenticator;
  const Authoriser& authoriser;
  std::string manager;
};

// The answer to a review posted to `target`; empty when the resource is no review.
std::optional<Result<json::Draft>> answer_review(const User& user, const Target& target,
                                                 json::Value body, const Reviewers& reviewers,
                                                 Time now);

}  // namespace wherry::apiserver
