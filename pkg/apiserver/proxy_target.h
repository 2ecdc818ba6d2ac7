#pragma once
// Where pods/NAME/proxy and services/NAME/proxy lead: [SCHEME:]NAME[:PORT] to an address. Any
// thread.

#include <string>

#include "apiserver/request.h"
#include "store/store.h"

namespace wherry::apiserver {

struct ProxyTarget {
  std::string scheme = "http";
  std::string host;  // Address, in brackets if it is IPv6, with a port if one is known.

  std::string url() const { return scheme + "://" + host; }
};

Result<ProxyTarget> find_proxy_target(const store::Store& store, const Target& target);

}  // namespace wherry::apiserver
