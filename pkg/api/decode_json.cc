// What Go's JSON scanner says about text that is not JSON: one pass with its states, none of its
// values.

#include <fmt/format.h>

#include "api/decode.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kEnd = "unexpected end of JSON input";
constexpr int kNestingMax = 1000;

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::string run() {
    skip_space();
    if (!value(0)) return error_;
    skip_space();
    if (at_ < text_.size()) unexpected("after top-level value");
    return error_;
  }

 private:
  bool end() const { return at_ >= text_.size(); }

  bool unexpected(std::string_view context) {
    if (end()) {
      error_ = kEnd;
      return false;
    }
    error_ = fmt::format("invalid character {} {}", quoted(text_[at_]), context);
    return false;
  }

  // A character as Go shows it, in single quotes.
  static std::string quoted(char c) {
    if (c == '\'') return "'\\''";
    if (c == '"') return "'\"'";
    auto byte = static_cast<unsigned char>(c);
    // Go takes the byte for a code point.
    if (byte >= 0xa1 && byte != 0xad) {
      return fmt::format("'{}{}'", static_cast<char>(0xc0 | byte >> 6),
                         static_cast<char>(0x80 | (byte & 0x3f)));
    }
    if (byte >= 0x80) return fmt::format("'\\u{:04x}'", byte);
    std::string text = quote(std::string_view(&c, 1));
    return "'" + text.substr(1, text.size() - 2) + "'";
  }

  void skip_space() {
    while (!end() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  bool value(int depth) {
    if (end()) return unexpected("");
    if (depth > kNestingMax) {
      error_ = "exceeded max depth";
      return false;
    }
    switch (text_[at_]) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return string();
      case 't': return literal("true");
      case 'f': return literal("false");
      case 'n': return literal("null");
      default: return number();
    }
  }

  bool object(int depth) {
    ++at_;
    skip_space();
    if (!end() && text_[at_] == '}') {
      ++at_;
      return true;
    }
    for (;;) {
      skip_space();
      if (end() || text_[at_] != '"')
        return unexpected("looking for beginning of object key string");
      if (!string()) return false;
      skip_space();
      if (end() || text_[at_] != ':') return unexpected("after object key");
      ++at_;
      skip_space();
      if (!value(depth + 1)) return false;
      skip_space();
      if (end() || (text_[at_] != ',' && text_[at_] != '}')) {
        return unexpected("after object key:value pair");
      }
      if (text_[at_++] == '}') return true;
    }
  }

  bool array(int depth) {
    ++at_;
    skip_space();
    if (!end() && text_[at_] == ']') {
      ++at_;
      return true;
    }
    for (;;) {
      skip_space();
      if (!value(depth + 1)) return false;
      skip_space();
      if (end() || (text_[at_] != ',' && text_[at_] != ']'))
        return unexpected("after array element");
      if (text_[at_++] == ']') return true;
    }
  }

  bool string() {
    for (++at_; !end(); ++at_) {
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return unexpected("in string literal");
      if (c == '\\' && !escape()) return false;
    }
    return unexpected("");
  }

  // Leaves at_ on the last character of the escape.
  bool escape() {
    ++at_;
    if (end()) return unexpected("");
    if (text_[at_] != 'u') {
      if (std::string_view("bfnrt\\/\"").find(text_[at_]) == std::string_view::npos) {
        return unexpected("in string escape code");
      }
      return true;
    }
    for (int i = 0; i < 4; ++i) {
      ++at_;
      if (end() ||
          std::string_view("0123456789abcdefABCDEF").find(text_[at_]) == std::string_view::npos) {
        return unexpected("in \\u hexadecimal character escape");
      }
    }
    return true;
  }

  bool literal(std::string_view word) {
    for (char c : word) {
      if (end() || text_[at_] != c) {
        return unexpected(fmt::format("in literal {} (expecting {})", word, quoted(c)));
      }
      ++at_;
    }
    return true;
  }

  bool digit() const { return !end() && text_[at_] >= '0' && text_[at_] <= '9'; }

  bool number() {
    bool negative = text_[at_] == '-';
    if (negative) ++at_;
    if (!digit())
      return unexpected(negative ? "in numeric literal" : "looking for beginning of value");
    if (text_[at_] == '0') {
      ++at_;
    } else {
      while (digit()) ++at_;
    }
    if (!end() && text_[at_] == '.') {
      ++at_;
      if (!digit()) return unexpected("after decimal point in numeric literal");
      while (digit()) ++at_;
    }
    if (!end() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (!end() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!digit()) return unexpected("in exponent of numeric literal");
      while (digit()) ++at_;
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string error_;
};

}  // namespace

std::string go_json_error(std::string_view text) { return Scanner(text).run(); }

}  // namespace wherry::api
