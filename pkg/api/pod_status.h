#pragma once
// A Pod's state in the few words that tables show. Pure.

#include <string>

#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

std::string pod_ready_text(json::Value pod);   // "1/2"
std::string pod_status_text(json::Value pod);  // "Running", "Init:0/1", "CrashLoopBackOff"
std::string pod_restarts_text(json::Value pod, Time now);  // "3 (5m ago)"

}  // namespace wherry::api
