#pragma once
// The objects that every cluster has from its first moment: the four system namespaces. (The Service
// "kubernetes" and its endpoints belong to a controller.) One thread.

#include "base/result.h"
#include "client/client.h"

namespace wherry::cluster {

// Creates what is missing; what is there stays as it is.
Result<void> create_system_namespaces(client::Client& client);

}  // namespace wherry::cluster
