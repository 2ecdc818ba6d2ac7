#include "apiserver/authenticate.h"

#include <algorithm>
#include <map>

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

// The first of the headers that says something.
std::string first_value(const http::Headers& headers, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    for (std::string_view value : headers.all(name)) {
      if (!trim(value).empty()) return std::string(value);
    }
  }
  return {};
}

std::map<std::string, std::vector<std::string>> extra_of(const http::Headers& headers,
                                                         const std::vector<std::string>& prefixes) {
  std::map<std::string, std::vector<std::string>> extra;
  for (const auto& [name, value] : headers.fields()) {
    std::string lower = to_lower(name);
    for (const std::string& prefix : prefixes) {
      if (!lower.starts_with(to_lower(prefix))) continue;
      std::string key = lower.substr(prefix.size());
      extra[to_lower(percent_decode(key, false).value_or(key))].push_back(value);
    }
  }
  return extra;
}

}  // namespace

bool AuthenticatingProxies::is_identity_field(std::string_view name) const {
  std::string lower = to_lower(name);
  auto is = [&lower](const std::string& field) { return lower == to_lower(field); };
  auto begins = [&lower](const std::string& prefix) { return lower.starts_with(to_lower(prefix)); };
  return lower.starts_with("impersonate-") || std::ranges::any_of(user, is) ||
         std::ranges::any_of(uid, is) || std::ranges::any_of(group, is) ||
         std::ranges::any_of(extra_prefix, begins);
}

Result<User> Authenticator::check_token(std::string_view token,
                                        const std::vector<std::string>& audiences,
                                        std::vector<std::string>* fitting) const {
  // Tokens that name no audience of their own are meant for the API server.
  bool for_us =
      audiences.empty() || means_.tokens == nullptr || contains(audiences, means_.tokens->issuer());
  if (fitting != nullptr && means_.tokens != nullptr) *fitting = {means_.tokens->issuer()};
  for (const StaticToken& known : means_.static_tokens) {
    if (!pki::constant_time_equal(known.token, token) || !for_us) continue;
    User user = known.user;
    if (!user.in_group(kAuthenticated)) user.groups.emplace_back(kAuthenticated);
    return user;
  }
  if (looks_like_bootstrap_token(token)) {
    if (!for_us) return api::unauthorized();
    return check_bootstrap_token(store_, token, clock_.now());
  }
  if (means_.oidc != nullptr) {
    Result<pki::Token> parsed = pki::parse_token(token);
    if (!parsed.ok()) return api::unauthorized();
    if (means_.oidc->is_issuer_of(*parsed)) {
      return for_us ? means_.oidc->verify(*parsed) : Result<User>(api::unauthorized());
    }
  }
  if (means_.tokens == nullptr) return api::unauthorized();
  return means_.tokens->verify(token, audiences, store_, clock_.now(), fitting);
}

std::optional<User> Authenticator::proxied(const http::Request& request) const {
  const AuthenticatingProxies& proxy = means_.proxies;
  const http::PeerCertificate* shown = request.proxy_certificate.get();
  if (shown == nullptr || clock_.now() >= shown->not_after) return std::nullopt;
  bool allowed = proxy.allowed_names.empty() || contains(proxy.allowed_names, shown->common_name);
  if (!allowed) return std::nullopt;
  User user;
  user.name = first_value(request.headers, proxy.user);
  if (user.name.empty()) return std::nullopt;  // It speaks for itself.
  user.uid = first_value(request.headers, proxy.uid);
  for (const std::string& name : proxy.group) {
    for (std::string_view group : request.headers.all(name)) user.groups.emplace_back(group);
  }
  if (user.name != kAnonymous && !user.in_group(kAuthenticated)) {
    user.groups.emplace_back(kAuthenticated);
  }
  auto extra = extra_of(request.headers, proxy.extra_prefix);
  user.extra.assign(extra.begin(), extra.end());
  return user;
}

Result<User> Authenticator::authenticate(const http::Request& request) const {
  if (std::optional<User> user = proxied(request)) return std::move(*user);
  const http::PeerCertificate* shown = request.certificate.get();
  // A connection may outlive the certificate it was opened with.
  if (shown != nullptr && clock_.now() >= shown->not_after) return api::unauthorized();
  if (shown != nullptr && !shown->common_name.empty()) {
    User user;
    user.name = shown->common_name;
    user.groups = shown->organizations;
    user.groups.emplace_back(kAuthenticated);
    user.extra.push_back(
        {"authentication.kubernetes.io/credential-id", {"X509SHA256=" + shown->sha256}});
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
