#pragma once
// Pod specs and templates as the JSON of Go's internal structures, which differ from those that
// clients see: the host's namespaces lie in the security context. For messages. Pure.

#include "json/json.h"

namespace wherry::api {

json::Document go_pod_spec(json::Value spec);
json::Document go_pod_template(json::Value pod_template);

}  // namespace wherry::api
