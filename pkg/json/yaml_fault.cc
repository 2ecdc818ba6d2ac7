#include "json/yaml_fault.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/strings.h"

namespace wherry::json {
namespace {

namespace words = YAML::ErrorMsg;

bool is_space(char c) { return std::string_view(" \t\r\n").find(c) != std::string_view::npos; }
bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
}

// The bracket that is open at the end of `text`, 0 for none. Quoted text and comments do not count.
char open_bracket(std::string_view text) {
  std::vector<char> open;
  char quote = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const char before = at == 0 ? '\n' : text[at - 1];
    const bool starts =
        is_space(before) || std::string_view("[{,:").find(before) != std::string_view::npos;
    if (quote != 0) {
      if (c == '\\' && quote == '"') ++at;
      if (c == quote) quote = 0;
    } else if ((c == '"' || c == '\'') && starts) {
      quote = c;
    } else if (c == '#' && is_space(before)) {
      at = std::min(text.size(), text.find('\n', at));
    } else if ((c == '[' || c == '{') && (!open.empty() || starts)) {
      open.push_back(c);
    } else if ((c == ']' || c == '}') && !open.empty()) {
      open.pop_back();
    }
  }
  return open.empty() ? '\0' : open.back();
}

std::string_view expected_in(char bracket) {
  return bracket == '[' ? "did not find expected ',' or ']'" : "did not find expected ',' or '}'";
}

// Whether `before` ends where a value has to come.
bool wants_content(std::string_view before) {
  before = trim(before);
  return before.empty() || std::string_view("[{,:-").find(before.back()) != std::string_view::npos;
}

// That a line of a block scalar begins with a tab, or that any other does.
std::string_view tab_words(std::string_view before) {
  before = before.substr(0, before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n'));
  std::string_view last = before.substr(before.rfind('\n') + 1);
  size_t header = last.find_last_of("|>");
  bool block = header != std::string_view::npos && header > 0 && last[header - 1] == ' ' &&
               last.find_first_not_of("+-0123456789 ", header + 1) == std::string_view::npos;
  return block ? "found a tab character where an indentation space is expected"
               : "found a tab character that violates indentation";
}

// Whether the last line of `before` is blank, and a key that begins behind it would be one of a
// mapping that is open.
bool stands_as_key(std::string_view before) {
  const size_t column = before.size() - (before.rfind('\n') + 1);
  if (!trim(before.substr(before.size() - column)).empty()) return false;
  before.remove_suffix(column);
  while (!before.empty()) {
    before.remove_suffix(1);  // The line feed.
    std::string_view line = before.substr(before.rfind('\n') + 1);
    before.remove_suffix(line.size());
    size_t indent = line.find_first_not_of(' ');
    if (indent == std::string_view::npos || line[indent] == '#' || indent > column) continue;
    return indent == column && line[indent] != '-';
  }
  return false;
}

bool one_of(std::string_view message, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), message) != all.end();
}

// Empty: said as yaml-cpp says it.
std::string_view scanner_words(std::string_view message, std::string_view before) {
  if (message == words::MAP_VALUE) {
    std::string_view in_line = before.substr(before.rfind('\n') + 1);
    if (in_line.starts_with('\t') && !trim(in_line).empty())
      return "found character that cannot start any token";
    return "mapping values are not allowed in this context";
  }
  if (message == words::UNKNOWN_TOKEN) return "found character that cannot start any token";
  if (message == words::EOF_IN_SCALAR) return "found unexpected end of stream";
  if (message == words::DOC_IN_SCALAR) return "found unexpected document indicator";
  if (message == words::TAB_IN_INDENTATION) return tab_words(before);
  if (message == words::BLOCK_ENTRY)
    return "block sequence entries are not allowed in this context";
  if (message == words::MAP_KEY) return "mapping keys are not allowed in this context";
  if (message == words::CHAR_IN_BLOCK) return "did not find expected comment or line break";
  if (message == words::ZERO_INDENT_IN_BLOCK) return "found an indentation indicator equal to 0";
  if (message == words::END_OF_VERBATIM_TAG) return "did not find the expected '>'";
  if (message == words::INVALID_HEX) return "did not find expected hexdecimal number";
  if (message.starts_with(words::INVALID_UNICODE))
    return "found invalid Unicode character escape code";
  if (message.starts_with(words::INVALID_ESCAPE)) return "found unknown escape character";
  if (one_of(message, {words::ANCHOR_NOT_FOUND, words::ALIAS_NOT_FOUND, words::CHAR_IN_ANCHOR,
                       words::CHAR_IN_ALIAS, words::INVALID_ANCHOR, words::INVALID_ALIAS})) {
    return "did not find expected alphabetic or numeric character";
  }
  return {};
}

