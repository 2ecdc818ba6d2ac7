#pragma once
// What this build is.

#include <string_view>

namespace wherry::command {

std::string_view version();  // "v0.1.0"
std::string_view commit();   // Of the sources.

}  // namespace wherry::command
