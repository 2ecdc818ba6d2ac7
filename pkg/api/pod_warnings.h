#pragma once
// Parts of the warnings on pods that other kinds share. Pure.

#include <string>
#include <vector>

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

// Labels of old in terms that select nodes; `inner` is where an item holds its term, or null.
void warn_of_terms(json::Value terms, const Path& path, const char* inner,
                   std::vector<std::string>& out);

}  // namespace wherry::api
