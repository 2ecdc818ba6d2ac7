#pragma once
// ServiceAccount tokens: JSON Web Tokens signed with the cluster's own key, bound to the account
// and, if asked, to a Pod, Secret or Node; and their check when they come back.
//
//   {"aud":[...],"exp":n,"iat":n,"iss":"...","jti":"<uuid>","kubernetes.io":{"namespace":"ns",
//    "node":{"name","uid"},"pod":{"name","uid"},"serviceaccount":{"name","uid"}},"nbf":n,
//    "sub":"system:serviceaccount:ns:name"}
//
// Immutable after construction; any thread.

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/request.h"
#include "base/clock.h"
#include "pki/pki.h"
#include "store/store.h"

namespace wherry::apiserver {

inline constexpr std::string_view kDefaultIssuer = "https://kubernetes.default.svc.cluster.local";

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
  TokenIssuer(pki::Key key, std::string issuer = std::string(kDefaultIssuer))
      : key_(std::move(key)), issuer_(std::move(issuer)) {}

  std::string issue(const TokenSubject& subject, const TokenBinding& binding,
                    const std::vector<std::string>& audiences, Time now,
                    std::chrono::seconds lifetime) const;
  // The user a token stands for. kUnauthorized when it is forged, expired, meant for another
  // audience, or when what it is bound to has gone. With `audiences` empty the issuer is the
  // audience.
  Result<User> verify(std::string_view token, const std::vector<std::string>& audiences,
                      const store::Store& store, Time now) const;

  const std::string& issuer() const { return issuer_; }
  const pki::Key& key() const { return key_; }

 private:
  const pki::Key key_;
  const std::string issuer_;
};

}  // namespace wherry::apiserver
