#pragma once
// What every cluster has from the first moment: four namespaces, two priority classes, the built-in
// roles, and the Service through which pods find the API server. Missing pieces are made at each
// start; what is there stays. The namespaces and the Service come back as soon as they are deleted.

#include <memory>
#include <string>

#include "apiserver/keeper.h"
#include "apiserver/machinery.h"

namespace wherry::apiserver {

// The server acts in its own name.
Context server_context();
Result<void> make_bootstrap_objects(Machinery& machinery);
// Makes the object in the server's own name, or writes it anew when it says something else.
Result<void> put_object(Machinery& machinery, std::string_view group_resource,
                        const std::string& ns, std::string_view json);
// The kubernetes Service at the first address of the range, and its endpoints at address:port.
struct ApiService {
  std::string service_cidr;
  std::string address;
  uint16_t port;
};
Result<void> publish_api_service(Machinery& machinery, const ApiService& service);
// Publishes it again, and makes the namespaces, when they change.
std::unique_ptr<Keeper> keep_api_service(Machinery& machinery, ApiService service);

}  // namespace wherry::apiserver
