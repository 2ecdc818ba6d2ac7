#pragma once
// Static pods: manifests in a folder of this node that run without an API server.

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/result.h"

namespace wherry::agent {

// Reads every .yaml, .yml and .json file of the folder; one that is malformed is logged and
// skipped. The pod's name gets the node's as a suffix and its UID is made from its content, so that
// a restarted agent finds the same pod.
std::vector<api::ObjectPtr> read_static_pods(const std::string& directory,
                                             std::string_view node_name);
Result<api::ObjectPtr> static_pod(std::string_view manifest, std::string_view node_name);

}  // namespace wherry::agent
