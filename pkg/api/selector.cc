#include "api/selector.h"

#include <algorithm>
#include <optional>

#include "api/names.h"
#include "api/object.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

enum class Token {
  kEnd,
  kIdentifier,
  kComma,
  kOpen,
  kClose,
  kNot,
  kEqual,
  kDoubleEqual,
  kNotEqual,
  kGreater,
  kLess,
  kIn,
  kNotIn
};

struct Lexeme {
  Token token = Token::kEnd;
  std::string_view text;
};

bool is_special(char c) { return std::string_view("=!(),><").find(c) != std::string_view::npos; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::vector<Lexeme> lex(std::string_view text) {
  std::vector<Lexeme> out;
  size_t at = 0;
  while (at < text.size()) {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    size_t start = at;
    if (!is_special(text[at])) {
      while (at < text.size() && !is_special(text[at]) && !is_space(text[at])) ++at;
      std::string_view word = text.substr(start, at - start);
      Token token = word == "in"      ? Token::kIn
                    : word == "notin" ? Token::kNotIn
                                      : Token::kIdentifier;
      out.push_back({token, word});
      continue;
    }
    char c = text[at++];
    bool doubled = at < text.size() && text[at] == '=' && (c == '=' || c == '!');
    if (doubled) ++at;
    Token token = Token::kComma;
    switch (c) {
      case '=': token = doubled ? Token::kDoubleEqual : Token::kEqual; break;
      case '!': token = doubled ? Token::kNotEqual : Token::kNot; break;
      case '(': token = Token::kOpen; break;
      case ')': token = Token::kClose; break;
      case '>': token = Token::kGreater; break;
      case '<': token = Token::kLess; break;
      default: break;
    }
    out.push_back({token, text.substr(start, at - start)});
  }
  out.push_back({});
  return out;
}

// Text after the position at which upstream's grammar gives up; the wording is upstream's.
Error unexpected(const Lexeme& found, std::string_view expected) {
  return Error::bad_request("found '{}', expected: {}", found.text, expected);
}
Error bad_requirement(Error inner) {
  return std::move(inner).with_prefix("unable to parse requirement");
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexemes_(lex(text)) {}

  Result<std::vector<Requirement>> parse() {
    std::vector<Requirement> out;
    if (peek().token == Token::kEnd) return out;
    for (;;) {
      if (peek().token != Token::kNot && !is_word(peek())) {
        return unexpected(peek(), "!, identifier, or 'end of string'");
      }
      Result<Requirement> requirement = parse_requirement();
      if (!requirement.ok()) return bad_requirement(std::move(requirement).error());
      out.push_back(std::move(*requirement));
      Lexeme next = take();
      if (next.token == Token::kEnd) return out;
      if (next.token != Token::kComma) return unexpected(next, "',' or 'end of string'");
      if (peek().token != Token::kNot && !is_word(peek())) {
        return unexpected(peek(), "identifier after ','");
      }
    }
  }

 private:
  // "in" and "notin" are plain words wherever an operator cannot stand.
  static bool is_word(const Lexeme& lexeme) {
    return lexeme.token == Token::kIdentifier || lexeme.token == Token::kIn ||
           lexeme.token == Token::kNotIn;
  }
  const Lexeme& peek() const { return lexemes_[at_]; }
  Lexeme take() { return at_ + 1 < lexemes_.size() ? lexemes_[at_++] : lexemes_[at_]; }

  Result<Requirement> parse_requirement() {
    Requirement out;
    bool negated = peek().token == Token::kNot;
    if (negated) take();
    Lexeme key = take();
    if (!is_word(key)) return unexpected(key, "identifier");
    out.key = key.text;
    TRY(check_key(out.key));
    if (negated || peek().token == Token::kEnd || peek().token == Token::kComma) {
      out.op = negated ? Operator::kDoesNotExist : Operator::kExists;
      return out;
    }
    TRY(parse_operator(out));
    if (out.op == Operator::kIn || out.op == Operator::kNotIn) {
      TRY(parse_list(out.values));
    } else {
      TRY(parse_value(out.values));
    }
    TRY(check_values(out));
    std::sort(out.values.begin(), out.values.end());
    out.values.erase(std::unique(out.values.begin(), out.values.end()), out.values.end());
    return out;
  }

  Result<void> parse_operator(Requirement& out) {
    Lexeme op = take();
    switch (op.token) {
      case Token::kIn: out.op = Operator::kIn; return {};
      case Token::kNotIn: out.op = Operator::kNotIn; return {};
      case Token::kEqual:
      case Token::kDoubleEqual: out.op = Operator::kEquals; return {};
      case Token::kNotEqual: out.op = Operator::kNotEquals; return {};
      case Token::kGreater: out.op = Operator::kGreaterThan; return {};
      case Token::kLess: out.op = Operator::kLessThan; return {};
      default: return unexpected(op, "in, notin, =, ==, !=, gt, lt");
    }
  }

  Result<void> parse_list(std::vector<std::string>& values) {
    Lexeme open = take();
    if (open.token != Token::kOpen) {
      return Error::bad_request("found '{}' expected: '('", open.text);
    }
    if (peek().token == Token::kClose) {
      take();
      values.emplace_back();
      return {};
    }
    if (!is_word(peek()) && peek().token != Token::kComma) {
      return unexpected(peek(), "',', ')' or identifier");
    }
    for (;;) {
      values.emplace_back(is_word(peek()) ? take().text : std::string_view());
      Lexeme next = take();
      if (next.token == Token::kClose) return {};
      if (next.token != Token::kComma) return unexpected(next, "',' or ')'");
    }
  }

  Result<void> parse_value(std::vector<std::string>& values) {
    if (peek().token == Token::kEnd || peek().token == Token::kComma) {
      values.emplace_back();
      return {};
    }
    Lexeme value = take();
    if (!is_word(value)) return unexpected(value, "identifier");
    values.emplace_back(value.text);
    return {};
  }

  static Result<void> check_key(const std::string& key) {
    Problems problems = qualified_name_problems(key);
    if (problems.empty()) return {};
    return Error::bad_request("<nil>: Invalid value: {}: {}", quote(key), join(problems, "; "));
  }

  static Result<void> check_values(const Requirement& requirement) {
    bool numeric =
        requirement.op == Operator::kGreaterThan || requirement.op == Operator::kLessThan;
    for (size_t i = 0; i < requirement.values.size(); ++i) {
      const std::string& value = requirement.values[i];
      if (numeric && !parse_int(value)) {
        return Error::bad_request(
            "values[{}]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
            i, quote(value));
      }
      Problems problems = label_value_problems(value);
      if (!problems.empty()) {
        return Error::bad_request("values[{}][{}]: Invalid value: {}: {}", i, requirement.key,
                                  quote(value), join(problems, "; "));
      }
    }
    return {};
  }

  std::vector<Lexeme> lexemes_;
  size_t at_ = 0;
};

bool one_of(const std::vector<std::string>& values, std::string_view value) {
  return std::binary_search(values.begin(), values.end(), value);
}

bool satisfied(const Requirement& requirement, std::optional<std::string_view> label) {
  switch (requirement.op) {
    case Operator::kEquals:
    case Operator::kIn: return label && one_of(requirement.values, *label);
    case Operator::kNotEquals:
    case Operator::kNotIn: return !label || !one_of(requirement.values, *label);
    case Operator::kExists: return label.has_value();
    case Operator::kDoesNotExist: return !label.has_value();
    case Operator::kGreaterThan:
    case Operator::kLessThan: {
      std::optional<int64_t> have = label ? parse_int(*label) : std::nullopt;
      std::optional<int64_t> want = parse_int(requirement.values.at(0));
      if (!have || !want) return false;
      return requirement.op == Operator::kGreaterThan ? *have > *want : *have < *want;
    }
  }
  return false;
}

std::string requirement_text(const Requirement& requirement) {
  std::string first = requirement.values.empty() ? std::string() : requirement.values[0];
  switch (requirement.op) {
    case Operator::kEquals: return requirement.key + "=" + first;
    case Operator::kNotEquals: return requirement.key + "!=" + first;
    case Operator::kIn: return requirement.key + " in (" + join(requirement.values, ",") + ")";
    case Operator::kNotIn:
      return requirement.key + " notin (" + join(requirement.values, ",") + ")";
    case Operator::kExists: return requirement.key;
    case Operator::kDoesNotExist: return "!" + requirement.key;
    case Operator::kGreaterThan: return requirement.key + ">" + first;
    case Operator::kLessThan: return requirement.key + "<" + first;
  }
  return {};
}

void sort_by_key(std::vector<Requirement>& requirements) {
  std::stable_sort(requirements.begin(), requirements.end(),
                   [](const Requirement& a, const Requirement& b) { return a.key < b.key; });
}

}  // namespace

