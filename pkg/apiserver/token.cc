#include "apiserver/token.h"

#include <algorithm>

#include "api/status.h"
#include "base/encoding.h"
#include "base/random.h"
#include "base/strings.h"

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

// What is being deleted counts as there for as long as clocks may differ.
constexpr std::chrono::seconds kDeletionLeeway{60};
constexpr size_t kGoodMax = 4096;  // Some 500 KiB.

bool deleted_before(const api::Object& object, Time now) {
  if (!object.deleting()) return false;
  json::Document document = object.document();
  std::optional<Time> at = parse_time(document.root()["metadata"]["deletionTimestamp"].as_string());
  return at && now > *at + kDeletionLeeway;
}

// Whether an object the token names is still the one it was.
bool still_there(const store::Store& store, std::string_view resource, std::string_view ns,
                 json::Value claim, Time now) {
  if (!claim) return true;
  ObjectPtr object = store.get(resource, ns, claim["name"].as_string());
  return object != nullptr && object->uid() == claim["uid"].as_string() &&
         !deleted_before(*object, now);
}

User account_user(std::string_view ns, std::string_view name, std::string_view uid) {
  User user;
  user.name = fmt::format("system:serviceaccount:{}:{}", ns, name);
  user.uid = uid;
  user.groups = {"system:serviceaccounts", fmt::format("system:serviceaccounts:{}", ns),
                 "system:authenticated"};
  return user;
}

constexpr std::string_view kLegacyIssuer = "kubernetes/serviceaccount";
constexpr std::string_view kInvalidSince = "kubernetes.io/legacy-token-invalid-since";
constexpr std::string_view kLegacyPrefix = "kubernetes.io/serviceaccount/";

std::string legacy_claim(json::Value claims, std::string_view name) {
  return std::string(claims[std::string(kLegacyPrefix) + std::string(name)].as_string());
}

// Those of the audiences in the claim that are wanted.
std::vector<std::string> common_audiences(json::Value claim,
                                          const std::vector<std::string>& wanted) {
  std::vector<std::string> out = claim.strings();
  if (claim.is_string()) out.emplace_back(claim.as_string());
  std::erase_if(out, [&wanted](const std::string& one) { return !contains(wanted, one); });
  return out;
}

}  // namespace

TokenIssuer::TokenIssuer(Keys keys, std::string issuer)
    : issuer_(std::move(issuer)), keys_(std::make_shared<const Keys>(std::move(keys))) {}

std::shared_ptr<const TokenIssuer::Keys> TokenIssuer::keys() const {
  MutexLock lock(mutex_);
  return keys_;
}

void TokenIssuer::set_keys(Keys keys) {
  CHECK(!keys.empty() && keys.front().is_private());
  auto fresh = std::make_shared<const Keys>(std::move(keys));
  MutexLock lock(mutex_);
  keys_ = std::move(fresh);
  good_.clear();
  good_order_.clear();
}

bool TokenIssuer::signed_by_us(const pki::Token& token, std::string_view text) const {
  const std::string digest = pki::sha256(text);
  std::shared_ptr<const Keys> known;
  {
    MutexLock lock(mutex_);
    if (good_.contains(digest)) return true;
    known = keys_;
  }
  Result<json::Document> header = json::Document::parse(token.header_json);
  if (!header.ok()) return false;
  // The key says which algorithm is used; a token that names another one is up to something.
  std::string algorithm(header->root()["alg"].as_string());
  bool good = std::any_of(known->begin(), known->end(), [&](const pki::Key& key) {
    return algorithm == pki::token_algorithm(key) && pki::verify_token(token, key);
  });
  MutexLock lock(mutex_);
  if (!good || keys_ != known || !good_.insert(digest).second) return good;
  good_order_.push_back(digest);
  if (good_order_.size() > kGoodMax) {
    good_.erase(good_order_.front());
    good_order_.pop_front();
  }
  return true;
}

