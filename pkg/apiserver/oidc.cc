#include "apiserver/oidc.h"

#include <algorithm>
#include <cmath>

#include "api/status.h"
#include "base/strings.h"
#include "json/json.h"

namespace wherry::apiserver {
namespace {

constexpr std::chrono::minutes kNotBeforeLeeway{1};
constexpr double kSecondsMax = 1e11;  // Some thousand years, which still are microseconds.

// Numbers may come as texts, as upstream reads them.
std::optional<double> number_in(json::Value value) {
  if (value.is_number()) return value.as_double();
  std::optional<int64_t> text = value.is_string() ? parse_int(value.as_string()) : std::nullopt;
  return text ? std::optional<double>(static_cast<double>(*text)) : std::nullopt;
}

Error refused(std::string_view why) {
  return Error(Code::kUnauthorized, fmt::format("oidc: {}", why));
}

// kUnauthorized when it is there and no moment.
Result<std::optional<Time>> time_in(json::Value claims, std::string_view name) {
  json::Value claim = claims[name];
  if (!claim || claim.is_null()) return std::optional<Time>();
  std::optional<double> seconds = number_in(claim);
  if (!seconds || std::abs(*seconds) > kSecondsMax) {
    return refused(fmt::format("the claim {} is no time", quote(name)));
  }
  return std::optional<Time>(Time(std::chrono::seconds(static_cast<int64_t>(*seconds))));
}

// A claim that is a text or a list of texts.
std::optional<std::vector<std::string>> texts_in(json::Value claim) {
  std::vector<std::string> out;
  if (claim.is_string()) {
    out.emplace_back(claim.as_string());
    return out;
  }
  if (!claim.is_array()) return std::nullopt;
  for (json::Value item : claim.items()) {
    if (!item.is_string()) return std::nullopt;
    out.emplace_back(item.as_string());
  }
  return out;
}

}  // namespace

Result<void> OidcOptions::check() const {
  if (issuer_url.empty() || client_id.empty()) {
    return Error::invalid("--oidc-issuer-url and --oidc-client-id go together");
  }
  if (!issuer_url.starts_with("https://")) {
    return Error::invalid("--oidc-issuer-url {} is no https URL", issuer_url);
  }
  for (const std::string& algorithm : signing_algorithms) {
    if (algorithm != "RS256" && algorithm != "ES256") {
      return Error::invalid("--oidc-signing-algs {}: RS256 and ES256 are supported", algorithm);
    }
  }
  for (const std::string& claim : required_claims) {
    if (!split_once(claim, "=")) {
      return Error::invalid("--oidc-required-claim {} is not of the form key=value", claim);
    }
  }
  return {};
}

OidcVerifier::OidcVerifier(OidcOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      keys_(options_.issuer_url, options_.ca_pem, clock) {}

bool OidcVerifier::is_issuer_of(const pki::Token& token) const {
  Result<json::Document> claims = json::Document::parse(token.payload_json);
  return claims.ok() && claims->root()["iss"].as_string() == options_.issuer_url;
}

bool OidcVerifier::is_signed(const pki::Token& token) {
  Result<json::Document> header = json::Document::parse(token.header_json);
  if (!header.ok()) return false;
  std::string_view algorithm = header->root()["alg"].as_string();
  if (!contains(options_.signing_algorithms, algorithm)) return false;
  std::vector<pki::Key> keys = keys_.candidates(header->root()["kid"].as_string());
  return std::any_of(keys.begin(), keys.end(), [&](const pki::Key& key) {
    return algorithm == pki::token_algorithm(key) && pki::verify_token(token, key);
  });
}

bool OidcVerifier::is_for_us(json::Value claims) const {
  std::optional<std::vector<std::string>> audiences = texts_in(claims["aud"]);
  return audiences && contains(*audiences, options_.client_id);
}

Result<std::string> OidcVerifier::username(json::Value claims) const {
  json::Value name = claims[options_.username_claim];
  if (!name.is_string() || name.as_string().empty()) {
    return refused(fmt::format("the claim {} is missing", quote(options_.username_claim)));
  }
  bool email = options_.username_claim == "email";
  json::Value verified = claims["email_verified"];
  if (email && verified && !verified.as_bool()) return refused("the email is not verified");
  std::string prefix = options_.username_prefix;
  if (prefix.empty() && !email) prefix = options_.issuer_url + "#";
  if (prefix == "-") prefix.clear();
  return prefix + std::string(name.as_string());
}

Result<std::vector<std::string>> OidcVerifier::groups(json::Value claims) const {
  std::vector<std::string> out;
  if (options_.groups_claim.empty()) return std::vector<std::string>{"system:authenticated"};
  json::Value claim = claims[options_.groups_claim];
  // Without them the user would pass for one who is in no group.
  if (!claim && claims["_claim_names"][options_.groups_claim]) {
    return refused("groups that stand elsewhere (distributed claims) are not supported");
  }
  if (claim && !claim.is_null()) {
    std::optional<std::vector<std::string>> names = texts_in(claim);
    if (!names) return refused(fmt::format("the claim {} is no list", options_.groups_claim));
    for (const std::string& name : *names) out.push_back(options_.groups_prefix + name);
  }
  out.emplace_back("system:authenticated");
  return out;
}

Result<User> OidcVerifier::verify(const pki::Token& token) {
  Result<json::Document> parsed = json::Document::parse(token.payload_json);
  if (!parsed.ok()) return refused("the claims are not JSON");
  json::Value claims = parsed->root();
  if (claims["iss"].as_string() != options_.issuer_url) return refused("of another issuer");
  if (!is_for_us(claims)) return refused("for another audience");
  std::optional<Time> expires = TRY(time_in(claims, "exp"));
  std::optional<Time> begins = TRY(time_in(claims, "nbf"));
  Time now = clock_.now();
  if (!expires || now >= *expires) return refused("the token has expired");
  if (begins && now + kNotBeforeLeeway < *begins) return refused("the token is not valid yet");
  if (!is_signed(token)) return refused("no key of the issuer has signed it");
  for (const std::string& required : options_.required_claims) {
    auto parts = split_once(required, "=");
    json::Value claim = claims[parts->first];
    if (!claim.is_string() || claim.as_string() != parts->second) {
      return refused(fmt::format("the claim {} is not as required", quote(parts->first)));
    }
  }
  User user;
  user.name = TRY(username(claims));
  user.groups = TRY(groups(claims));
  if (std::string_view id = claims["jti"].as_string(); !id.empty()) {
    user.extra.push_back(
        {"authentication.kubernetes.io/credential-id", {fmt::format("JTI={}", id)}});
  }
  return user;
}

}  // namespace wherry::apiserver
