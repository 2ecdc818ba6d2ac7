#pragma once
// Expands $(VAR) references as the Kubernetes API reference describes for container command, args,
// env and subPathExpr: $$ is a literal $, and a reference to an unknown name stays as it is. Pure.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace wherry::agent {

using Lookup = std::function<std::optional<std::string>(std::string_view)>;

std::string expand(std::string_view text, const Lookup& lookup);

// Like expand, but an unknown name or a malformed reference makes the whole expansion fail: the
// name.
struct StrictExpansion {
  std::string text;
  std::optional<std::string> missing;
};
StrictExpansion expand_strict(std::string_view text, const Lookup& lookup);

}  // namespace wherry::agent
