#pragma once
// From a Service and its EndpointSlices to the entries that this node programs. Pure.

#include <string_view>
#include <vector>

#include "json/json.h"
#include "proxy/model.h"

namespace wherry::proxy {

// Headless and ExternalName Services have none; likewise a Service that asks for another proxy by
// the label service.kubernetes.io/service-proxy-name. Ready endpoints count; when there are none,
// those that still serve while they terminate.
std::vector<Entry> entries_of(json::Value service, const std::vector<json::Value>& slices,
                              std::string_view node_name);

}  // namespace wherry::proxy
