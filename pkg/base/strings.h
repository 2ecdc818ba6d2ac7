#pragma once
// Small text functions that the standard library lacks. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wherry {

// "a,b,," at ',' gives "a", "b", "", "". An empty text gives one empty part.
bool contains(const std::vector<std::string>& list, std::string_view item);
std::vector<std::string_view> split(std::string_view text, char separator);
// The text before and after the first separator; empty when it does not occur.
std::optional<std::pair<std::string_view, std::string_view>> split_once(std::string_view text,
                                                                        std::string_view separator);
std::string_view trim(std::string_view text);                     // Spaces, tabs, CR and LF.
std::string to_lower(std::string_view text);                      // ASCII.
std::string to_upper(std::string_view text);                      // ASCII.
bool equals_ignore_case(std::string_view a, std::string_view b);  // ASCII.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

template <typename Range>
std::string join(const Range& parts, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const auto& part : parts) {
    if (!first) out += separator;
    out += part;
    first = false;
  }
  return out;
}

// Whole decimal numbers, optional '-'; empty on anything else or overflow.
std::optional<int64_t> parse_int(std::string_view text);
std::optional<uint64_t> parse_uint(std::string_view text);

// As Go's %q prints a string: quoted, with \" \\ \n \t \xNN and so on escaped.
std::string quote(std::string_view text);

// Transparent hash, so that unordered maps keyed by std::string can be searched by string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

}  // namespace wherry