Selector Selector::nothing() {
  Selector selector;
  selector.nothing_ = true;
  return selector;
}

Result<Selector> Selector::parse(std::string_view text) {
  std::vector<Requirement> requirements = TRY(Parser(text).parse());
  sort_by_key(requirements);
  return Selector(std::move(requirements));
}

Result<Selector> Selector::from_label_selector(json::Value selector) {
  if (!selector || selector.is_null()) return nothing();
  std::vector<Requirement> out;
  for (auto [key, value] : selector["matchLabels"].members()) {
    out.push_back({std::string(key), Operator::kEquals, {std::string(value.as_string())}});
  }
  for (json::Value expression : selector["matchExpressions"].items()) {
    Requirement requirement;
    requirement.key = expression["key"].as_string();
    std::string_view op = expression["operator"].as_string();
    if (op == "In") {
      requirement.op = Operator::kIn;
    } else if (op == "NotIn") {
      requirement.op = Operator::kNotIn;
    } else if (op == "Exists") {
      requirement.op = Operator::kExists;
    } else if (op == "DoesNotExist") {
      requirement.op = Operator::kDoesNotExist;
    } else {
      return Error::bad_request("{} is not a valid label selector operator", quote(op));
    }
    for (json::Value value : expression["values"].items()) {
      requirement.values.emplace_back(value.as_string());
    }
    bool wants_values = requirement.op == Operator::kIn || requirement.op == Operator::kNotIn;
    if (wants_values && requirement.values.empty()) {
      return Error::bad_request(
          "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty");
    }
    std::sort(requirement.values.begin(), requirement.values.end());
    out.push_back(std::move(requirement));
  }
  sort_by_key(out);
  return Selector(std::move(out));
}

