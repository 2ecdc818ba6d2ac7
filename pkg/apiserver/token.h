#pragma once
// ServiceAccount tokens: JSON Web Tokens signed with the cluster's own key, bound to the account
// and, if asked, to a Pod, Secret or Node; and their check when they come back.
//
//   {"aud":[...],"exp":n,"iat":n,"iss":"...","jti":"<uuid>","kubernetes.io":{"namespace":"ns",
//    "node":{"name","uid"},"pod":{"name","uid"},"serviceaccount":{"name","uid"}},"nbf":n,
//    "sub":"system:serviceaccount:ns:name"}
//
// Legacy ones never expire, and live as long as the Secret that holds them:
//
//   {"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"ns",
//    ".../secret.name":"...",".../service-account.name":"...",".../service-account.uid":"...",
//    "sub":"system:serviceaccount:ns:name"}
//
// Any thread. The keys may be changed at any time: the first one signs, all of them verify.

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/request.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "pki/pki.h"
#include "store/store.h"

namespace wherry::apiserver {

inline constexpr std::string_view kDefaultIssuer = "https://kubernetes.default.svc.cluster.local";

// The label of a token's Secret that says when it was last used.
inline constexpr std::string_view kLegacyLastUsed = "kubernetes.io/legacy-token-last-used";
// "2026-01-31", as that label and the record of when such uses began to be noted say it.
std::string day_of(Time time);

struct TokenSubject {
  std::string ns;
  std::string name;
  std::string uid;
};

struct TokenBinding {
  std::string kind;  // "pod", "secret", "node"; empty: bound to the account only.
  std::string name;
  std::string uid;
  std::string node;  // Where the Pod runs.
  std::string node_uid;
};

class TokenIssuer {
 public:
  using Keys = std::vector<pki::Key>;
  // `keys` has at least one; the first is private.
  explicit TokenIssuer(Keys keys, std::string issuer = std::string(kDefaultIssuer));

  std::string issue(const TokenSubject& subject, const TokenBinding& binding,
                    const std::vector<std::string>& audiences, Time now,
                    std::chrono::seconds lifetime) const;
  std::string issue_legacy(const TokenSubject& subject, std::string_view secret_name) const;
  // The user a token stands for. kUnauthorized when it is forged, expired, meant for another
  // audience, or when what it is bound to has gone. With `audiences` empty the issuer is the
  // audience. `fitting`, when wanted, is set to those of the audiences that the token is for.
  Result<User> verify(std::string_view token, const std::vector<std::string>& audiences,
                      const store::Store& store, Time now,
                      std::vector<std::string>* fitting = nullptr) const;

  // Told of a token that is kept in a Secret when it is used for the first time on `day`
  // ("2026-11-30"); by any thread. Set before the first verify().
  using LegacyUse = std::function<void(const api::Object& secret, const std::string& day)>;
  void set_legacy_use(LegacyUse use) { legacy_use_ = std::move(use); }

  const std::string& issuer() const { return issuer_; }
  std::shared_ptr<const Keys> keys() const EXCLUDES(mutex_);
  void set_keys(Keys keys) EXCLUDES(mutex_);

 private:
  // `text` is the whole token.
  bool signed_by_us(const pki::Token& token, std::string_view text) const EXCLUDES(mutex_);

  Result<User> verify_legacy(json::Value claims, std::string_view text, const store::Store& store,
                             Time now) const;

  const std::string issuer_;
  LegacyUse legacy_use_;  // Empty: nobody wants to know.
  mutable Mutex mutex_;
  std::shared_ptr<const Keys> keys_ GUARDED_BY(mutex_);
  // Digests of tokens whose signatures one of keys_ has made, the oldest first: checking one costs
  // a hundred times as much. All else about a token is looked at each time.
  mutable std::set<std::string, std::less<>> good_ GUARDED_BY(mutex_);
  mutable std::deque<std::string> good_order_ GUARDED_BY(mutex_);
};

}  // namespace wherry::apiserver
