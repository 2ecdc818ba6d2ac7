#pragma once
// What field validation says of a patch. Pure.

#include <string>
#include <vector>

#include "apiserver/request.h"
#include "json/json.h"

namespace wherry::apiserver {

// Fields that stand twice in the patch itself, and members that its operations do not have.
std::vector<std::string> patch_faults(PatchType type, json::Value patch);

// The patched object as upstream shows it: members are in order of their names wherever the patch
// has been.
json::Document in_patch_order(PatchType type, json::Value patched, json::Value patch);

}  // namespace wherry::apiserver