Selector Selector::from_map(json::Value map, bool empty_is_nothing) {
  if (map.empty() && empty_is_nothing) return nothing();
  std::vector<Requirement> out;
  for (auto [key, value] : map.members()) {
    out.push_back({std::string(key), Operator::kEquals, {std::string(value.as_string())}});
  }
  sort_by_key(out);
  return Selector(std::move(out));
}

bool Selector::matches(const Object& object) const {
  if (nothing_) return false;
  if (requirements_.empty()) return true;
  std::vector<Object::Label> labels = object.labels();
  return std::all_of(
      requirements_.begin(), requirements_.end(), [&](const Requirement& requirement) {
        auto found = std::find_if(labels.begin(), labels.end(), [&](const Object::Label& label) {
          return label.key == requirement.key;
        });
        if (found == labels.end()) return satisfied(requirement, std::nullopt);
        return satisfied(requirement, found->value);
      });
}

bool Selector::matches_labels(json::Value labels) const {
  if (nothing_) return false;
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& requirement) {
                       json::Value value = labels[requirement.key];
                       if (!value) return satisfied(requirement, std::nullopt);
                       return satisfied(requirement, value.as_string());
                     });
}

std::string Selector::text() const {
  std::vector<std::string> parts;
  for (const Requirement& requirement : requirements_)
    parts.push_back(requirement_text(requirement));
  return join(parts, ",");
}

namespace {

// Commas and equal signs of a value are escaped by a backslash.
std::vector<std::string_view> split_terms(std::string_view text) {
  std::vector<std::string_view> out;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == ',') {
      out.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  out.push_back(text.substr(start));
  return out;
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\') {
      if (i + 1 == text.size())
        return Error::bad_request("invalid field selector: invalid escape sequence: \\");
      c = text[++i];
      if (c != '\\' && c != ',' && c != '=') {
        return Error::bad_request("invalid field selector: invalid escape sequence: \\{}", c);
      }
    } else if (c == ',' || c == '=') {
      return Error::bad_request("invalid field selector: unescaped character in value: {}",
                                static_cast<int>(c));
    }
    out += c;
  }
  return out;
}

}  // namespace

Result<std::vector<FieldRequirement>> parse_field_selector(std::string_view text) {
  std::vector<FieldRequirement> out;
  for (std::string_view term : split_terms(text)) {
    if (term.empty()) continue;
    size_t at = term.find('=');
    if (at == std::string_view::npos) {
      return Error::bad_request("invalid selector: '{}'; can't understand '{}'", text, term);
    }
    FieldRequirement requirement;
    requirement.equals = at == 0 || term[at - 1] != '!';
    requirement.path = term.substr(0, requirement.equals ? at : at - 1);
    std::string_view value = term.substr(at + 1);
    if (requirement.equals && value.starts_with('=')) value.remove_prefix(1);
    requirement.value = TRY(unescape(value));
    out.push_back(std::move(requirement));
  }
  return out;
}

}  // namespace wherry::api
