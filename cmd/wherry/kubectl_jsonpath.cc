#include "kubectl_jsonpath.h"

#include "base/strings.h"

namespace wherry::command::kubectl {
namespace {

using Step = JsonPath::Step;
using Part = JsonPath::Part;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<std::vector<Part>> parts(bool in_range) {
    std::vector<Part> out;
    while (at_ < text_.size()) {
      size_t open = text_.find('{', at_);
      if (open != at_) {
        size_t end = open == std::string_view::npos ? text_.size() : open;
        out.push_back({.kind = Part::Kind::kText,
                       .text = std::string(text_.substr(at_, end - at_)),
                       .path = {},
                       .body = {}});
        at_ = end;
        continue;
      }
      ++at_;
      skip_spaces();
      if (take_word("end")) {
        TRY(expect('}'));
        if (!in_range) return Error::invalid("jsonpath: {{end}} without {{range}}");
        return out;
      }
      if (take_word("range")) {
        Part range{.kind = Part::Kind::kRange, .text = {}, .path = {}, .body = {}};
        skip_spaces();
        range.path = TRY(path());
        TRY(expect('}'));
        range.body = TRY(parts(true));
        out.push_back(std::move(range));
        continue;
      }
      TRY(expressions(out));
      TRY(expect('}'));
    }
    if (in_range) return Error::invalid("jsonpath: {{range}} without {{end}}");
    return out;
  }

 private:
  Result<void> expressions(std::vector<Part>& out) {
    skip_spaces();
    while (at_ < text_.size() && text_[at_] != '}') {
      if (text_[at_] == '"' || text_[at_] == '\'') {
        std::string text = TRY(quoted());
        out.push_back({.kind = Part::Kind::kText, .text = text, .path = {}, .body = {}});
      } else {
        std::vector<Step> steps = TRY(path());
        out.push_back(
            {.kind = Part::Kind::kPath, .text = {}, .path = std::move(steps), .body = {}});
      }
      skip_spaces();
    }
    return {};
  }

  Result<std::vector<Step>> path() {
    std::vector<Step> steps;
    size_t begin = at_;
    if (at_ < text_.size() && (text_[at_] == '$' || text_[at_] == '@')) ++at_;
    while (at_ < text_.size()) {
      if (text_[at_] == '.') {
        ++at_;
        if (at_ < text_.size() && text_[at_] == '.') {
          ++at_;
          steps.push_back({.kind = Step::Kind::kDescend});
        }
        if (at_ < text_.size() && text_[at_] == '[') continue;
        if (at_ < text_.size() && text_[at_] == '*') {
          ++at_;
          steps.push_back({.kind = Step::Kind::kWildcard});
          continue;
        }
        std::string name = member();
        if (!name.empty()) steps.push_back({.kind = Step::Kind::kMember, .member = name});
      } else if (text_[at_] == '[') {
        ++at_;
        steps.push_back(TRY(bracket()));
      } else if (at_ == begin && is_member_char(text_[at_])) {
        steps.push_back({.kind = Step::Kind::kMember, .member = member()});
      } else {
        break;
      }
    }
    if (at_ == begin) {
      return Error::invalid("jsonpath: unexpected \"{}\"", text_.substr(at_, 10));
    }
    return steps;
  }

  static bool is_member_char(char c) {
    return std::string_view(" .[]{}()=!<>\"',|&?*@$\t\n").find(c) == std::string_view::npos;
  }

