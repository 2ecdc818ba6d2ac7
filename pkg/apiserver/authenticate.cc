#include "apiserver/authenticate.h"

#include "api/status.h"
#include "apiserver/bootstrap_token.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kAuthenticated = "system:authenticated";
constexpr std::string_view kUnauthenticated = "system:unauthenticated";
// Browsers cannot set headers on a WebSocket; the token may travel as a sub-protocol.
constexpr std::string_view kProtocolPrefix = "base64url.bearer.authorization.k8s.io.";

std::string bearer_of(const http::Request& request) {
  std::string_view header = request.headers.get("Authorization");
  if (header.size() > 7 && equals_ignore_case(header.substr(0, 7), "Bearer ")) {
    return std::string(trim(header.substr(7)));
  }
  for (std::string_view field : request.headers.all("Sec-WebSocket-Protocol")) {
    for (std::string_view item : split(field, ',')) {
      item = trim(item);
      if (!item.starts_with(kProtocolPrefix)) continue;
      return base64url_decode(item.substr(kProtocolPrefix.size())).value_or("");
    }
  }
  return {};
}

}  // namespace

Result<User> Authenticator::check_token(std::string_view token,
                                        const std::vector<std::string>& audiences) const {
  for (const StaticToken& known : static_tokens_) {
    if (!pki::constant_time_equal(known.token, token)) continue;
    User user = known.user;
    if (!user.in_group(kAuthenticated)) user.groups.emplace_back(kAuthenticated);
    return user;
  }
  if (looks_like_bootstrap_token(token)) {
    return check_bootstrap_token(store_, token, clock_.now());
  }
  if (tokens_ == nullptr) return api::unauthorized();
  return tokens_->verify(token, audiences, store_, clock_.now());
}

Result<User> Authenticator::authenticate(const http::Request& request) const {
  bool still_valid =
      request.certificate != nullptr && clock_.now() < request.certificate->not_after;
  // A connection may outlive the certificate it was opened with.
  if (request.certificate != nullptr && !still_valid) return api::unauthorized();
  if (still_valid && !request.certificate->common_name.empty()) {
    User user;
    user.name = request.certificate->common_name;
    user.groups = request.certificate->organizations;
    user.groups.emplace_back(kAuthenticated);
    user.extra.push_back({"authentication.kubernetes.io/credential-id",
                          {"X509SHA256=" + request.certificate->sha256}});
    return user;
  }
  std::string token = bearer_of(request);
  if (!token.empty()) {
    Result<User> user = check_token(token, {});
    // The reason is nobody's business who does not hold a good token.
    if (!user.ok()) return api::unauthorized();
    return user;
  }
  // One that was shown and is not good is not overlooked.
  if (!request.certificate_problem.empty()) return api::unauthorized();
  User anonymous;
  anonymous.name = kAnonymous;
  anonymous.groups.emplace_back(kUnauthenticated);
  return anonymous;
}

}  // namespace wherry::apiserver
