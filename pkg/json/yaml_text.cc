#include "json/yaml_text.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "base/strings.h"

namespace wherry::json {
namespace {

constexpr std::string_view kBlanks = " \t";

Error fault(size_t line, std::string_view what) {
  return line == 0 ? Error::bad_request("yaml: {}", what)
                   : Error::bad_request("yaml: line {}: {}", line, what);
}

// The length of a character by its first byte; 0: none begins so.
size_t length_of(uint8_t first) {
  if (first < 0x80) return 1;
  if ((first & 0xE0) == 0xC0) return 2;
  if ((first & 0xF0) == 0xE0) return 3;
  return (first & 0xF8) == 0xF0 ? 4 : 0;
}

bool is_allowed(uint32_t code) {
  return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code <= 0x7E) ||
         code == 0x85 || (code >= 0xA0 && code <= 0xD7FF) || (code >= 0xE000 && code <= 0xFFFD) ||
         code >= 0x10000;
}

// What is wrong with the character that `text` begins with, nullptr if nothing is.
const char* character_fault(std::string_view text, size_t& length) {
  constexpr uint32_t kLeastOfLength[] = {0, 0, 0x80, 0x800, 0x10000};
  auto byte = [text](size_t at) { return static_cast<uint8_t>(text[at]); };
  length = length_of(byte(0));
  if (length == 0) return "invalid leading UTF-8 octet";
  if (length > text.size()) return "incomplete UTF-8 octet sequence";
  uint32_t code = length == 1 ? byte(0) : byte(0) & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return "invalid trailing UTF-8 octet";
    code = code << 6 | (byte(i) & 0x3F);
  }
  if (code < kLeastOfLength[length]) return "invalid length of a UTF-8 sequence";
  if ((code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF) return "invalid Unicode character";
  return is_allowed(code) ? nullptr : "control characters are not allowed";
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  constexpr uint8_t kFirst[] = {0, 0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kFirst[length] | code >> (6 * (length - 1)));
  for (size_t i = length - 1; i > 0; --i)
    out += static_cast<char>(0x80 | (code >> (6 * (i - 1)) & 0x3F));
}

Result<std::string> from_utf16(std::string_view text, bool big_endian) {
  std::string out;
  auto unit = [&](size_t at) -> uint32_t {
    const auto first = static_cast<uint8_t>(text[at]);
    const auto second = static_cast<uint8_t>(text[at + 1]);
    return big_endian ? first << 8 | second : second << 8 | first;
  };
  for (size_t at = 0; at < text.size(); at += 2) {
    if (at + 2 > text.size()) return fault(0, "incomplete UTF-16 character");
    uint32_t code = unit(at);
    if (code >= 0xDC00 && code <= 0xDFFF) return fault(0, "unexpected low surrogate area");
    if (code >= 0xD800 && code <= 0xDBFF) {
      at += 2;
      if (at + 2 > text.size()) return fault(0, "incomplete UTF-16 surrogate pair");
      const uint32_t low = unit(at);
      if (low < 0xDC00 || low > 0xDFFF) return fault(0, "expected low surrogate area");
      code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
    }
    append_utf8(out, code);
  }
  return out;
}

Result<void> check_characters(std::string_view text) {
  size_t length = 1;
  for (size_t at = 0; at < text.size(); at += length) {
    if (text[at] >= ' ' && text[at] <= '~') {
      length = 1;
    } else if (const char* what = character_fault(text.substr(at), length); what != nullptr) {
      return fault(0, what);
    }
  }
  return {};
}

// A carriage return alone and NEL (U+0085) end a line too.
std::string with_line_feeds(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 8);
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\r') {
      if (text.substr(at).starts_with("\r\n")) ++at;
      out += '\n';
    } else if (text.substr(at).starts_with("\xC2\x85")) {
      ++at;
      out += '\n';
    } else {
      out += text[at];
    }
  }
  return out;
}

void skip_blanks(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(kBlanks)));
}

size_t skip_digits(std::string_view& rest) {
  size_t digits = std::min(rest.size(), rest.find_first_not_of("0123456789"));
  rest.remove_prefix(digits);
  return digits;
}

// "%YAML 1.1", from behind the name. `line` counts from 0.
Result<void> check_version(std::string_view rest, size_t line) {
  const size_t shown = line == 0 ? 0 : line + 1;
  skip_blanks(rest);
  std::string_view version = rest;
  if (skip_digits(rest) == 0) return fault(shown, "did not find expected version number");
  if (!rest.starts_with('.')) return fault(shown, "did not find expected digit or '.' character");
  rest.remove_prefix(1);
  if (skip_digits(rest) == 0) return fault(shown, "did not find expected version number");
  version = version.substr(0, version.size() - rest.size());
  skip_blanks(rest);
  if (!rest.empty() && !rest.starts_with('#'))
    return fault(shown, "did not find expected comment or line break");
  return version == "1.1" ? Result<void>() : fault(line, "found incompatible YAML document");
}

// The directives before the first document, which yaml-cpp takes whatever they say.
Result<void> check_directives(std::string_view text) {
  bool directives = false;
  bool versioned = false;
  size_t line = 0;
  for (; !text.empty(); ++line) {
    std::string_view in_line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), in_line.size() + 1));
    std::string_view trimmed = trim(in_line);
    if (trimmed.empty() || trimmed.starts_with('#')) continue;
    if (!in_line.starts_with('%')) {
      if (directives && !in_line.starts_with("---"))
        return fault(line, "did not find expected <document start>");
      if (trimmed == "...") return fault(line, "did not find expected node content");
      return {};
    }
    directives = true;
    const size_t shown = line == 0 ? 0 : line + 1;
    std::string_view name = in_line.substr(1, in_line.find_first_of(kBlanks) - 1);
    auto wrong = std::find_if_not(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
    });
    if (name.empty() || wrong == name.begin())
      return fault(shown, "could not find expected directive name");
    if (wrong != name.end()) return fault(shown, "found unexpected non-alphabetical character");
    std::string_view rest = in_line.substr(1 + name.size());
    if (name == "YAML") {
      if (std::exchange(versioned, true)) return fault(line, "found duplicate %YAML directive");
      TRY(check_version(rest, line));
    } else if (name != "TAG") {
      return fault(shown, "found unknown directive name");
    } else if (skip_blanks(rest); !rest.starts_with('!')) {
      return fault(shown, "did not find expected '!'");
    }
  }
  return {};
}

}  // namespace

std::string with_whole_characters(std::string scalar) {
  for (size_t at = 0; at < scalar.size();) {
    size_t length = length_of(static_cast<uint8_t>(scalar[at]));
    if (length == 0) {
      scalar.insert(at, 1, '\xC2');
      length = 2;
    }
    at += length;
  }
  return scalar;
}

Result<YamlText> prepare_yaml(std::string_view text) {
  YamlText out;
  std::string whole;
  if (text.starts_with("\xFE\xFF") || text.starts_with("\xFF\xFE")) {
    whole = TRY(from_utf16(text.substr(2), text.starts_with("\xFE\xFF")));
    text = whole;
  } else if (text.starts_with("\xEF\xBB\xBF")) {
    text.remove_prefix(3);
  }
  TRY(check_characters(text));
  out.text = with_line_feeds(text);
  TRY(check_directives(out.text));
  std::string_view last = out.text;
  last.remove_prefix(last.rfind('\n') + 1);
  const bool ended = trim(last).empty();
  if (ended) out.text.resize(out.text.size() - last.size());
  out.given = out.text.size();
  if (ended) out.text += "...\n";
  return out;
}

}  // namespace wherry::json