  std::string member() {
    std::string name;
    while (at_ < text_.size()) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        name += text_[at_ + 1];
        at_ += 2;
      } else if (is_member_char(text_[at_])) {
        name += text_[at_++];
      } else {
        break;
      }
    }
    return name;
  }

  Result<Step> bracket() {
    skip_spaces();
    if (at_ < text_.size() && text_[at_] == '?') return filter();
    if (at_ < text_.size() && text_[at_] == '*') {
      ++at_;
      TRY(expect(']'));
      return Step{.kind = Step::Kind::kWildcard};
    }
    if (at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) {
      Step step{.kind = Step::Kind::kMember};
      while (true) {
        step.members.push_back(TRY(quoted()));
        skip_spaces();
        if (at_ >= text_.size() || text_[at_] != ',') break;
        ++at_;
        skip_spaces();
      }
      TRY(expect(']'));
      return step;
    }
    size_t close = text_.find(']', at_);
    if (close == std::string_view::npos) return Error::invalid("jsonpath: unterminated array");
    std::string_view inside = text_.substr(at_, close - at_);
    at_ = close + 1;
    return inside.find(':') != std::string_view::npos ? slice(inside) : indexes(inside);
  }

  static Result<Step> slice(std::string_view inside) {
    Step step{.kind = Step::Kind::kSlice};
    std::vector<std::string_view> parts = split(inside, ':');
    std::optional<int64_t> stride;
    std::optional<int64_t>* fields[] = {&step.from, &step.to, &stride};
    for (size_t i = 0; i < parts.size() && i < 3; ++i) {
      std::string_view part = trim(parts[i]);
      if (part.empty()) continue;
      *fields[i] = parse_int(part);
      if (!*fields[i]) return Error::invalid("jsonpath: invalid array index {}", inside);
    }
    step.stride = stride.value_or(1);
    if (step.stride < 1) return Error::invalid("jsonpath: step must be > 0");
    return step;
  }

  static Result<Step> indexes(std::string_view inside) {
    Step step{.kind = Step::Kind::kIndexes};
    for (std::string_view part : split(inside, ',')) {
      std::optional<int64_t> index = parse_int(trim(part));
      if (!index) return Error::invalid("jsonpath: invalid array index {}", inside);
      step.indexes.push_back(*index);
    }
    return step;
  }

  Result<Step> filter() {
    ++at_;
    TRY(expect('('));
    skip_spaces();
    Step step{.kind = Step::Kind::kFilter};
    step.left = TRY(path());
    skip_spaces();
    for (const char* op : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (text_.substr(at_).starts_with(op)) {
        step.op = op;
        at_ += step.op.size();
        break;
      }
    }
    skip_spaces();
    if (!step.op.empty()) {
      if (at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) {
        step.literal = json::quote(TRY(quoted()));
      } else if (at_ < text_.size() && (text_[at_] == '@' || text_[at_] == '$')) {
        step.right_is_path = true;
        step.right = TRY(path());
      } else {
        size_t end = text_.find_first_of(") ", at_);
        step.literal =
            std::string(text_.substr(at_, end == std::string_view::npos ? end : end - at_));
        at_ = end == std::string_view::npos ? text_.size() : end;
      }
      skip_spaces();
    }
    TRY(expect(')'));
    TRY(expect(']'));
    return step;
  }

  Result<std::string> quoted() {
    char mark = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != mark) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        ++at_;
        char c = text_[at_++];
        out += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      } else {
        out += text_[at_++];
      }
    }
    if (at_ >= text_.size()) return Error::invalid("jsonpath: unterminated quoted string");
    ++at_;
    return out;
  }

  bool take_word(std::string_view word) {
    std::string_view rest = text_.substr(at_);
    if (!rest.starts_with(word)) return false;
    char next = rest.size() > word.size() ? rest[word.size()] : '}';
    if (next != ' ' && next != '}' && next != '.' && next != '$' && next != '@') return false;
    at_ += word.size();
    return true;
  }

  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }

  Result<void> expect(char c) {
    skip_spaces();
    if (at_ >= text_.size() || text_[at_] != c) {
      return Error::invalid("jsonpath: a '{}' is missing at \"{}\"", c,
                            text_.substr(std::min(at_, text_.size()), 10));
    }
    ++at_;
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
};

void children_of(json::Value value, std::vector<json::Value>& out) {
  for (json::Member member : value.members()) out.push_back(member.value);
  for (json::Value item : value.items()) out.push_back(item);
}

void descend(json::Value value, std::vector<json::Value>& out) {
  out.push_back(value);
  std::vector<json::Value> children;
  children_of(value, children);
  for (json::Value child : children) descend(child, out);
}

std::vector<json::Value> walk(const std::vector<Step>& steps, json::Value from, json::Value root);

bool compare(json::Value left, const std::string& op, json::Value right) {
  if (op == "==") return json::equal(left, right);
  if (op == "!=") return !json::equal(left, right);
  int order = 0;
  if (left.is_number() && right.is_number()) {
    double a = left.as_double(), b = right.as_double();
    order = a < b ? -1 : a > b;
  } else if (left.is_string() && right.is_string()) {
    order = left.as_string().compare(right.as_string());
  } else {
    return false;
  }
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  if (op == ">") return order > 0;
  return order >= 0;
}

