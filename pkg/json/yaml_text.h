#pragma once
// The text of a YAML stream before the parser sees it: what libyaml, whose rules and words those of
// Kubernetes are, refuses and yaml-cpp lets pass. For this folder's YAML files only. Pure.

#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::json {

struct YamlText {
  // Line breaks are line feeds, and in the place of a last line that is empty stands an end of
  // document: a quote that is still open runs into it.
  std::string text;
  size_t given = 0;  // Where the end of document that was put there begins.
};

// What yaml-cpp makes of the escapes \N and \_: their code as one byte, where the character is two.
std::string with_whole_characters(std::string scalar);

// Refuses what is no text (invalid UTF-8, control characters) and wrong directives.
Result<YamlText> prepare_yaml(std::string_view text);

}  // namespace wherry::json
