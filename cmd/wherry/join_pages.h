#pragma once
// The pages through which machines join and keep their tunnels open, as the API server wants them.

#include <vector>

#include "apiserver/extra_page.h"
#include "cluster/join.h"
#include "cluster/tunnel_server.h"

namespace wherry::command {

// Both outlive the pages. `join` may be set until the port opens.
std::vector<apiserver::ExtraPage> join_pages(const std::unique_ptr<cluster::JoinServer>& join,
                                             cluster::TunnelServer& tunnels);

}  // namespace wherry::command
