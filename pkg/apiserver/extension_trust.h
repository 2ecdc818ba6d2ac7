#pragma once
// ExtensionTrust: the ConfigMap kube-system/extension-apiserver-authentication, in which other API
// servers read which client certificates this one trusts, and which proxies it lets speak for
// users. It is put right whenever somebody changes it.
//
// start() and stop() are the owner's; set_client_ca() may be called by any thread between them.

#include <memory>
#include <string>

#include "apiserver/authenticate.h"
#include "apiserver/keeper.h"
#include "apiserver/machinery.h"

namespace wherry::apiserver {

class ExtensionTrust {
 public:
  // `proxies` outlives it.
  ExtensionTrust(Machinery& machinery, const AuthenticatingProxies& proxies)
      : machinery_(machinery), proxies_(proxies) {}
  ExtensionTrust(const ExtensionTrust&) = delete;

  // Without an authority for clients there is nothing to publish.
  Result<void> start(std::string client_ca_pem) EXCLUDES(mutex_);
  void stop() { keeper_.reset(); }
  Result<void> set_client_ca(std::string client_ca_pem) EXCLUDES(mutex_);

 private:
  Result<void> publish() EXCLUDES(mutex_);

  Machinery& machinery_;
  const AuthenticatingProxies& proxies_;
  Mutex mutex_;  // Held while it is published: the newest is written last.
  std::string client_ca_pem_ GUARDED_BY(mutex_);
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace wherry::apiserver