std::string_view parser_words(std::string_view message, std::string_view before) {
  if (one_of(message, {words::END_OF_SEQ_FLOW, words::END_OF_MAP_FLOW, words::FLOW_END})) {
    const char bracket = open_bracket(before);
    if (wants_content(before)) return "did not find expected node content";
    return bracket == 0 ? "did not find expected key" : expected_in(bracket);
  }
  if (message == words::BLOCK_ENTRY && open_bracket(before) != 0)
    return "did not find expected node content";
  if (message == words::END_OF_MAP)
    return wants_content(before) ? "did not find expected node content"
                                 : "did not find expected key";
  if (message == words::END_OF_SEQ) return "did not find expected '-' indicator";
  if (one_of(message, {words::MULTIPLE_ANCHORS, words::MULTIPLE_TAGS}))
    return "did not find expected key";
  if (message == words::REPEATED_TAG_DIRECTIVE) return "found duplicate %TAG directive";
  return {};
}

std::string anchor_at(std::string_view rest) {
  if (rest.starts_with('*') || rest.starts_with('&') || rest.starts_with('!'))
    rest.remove_prefix(1);
  size_t end = 0;
  while (end < rest.size() && is_word(rest[end])) ++end;
  return std::string(rest.substr(0, end));
}

Error placed(size_t line, std::string_view what) {
  return line == 0 ? Error::bad_request("yaml: {}", what)
                   : Error::bad_request("yaml: line {}: {}", line, what);
}

}  // namespace

Error yaml_scanner_error(size_t line_from_0, std::string_view what) {
  return placed(line_from_0 == 0 ? 0 : line_from_0 + 1, what);
}

Error yaml_parser_error(size_t line_from_0, std::string_view what) {
  return placed(line_from_0, what);
}

Result<void> check_yaml_node(std::string_view text, size_t at) {
  auto line = [text, &at] {
    return static_cast<size_t>(std::count(text.begin(), text.begin() + ptrdiff_t(at), '\n'));
  };
  std::string_view rest = text.substr(std::min(text.size(), at));
  if (rest.starts_with('&')) {
    const std::string_view after = rest.substr(1 + anchor_at(rest).size());
    if (after.empty() || std::string_view(" \t\n?:,]}%@`").find(after[0]) != std::string_view::npos)
      return {};
    return yaml_scanner_error(line(), "did not find expected alphabetic or numeric character");
  }
  if (rest.starts_with('!') && !rest.starts_with("!!") && !rest.starts_with("!<")) {
    const std::string_view handle = rest.substr(0, anchor_at(rest).size() + 2);
    const bool declared = text.find("%TAG " + std::string(handle) + " ") != std::string_view::npos;
    if (handle.ends_with('!') && handle.size() > 1 && !declared)
      return yaml_parser_error(line(), "found undefined tag handle");
  }
  if (rest.starts_with('"')) {
    for (size_t i = 1; i + 1 < rest.size() && rest[i] != '"'; ++i) {
      if (rest[i] != '\\') continue;
      if (rest[++i] == '/') {
        at += i;
        return yaml_scanner_error(line(), "found unknown escape character");
      }
    }
  }
  return {};
}

Error yaml_missing_colon(std::string_view text, size_t at) {
  auto line = static_cast<size_t>(std::count(text.begin(), text.begin() + ptrdiff_t(at), '\n'));
  size_t from = text.find('\n', at);
  while (from < text.size()) {
    ++line;
    size_t end = std::min(text.size(), text.find('\n', from + 1));
    if (!trim(text.substr(from + 1, end - from - 1)).empty()) break;
    from = end;
  }
  return yaml_scanner_error(line, "could not find expected ':'");
}

Error yaml_error(const YAML::Exception& exception, const YamlText& text) {
  if (exception.mark.is_null()) return Error::bad_request("yaml: {}", exception.msg);
  const std::string& message = exception.msg;
  size_t at = std::min(text.given, size_t(exception.mark.pos));
  // A number that is too short is noticed behind what is no digit.
  if (message == words::INVALID_HEX && at > 0) --at;
  const std::string_view before = std::string_view(text.text).substr(0, at);
  const auto line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  if (message == words::DOC_IN_SCALAR && size_t(exception.mark.pos) >= text.given)
    return yaml_scanner_error(line, "found unexpected end of stream");
  if (message.starts_with(words::UNKNOWN_ANCHOR)) {
    return Error::bad_request("yaml: unknown anchor '{}' referenced",
                              anchor_at(std::string_view(text.text).substr(at)));
  }
  if (message == words::END_OF_MAP && at < text.given && is_word(text.text[at]) &&
      text.text[at] != '-' && stands_as_key(before)) {
    return yaml_missing_colon(text.text, at);
  }
  if (std::string_view known = parser_words(message, before); !known.empty())
    return yaml_parser_error(line, known);
  if (std::string_view known = scanner_words(message, before); !known.empty())
    return yaml_scanner_error(line, known);
  return Error::bad_request("yaml: line {}: {}", line + 1, message);
}

}  // namespace wherry::json
