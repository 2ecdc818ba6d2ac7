#pragma once
// What every cluster has from the first moment: four namespaces, two priority classes, the built-in
// roles, and the Service through which pods find the API server. Missing pieces are made at each
// start; what is there stays.

#include <string>

#include "apiserver/machinery.h"

namespace wherry::apiserver {

Result<void> make_bootstrap_objects(Machinery& machinery);
// The kubernetes Service at the first address of the range, and its endpoints at address:port.
Result<void> publish_api_service(Machinery& machinery, const std::string& service_cidr,
                                 const std::string& address, uint16_t port);

}  // namespace wherry::apiserver
