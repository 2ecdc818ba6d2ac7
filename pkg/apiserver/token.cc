#include "apiserver/token.h"

#include <algorithm>

#include "api/status.h"
#include "base/random.h"

namespace wherry::apiserver {
namespace {

int64_t seconds_of(Time time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

void name_and_uid(json::Node in, std::string_view key, std::string_view name,
                  std::string_view uid) {
  json::Node node = in.set_object(key);
  node.set("name", name);
  node.set("uid", uid);
}

// Whether an object the token names is still the one it was.
bool still_there(const store::Store& store, std::string_view resource, std::string_view ns,
                 json::Value claim) {
  if (!claim) return true;
  ObjectPtr object = store.get(resource, ns, claim["name"].as_string());
  return object != nullptr && object->uid() == claim["uid"].as_string();
}

bool audience_fits(json::Value claim, const std::vector<std::string>& wanted) {
  auto fits = [&wanted](std::string_view audience) {
    return std::find(wanted.begin(), wanted.end(), audience) != wanted.end();
  };
  if (claim.is_string()) return fits(claim.as_string());
  for (json::Value item : claim.items()) {
    if (fits(item.as_string())) return true;
  }
  return false;
}

}  // namespace

std::string TokenIssuer::issue(const TokenSubject& subject, const TokenBinding& binding,
                               const std::vector<std::string>& audiences, Time now,
                               std::chrono::seconds lifetime) const {
  json::Draft claims;
  json::Node root = claims.root();
  json::Node aud = root.set_array("aud");
  for (const std::string& audience : audiences) aud.push(audience);
  if (audiences.empty()) aud.push(issuer_);
  root.set("exp", seconds_of(now + lifetime));
  root.set("iat", seconds_of(now));
  root.set("iss", issuer_);
  root.set("jti", random_uuid());
  json::Node own = root.set_object("kubernetes.io");
  own.set("namespace", subject.ns);
  if (!binding.node.empty()) name_and_uid(own, "node", binding.node, binding.node_uid);
  if (!binding.kind.empty()) name_and_uid(own, binding.kind, binding.name, binding.uid);
  name_and_uid(own, "serviceaccount", subject.name, subject.uid);
  root.set("nbf", seconds_of(now));
  root.set("sub", fmt::format("system:serviceaccount:{}:{}", subject.ns, subject.name));
  return pki::sign_token(key_, claims.dump());
}

Result<User> TokenIssuer::verify(std::string_view text, const std::vector<std::string>& audiences,
                                 const store::Store& store, Time now) const {
  pki::Token token = TRY(pki::parse_token(text));
  if (!pki::verify_token(token, key_)) return api::unauthorized();
  Result<json::Document> parsed = json::Document::parse(token.payload_json);
  if (!parsed.ok()) return api::unauthorized();
  json::Value claims = parsed->root();
  if (claims["iss"].as_string() != issuer_) return api::unauthorized();
  int64_t at = seconds_of(now);
  if (at >= claims["exp"].as_int() || at < claims["nbf"].as_int()) return api::unauthorized();
  if (!audience_fits(claims["aud"],
                     audiences.empty() ? std::vector<std::string>{issuer_} : audiences)) {
    return api::unauthorized();
  }

  json::Value own = claims["kubernetes.io"];
  std::string ns(own["namespace"].as_string());
  json::Value account = own["serviceaccount"];
  if (ns.empty() || !account || !still_there(store, "serviceaccounts", ns, account) ||
      !still_there(store, "pods", ns, own["pod"]) ||
      !still_there(store, "secrets", ns, own["secret"])) {
    return api::unauthorized();
  }
  User user;
  user.name = fmt::format("system:serviceaccount:{}:{}", ns, account["name"].as_string());
  user.uid = account["uid"].as_string();
  user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"};
  auto extra = [&user](const char* key, std::string_view value) {
    if (!value.empty()) {
      user.extra.push_back(
          {std::string("authentication.kubernetes.io/") + key, {std::string(value)}});
    }
  };
  std::string id(claims["jti"].as_string());
  extra("credential-id", id.empty() ? id : "JTI=" + id);
  extra("node-name", own["node"]["name"].as_string());
  extra("node-uid", own["node"]["uid"].as_string());
  extra("pod-name", own["pod"]["name"].as_string());
  extra("pod-uid", own["pod"]["uid"].as_string());
  return user;
}

}  // namespace wherry::apiserver