bool passes(const Step& step, json::Value item, json::Value root) {
  std::vector<json::Value> left = walk(step.left, item, root);
  if (left.empty()) return false;
  if (step.op.empty()) return true;
  if (step.right_is_path) {
    std::vector<json::Value> right = walk(step.right, item, root);
    return !right.empty() && compare(left[0], step.op, right[0]);
  }
  Result<json::Document> literal = json::Document::parse(step.literal);
  return literal.ok() && compare(left[0], step.op, literal->root());
}

void take_indexes(const Step& step, json::Value value, std::vector<json::Value>& out) {
  int64_t size = static_cast<int64_t>(value.size());
  for (int64_t index : step.indexes) {
    if (index < 0) index += size;
    if (index >= 0 && index < size) out.push_back(value.at(static_cast<size_t>(index)));
  }
}

void take_slice(const Step& step, json::Value value, std::vector<json::Value>& out) {
  int64_t size = static_cast<int64_t>(value.size());
  auto place = [size](int64_t index) {
    return std::min(std::max<int64_t>(index < 0 ? index + size : index, 0), size);
  };
  int64_t end = place(step.to.value_or(size));
  for (int64_t i = place(step.from.value_or(0)); i < end; i += step.stride) {
    out.push_back(value.at(static_cast<size_t>(i)));
  }
}

void take(const Step& step, json::Value value, json::Value root, std::vector<json::Value>& out) {
  switch (step.kind) {
    case Step::Kind::kMember:
      if (step.members.empty()) {
        if (json::Value found = value[step.member]) out.push_back(found);
      }
      for (const std::string& member : step.members) {
        if (json::Value found = value[member]) out.push_back(found);
      }
      return;
    case Step::Kind::kWildcard: return children_of(value, out);
    case Step::Kind::kDescend: return descend(value, out);
    case Step::Kind::kIndexes:
      if (value.is_array()) take_indexes(step, value, out);
      return;
    case Step::Kind::kSlice:
      if (value.is_array()) take_slice(step, value, out);
      return;
    case Step::Kind::kFilter: {
      std::vector<json::Value> items;
      children_of(value, items);
      for (json::Value item : items) {
        if (passes(step, item, root)) out.push_back(item);
      }
      return;
    }
  }
}

std::vector<json::Value> walk(const std::vector<Step>& steps, json::Value from, json::Value root) {
  std::vector<json::Value> here = {from};
  for (const Step& step : steps) {
    std::vector<json::Value> next;
    for (json::Value value : here) take(step, value, root, next);
    here = std::move(next);
  }
  return here;
}

void print_parts(const std::vector<Part>& parts, json::Value here, json::Value root,
                 std::string& out) {
  for (const Part& part : parts) {
    if (part.kind == Part::Kind::kText) {
      out += part.text;
      continue;
    }
    std::vector<json::Value> found = walk(part.path, here, root);
    if (part.kind == Part::Kind::kRange) {
      for (json::Value item : found) print_parts(part.body, item, root, out);
      continue;
    }
    for (size_t i = 0; i < found.size(); ++i) {
      if (i > 0) out += ' ';
      out += plain_text(found[i]);
    }
  }
}

}  // namespace

std::string plain_text(json::Value value) {
  if (!value || value.is_null()) return "";
  return value.is_string() ? std::string(value.as_string()) : value.dump();
}

Result<JsonPath> JsonPath::parse(std::string_view text, bool relaxed) {
  std::string wrapped;
  if (relaxed && text.find('{') == std::string_view::npos) {
    wrapped = "{" + std::string(text.starts_with('.') || text.starts_with('[') ? "" : ".") +
              std::string(text) + "}";
    text = wrapped;
  }
  JsonPath path;
  path.parts_ = TRY(Parser(text).parts(false));
  return path;
}

std::string JsonPath::print(json::Value root) const {
  std::string out;
  print_parts(parts_, root, root, out);
  return out;
}

std::vector<json::Value> JsonPath::find(json::Value root) const {
  for (const Part& part : parts_) {
    if (part.kind == Part::Kind::kPath) return walk(part.path, root, root);
  }
  return {};
}

}  // namespace wherry::command::kubectl
