#pragma once
// Proxy: pods/proxy and services/proxy. The request goes to the pod as it came, without what
// concerns only this hop and without the caller's credentials; the answer comes back with its links
// moved below the proxy's path. Upgrades pass through. The Proxy's own thread is the request's
// until the head of the answer is there; long bodies and upgrades then run on a stream thread. Any
// thread.

#include "apiserver/authenticate.h"
#include "apiserver/request.h"
#include "apiserver/routes.h"
#include "http/client.h"
#include "http/message.h"
#include "store/store.h"

namespace wherry::apiserver {

class Proxy {
 public:
  // `proxies` outlives it.
  Proxy(const store::Store& store, const AuthenticatingProxies& proxies);

  Result<void> pass(const http::Request& request, const Route& route, http::Response& response);

 private:
  const store::Store& store_;
  const AuthenticatingProxies& proxies_;
  http::Client client_;  // Self-synchronised.
};

}  // namespace wherry::apiserver
