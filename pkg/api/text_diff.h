#pragma once
// What differs between two texts, line by line, as `diff -u` shows it without its first two lines.
// Pure.

#include <string>
#include <string_view>

namespace wherry::api {

// Empty when the texts are the same, or so long that nobody would read it.
std::string unified_diff(std::string_view before, std::string_view after);

}  // namespace wherry::api
