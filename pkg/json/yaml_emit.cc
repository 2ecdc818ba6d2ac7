// JSON values as block-style YAML, in the manner people know from kubectl: lists are not indented
// below their key, strings are plain where that is safe, several lines become a literal block.

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/strings.h"
#include "json/yaml.h"
#include "json/yaml_scalar.h"

namespace wherry::json {
namespace {

bool is_timestamp_like(std::string_view text) {
  return text.size() >= 8 && text[4] == '-' &&
         std::all_of(text.begin(), text.begin() + 4, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "12:30" is a number to base 60 for YAML 1.1 readers: digits, groups below 60, a fraction.
bool is_sexagesimal(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || !is_digit(text[0])) return false;
  auto digits = [](std::string_view part) {
    return std::all_of(part.begin(), part.end(), [](char c) { return is_digit(c) || c == '_'; });
  };
  size_t colon = text.find(':');
  if (colon == std::string_view::npos || !digits(text.substr(0, colon))) return false;
  std::string_view rest = text.substr(colon + 1);
  std::string_view whole = rest.substr(0, rest.find('.'));
  if (!digits(rest.substr(std::min(rest.size(), whole.size() + 1)))) return false;
  std::vector<std::string_view> groups = split(whole, ':');
  return std::all_of(groups.begin(), groups.end(), [](std::string_view group) {
    bool one = group.size() == 1 && is_digit(group[0]);
    bool two = group.size() == 2 && group[0] >= '0' && group[0] <= '5' && is_digit(group[1]);
    return one || two;
  });
}

// The character that `text` begins with, and its length. Strings of a Value are valid UTF-8.
std::pair<uint32_t, size_t> first_character(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  uint32_t code = length == 1 ? first : first & (0xFFU >> (length + 1));
  for (size_t i = 1; i < std::min(length, text.size()); ++i)
    code = code << 6 | (static_cast<uint8_t>(text[i]) & 0x3F);
  return {code, std::min(length, text.size())};
}

// What is shown as an escape: what no YAML text may hold, what would end a line, and what upstream
// does not take for printable.
bool is_escaped(uint32_t code) {
  return (code < 0x20 && code != '\n') || (code >= 0x7F && code < 0xA0) || code == 0x2028 ||
         code == 0x2029 || code == 0xFEFF || code >= 0xFFFE;
}

bool has_escapes(std::string_view text) {
  while (!text.empty()) {
    auto [code, length] = first_character(text);
    if (is_escaped(code)) return true;
    text.remove_prefix(length);
  }
  return false;
}

std::string escape(uint32_t code) {
  constexpr std::pair<uint32_t, char> kShort[] = {
      {0, '0'},     {'\a', 'a'}, {'\b', 'b'},   {'\t', 't'},  {'\n', 'n'},
      {'\v', 'v'},  {'\f', 'f'}, {'\r', 'r'},   {0x1B, 'e'},  {'"', '"'},
      {'\\', '\\'}, {0x85, 'N'}, {0x2028, 'L'}, {0x2029, 'P'}};
  for (auto [of, shown] : kShort) {
    if (of == code) return {'\\', shown};
  }
  return code < 0x100     ? fmt::format("\\x{:02X}", code)
         : code < 0x10000 ? fmt::format("\\u{:04X}", code)
                          : fmt::format("\\U{:08X}", code);
}

constexpr size_t kLineBytes = 80;

// In double quotes, from `column` on, broken at a space once the line is long. Without an indent in
// one line, as keys have to be.
std::string escaped(std::string_view text, size_t column, std::optional<size_t> indent) {
  std::string out = "\"";
  ++column;
  bool after_space = true;  // Nor is the first character a place to break at.
  for (size_t i = 0; i < text.size();) {
    auto [code, length] = first_character(text.substr(i));
    const bool last = i + length == text.size();
    const size_t before = out.size();
    if (code == ' ' && !after_space && !last && indent && column > kLineBytes) {
      out.append("\n").append(*indent, ' ');
      if (text[i + 1] == ' ') out += '\\';
      column = *indent;
    } else {
      const bool shown = !is_escaped(code) && code != '\n' && code != '"' && code != '\\';
      out += shown ? std::string(text.substr(i, length)) : escape(code);
      column += shown ? 1 : out.size() - before;
    }
    after_space = code == ' ';
    i += length;
  }
  return out + "\"";
}

bool is_plain_safe(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  if (std::string_view("?:,[]{}#&*!|>'\"%@`=<~").find(text.front()) != std::string_view::npos)
    return false;
  if (text.front() == '-' && (text.size() == 1 || text[1] == ' ' || text[1] == '-')) return false;
  if (text.starts_with("...") || text.starts_with("---")) return false;
  return text.find(": ") == std::string_view::npos && text.find(" #") == std::string_view::npos;
}

std::string quoted(std::string_view text) {
  Scalar meaning = resolve_scalar(text);
  if (text.find('\n') != std::string_view::npos || has_escapes(text))
    return escaped(text, 0, std::nullopt);
  if (meaning.kind != ScalarKind::kString || is_timestamp_like(text) || is_sexagesimal(text))
    return quote(text);
  if (is_plain_safe(text)) return std::string(text);
  return "'" + replace_all(text, "'", "''") + "'";
}

// A plain or single-quoted text that starts at `column`, broken at a space once the line is long.
std::string folded(std::string_view text, size_t column, size_t indent) {
  const size_t edge =
      text.starts_with('\'') ? 1 : 0;  // The quotes, inside which no space is first.
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool inner = i > edge && i + 1 + edge < text.size();
    const bool lone = text[i] == ' ' && inner && text[i - 1] != ' ' && text[i + 1] != ' ';
    if (lone && column > kLineBytes) {
      out.append("\n").append(indent, ' ');
      column = indent;
      continue;
    }
    out += text[i];
    const bool continues = (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
    if (!continues) ++column;
  }
  return out;
}

class Emitter {
 public:
  std::string run(Value value) {
    if (value.is_object() && value.size() > 0) {
      members(value, 0);
    } else if (value.is_array() && value.size() > 0) {
      items(value, 0);
    } else {
      leaf(value, 2);
    }
    return std::move(out_);
  }

 private:
  void members(Value object, size_t indent) {
    bool first = true;
    for (auto [key, value] : object.members()) {
      if (!std::exchange(first, false) || !inline_) out_.append(indent, ' ');
      inline_ = false;
      out_ += quoted(key);
      out_ += ':';
      if (value.is_object() && value.size() > 0) {
        out_ += '\n';
        members(value, indent + 2);
      } else if (value.is_array() && value.size() > 0) {
        out_ += '\n';
        items(value, indent);
      } else {
        out_ += ' ';
        leaf(value, indent + 2);
      }
    }
  }

  void items(Value array, size_t indent) {
    bool first = true;
    for (Value item : array.items()) {
      if (!std::exchange(first, false) || !inline_) out_.append(indent, ' ');
      inline_ = false;
      out_ += "- ";
      if (item.is_object() && item.size() > 0) {
        inline_ = true;
        members(item, indent + 2);
      } else if (item.is_array() && item.size() > 0) {
        inline_ = true;
        items(item, indent + 2);
      } else {
        leaf(item, indent + 2);
      }
    }
  }

  void leaf(Value value, size_t indent) {
    if (value.is_string()) {
      string(value.as_string(), indent);
    } else if (value.is_object()) {
      out_ += "{}";
    } else if (value.is_array()) {
      out_ += "[]";
    } else {
      out_ += value ? value.dump() : "null";
    }
    out_ += '\n';
  }

  void string(std::string_view text, size_t indent) {
    const bool escapes = has_escapes(text);
    bool block = text.find('\n') != std::string_view::npos && !escapes &&
                 text.find_first_not_of("\n ") != std::string_view::npos;
    if (!block) {
      size_t column = out_.size() - (out_.rfind('\n') + 1);
      std::string shown = escapes ? escaped(text, column, indent) : quoted(text);
      out_ += shown.starts_with('"') ? shown : folded(shown, column, indent);
      return;
    }
    out_ += '|';
    if (text.front() == ' ' || text.front() == '\n') out_ += '2';
    if (!text.ends_with('\n')) {
      out_ += '-';
    } else if (text.ends_with("\n\n")) {
      out_ += '+';
    }
    std::string_view rest = text;
    if (rest.ends_with('\n')) rest.remove_suffix(1);
    for (std::string_view line : split(rest, '\n')) {
      out_ += '\n';
      if (!line.empty()) out_.append(indent, ' ');
      out_ += line;
    }
  }

  std::string out_;
  bool inline_ = false;  // The next entry follows "- " on the same line.
};

}  // namespace

std::string to_yaml(Value value) { return Emitter().run(value); }

}  // namespace wherry::json
