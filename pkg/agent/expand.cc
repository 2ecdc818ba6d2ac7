#include "agent/expand.h"

namespace wherry::agent {
namespace {

// Calls `on_reference(name)` for each $(name) and appends what it returns.
template <typename OnReference>
std::string walk(std::string_view text, OnReference on_reference) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char next = text[i + 1];
    if (next == '$') {  // $$ is one $, and whatever follows it is plain text.
      out += '$';
      ++i;
      continue;
    }
    size_t close = next == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (close == std::string_view::npos) {
      out += '$';
      continue;
    }
    out += on_reference(text.substr(i + 2, close - i - 2));
    i = close;
  }
  return out;
}

}  // namespace

std::string expand(std::string_view text, const Lookup& lookup) {
  return walk(text, [&](std::string_view name) {
    if (std::optional<std::string> value = lookup(name)) return *value;
    return "$(" + std::string(name) + ")";
  });
}

StrictExpansion expand_strict(std::string_view text, const Lookup& lookup) {
  StrictExpansion result;
  result.text = walk(text, [&](std::string_view name) -> std::string {
    if (std::optional<std::string> value = lookup(name)) return *value;
    result.missing = std::string(name);
    return {};
  });
  return result;
}

}  // namespace wherry::agent
