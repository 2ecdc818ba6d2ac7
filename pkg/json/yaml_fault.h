#pragma once
// What yaml-cpp finds wrong, said in the words of libyaml, which those of Kubernetes are and
// clients know. For this folder's YAML files only. Pure.

#include <yaml-cpp/exceptions.h>

#include "base/result.h"
#include "json/yaml_text.h"

namespace wherry::json {

Error yaml_error(const YAML::Exception& exception, const YamlText& text);

// As libyaml counts: its scanner says the line, its parser the one before; of the first line
// neither says it.
Error yaml_scanner_error(size_t line_from_0, std::string_view what);
Error yaml_parser_error(size_t line_from_0, std::string_view what);

// That a line, whose first word is at `at`, is no entry of the mapping that it stands in. Noticed
// where the next thing stands.
Error yaml_missing_colon(std::string_view text, size_t at);

// What yaml-cpp takes where a node begins, at `at`: anchors of any characters, tags whose handle
// nobody declared, the escape \/ that only JSON has.
Result<void> check_yaml_node(std::string_view text, size_t at);

}  // namespace wherry::json