std::string TokenIssuer::issue_legacy(const TokenSubject& subject,
                                      std::string_view secret_name) const {
  json::Draft claims;
  json::Node root = claims.root();
  auto set = [&root](std::string_view name, std::string_view value) {
    root.set(std::string(kLegacyPrefix) + std::string(name), value);
  };
  root.set("iss", kLegacyIssuer);
  set("namespace", subject.ns);
  set("secret.name", secret_name);
  set("service-account.name", subject.name);
  set("service-account.uid", subject.uid);
  root.set("sub", fmt::format("system:serviceaccount:{}:{}", subject.ns, subject.name));
  return pki::sign_token(keys()->front(), claims.dump());
}

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
  return pki::sign_token(keys()->front(), claims.dump());
}

Result<User> TokenIssuer::verify(std::string_view text, const std::vector<std::string>& audiences,
                                 const store::Store& store, Time now,
                                 std::vector<std::string>* fitting) const {
  Result<pki::Token> shape = pki::parse_token(text);
  if (!shape.ok()) return api::unauthorized();
  const pki::Token& token = *shape;
  if (!signed_by_us(token, text)) return api::unauthorized();
  Result<json::Document> parsed = json::Document::parse(token.payload_json);
  if (!parsed.ok()) return api::unauthorized();
  json::Value claims = parsed->root();
  if (claims["iss"].as_string() == kLegacyIssuer) {
    bool for_us = audiences.empty() || contains(audiences, issuer_);
    if (fitting != nullptr) *fitting = {issuer_};
    return for_us ? verify_legacy(claims, text, store, now) : Result<User>(api::unauthorized());
  }
  if (claims["iss"].as_string() != issuer_) return api::unauthorized();
  int64_t at = seconds_of(now);
  if (at >= claims["exp"].as_int() || at < claims["nbf"].as_int()) return api::unauthorized();
  std::vector<std::string> common = common_audiences(
      claims["aud"], audiences.empty() ? std::vector<std::string>{issuer_} : audiences);
  if (common.empty()) return api::unauthorized();
  if (fitting != nullptr) *fitting = std::move(common);

  json::Value own = claims["kubernetes.io"];
  std::string ns(own["namespace"].as_string());
  json::Value account = own["serviceaccount"];
  // With a Pod the node is only told, not checked: the Pod stands and falls with it.
  json::Value node = own["pod"] ? json::Value() : own["node"];
  if (ns.empty() || !account || !still_there(store, "serviceaccounts", ns, account, now) ||
      !still_there(store, "pods", ns, own["pod"], now) ||
      !still_there(store, "secrets", ns, own["secret"], now) ||
      !still_there(store, "nodes", "", node, now)) {
    return api::unauthorized();
  }
  User user = account_user(ns, account["name"].as_string(), account["uid"].as_string());
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

std::string day_of(Time time) { return format_time(time).substr(0, 10); }

Result<User> TokenIssuer::verify_legacy(json::Value claims, std::string_view text,
                                        const store::Store& store, Time now) const {
  std::string ns = legacy_claim(claims, "namespace");
  std::string name = legacy_claim(claims, "service-account.name");
  std::string uid = legacy_claim(claims, "service-account.uid");
  std::string secret_name = legacy_claim(claims, "secret.name");
  ObjectPtr secret = store.get("secrets", ns, secret_name);
  ObjectPtr account = store.get("serviceaccounts", ns, name);
  if (ns.empty() || secret == nullptr || account == nullptr || account->uid() != uid ||
      deleted_before(*secret, now) || deleted_before(*account, now)) {
    return api::unauthorized();
  }
  json::Document document = secret->document();
  std::string kept =
      base64_decode(document.root()["data"]["token"].as_string()).value_or(std::string());
  if (!pki::constant_time_equal(kept, text)) return api::unauthorized();
  json::Value labels = document.root()["metadata"]["labels"];
  std::string today = day_of(now);
  if (legacy_use_ != nullptr && labels[kLegacyLastUsed].as_string() != today)
    legacy_use_(*secret, today);
  if (!labels[kInvalidSince].as_string().empty()) {
    return Error(Code::kUnauthorized,
                 fmt::format("the token in secret {}/{} for service account {}/{} has been marked "
                             "invalid. Use tokens from the TokenRequest API or manually created "
                             "secret-based tokens, or remove the '{}' label from the secret to "
                             "temporarily allow use of this token",
                             ns, secret_name, ns, name, kInvalidSince));
  }
  return account_user(ns, name, uid);
}

}  // namespace wherry::apiserver
