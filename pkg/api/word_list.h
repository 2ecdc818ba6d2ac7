#pragma once
// Constant lists of the words that a field may hold. Pure.

#include <algorithm>
#include <span>
#include <string_view>

namespace wherry::api {

inline bool contains(std::span<const std::string_view> list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

}  // namespace wherry::api
