#pragma once
// Which container of a pod a log or exec request means, and whether it has anything to show. Pure.
// Wording: Kubernetes, pod subresources and the kubelet's log endpoint.

#include <string>
#include <string_view>

#include "client/node_api.h"
#include "http/message.h"
#include "json/json.h"

namespace wherry::apiserver {

// The container named, or the only one there is.
Result<std::string> choose_container(json::Value pod, std::string_view wanted);
// kBadRequest when the container has not run yet, or not before (`previous`).
Result<void> check_has_log(json::Value pod, std::string_view container, bool previous);
// PodLogOptions from the query.
Result<client::LogOptions> log_options(const http::Request& request, std::string_view pod);

}  // namespace wherry::apiserver
