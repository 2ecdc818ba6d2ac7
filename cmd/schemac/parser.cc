#include "parser.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "base/strings.h"
#include "json/json.h"

namespace wherry::schemac {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kScalars = {{
    {"string", "kString"},
    {"bool", "kBool"},
    {"int32", "kInt32"},
    {"int64", "kInt64"},
    {"double", "kDouble"},
    {"bytes", "kBytes"},
    {"Time", "kTime"},
    {"MicroTime", "kMicroTime"},
    {"Duration", "kDuration"},
    {"Quantity", "kQuantity"},
    {"IntOrString", "kIntOrString"},
    {"any", "kAny"},
    {"FieldsV1", "kFieldsV1"},
    {"verbs", "kVerbs"},
}};

struct Line {
  std::vector<std::string> words;
  std::string description;  // The quoted string at the end.
};

// Splits at spaces outside quotes. The last word, when quoted as a whole, is the description.
Result<Line> split_line(std::string_view text, bool keep_quoted) {
  Line line;
  size_t at = 0;
  while (at < text.size()) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    size_t start = at;
    bool quoted = false;
    while (at < text.size() && (quoted || text[at] != ' ')) {
      if (quoted && text[at] == '\\') ++at;
      if (at < text.size() && text[at] == '"') quoted = !quoted;
      ++at;
    }
    if (quoted) return Error::invalid("a quote is not closed");
    line.words.emplace_back(text.substr(start, at - start));
  }
  if (!keep_quoted && !line.words.empty() && line.words.back().front() == '"') {
    json::Document document = TRY(json::Document::parse(line.words.back()));
    line.description = document.root().as_string();
    line.words.pop_back();
  }
  return line;
}

Result<std::string> unquote(const std::string& word) {
  json::Document document = TRY(json::Document::parse(word));
  if (!document.root().is_string()) return Error::invalid("{} is not a quoted string", word);
  return std::string(document.root().as_string());
}

std::string qualify(const Package& package, std::string_view name) {
  if (name.find('.') != std::string_view::npos) return std::string(name);
  return package.name + "." + std::string(name);
}

Type parse_type(const Package& package, std::string_view text) {
  Type type;
  if (text.starts_with("[]")) {
    type.kind = "kList";
    type.element = std::make_unique<Type>(parse_type(package, text.substr(2)));
    return type;
  }
  if (text.starts_with("map[") && text.ends_with("]")) {
    type.kind = "kMap";
    type.element = std::make_unique<Type>(parse_type(package, text.substr(4, text.size() - 5)));
    return type;
  }
  for (const auto& [name, kind] : kScalars) {
    if (text == name) {
      type.kind = kind;
      return type;
    }
  }
  type.kind = "kStruct";
  type.structure = qualify(package, text);
  return type;
}

Result<void> parse_option(const Package& package, std::string_view word, Field& field) {
  std::string_view name = word.substr(0, word.find('='));
  std::string_view value = name.size() == word.size() ? "" : word.substr(name.size() + 1);
  const std::pair<std::string_view, bool*> flags[] = {
      {"required", &field.required},
      {"always", &field.always},
      {"omitempty", &field.omitempty},
      {"omitzero", &field.omitzero},
      {"atomic", &field.atomic},
      {"granular", &field.granular},
      {"set", &field.set},
      {"merge", &field.merge},
      {"retainkeys", &field.retain_keys},
      {"discriminator", &field.discriminator},
      {"replace", &field.replace},
  };
  for (const auto& [flag, target] : flags) {
    if (name != flag) continue;
    *target = true;
    if (flag == "merge") field.merge_key = value;
    return {};
  }
  if (name == "key") {
    for (std::string_view key : split(value, ',')) field.map_keys.emplace_back(key);
  } else if (name == "default") {
    TRY(json::Document::parse(value));
    field.default_json = value;
  } else if (name == "enum") {
    field.enum_name = qualify(package, value);
  } else if (name == "min" || name == "max") {
    std::optional<int64_t> number = parse_int(value);
    if (!number) return Error::invalid("{} wants a number", name);
    (name == "min" ? field.minimum : field.maximum) = *number;
    (name == "min" ? field.has_minimum : field.has_maximum) = true;
  } else {
    return Error::invalid("unknown word {}", word);
  }
  return {};
}

Result<Field> parse_field(const Package& package, Line line) {
  if (line.words.size() < 3) return Error::invalid("a field needs a name, a type and a number");
  Field field;
  field.description = std::move(line.description);
  if (line.words[0] != "...") field.name = line.words[0];
  std::string_view type = line.words[1];
  if (type.starts_with("*")) {
    field.pointer = true;
    type.remove_prefix(1);
  }
  field.type = parse_type(package, type);
  std::optional<int64_t> number = parse_int(line.words[2]);
  if (!number || *number < 0 || *number >= (1 << 29)) {
    return Error::invalid("{} is not a protobuf number", line.words[2]);
  }
  field.number = static_cast<uint32_t>(*number);
  for (size_t i = 3; i < line.words.size(); ++i) TRY(parse_option(package, line.words[i], field));
  return field;
}

// One source, fed line by line.
class Source {
 public:
  explicit Source(std::string path) : path_(std::move(path)), package_(new Package) {}

  Result<void> feed(std::string_view text, int number) {
    if (trim(text).empty() || text.front() == '#') return {};
    if (text.front() == ' ') {
      if (current_ == nullptr) return Error::invalid("a field outside a struct");
      current_->fields.push_back(TRY(parse_field(*package_, TRY(split_line(text, false)))));
      return {};
    }
    Line line = TRY(split_line(text, text.starts_with("enum") || text.starts_with("group")));
    return statement(std::move(line), number);
  }

  std::unique_ptr<Package> finish() { return std::move(package_); }

 private:
  Result<void> statement(Line line, int number) {
    const std::vector<std::string>& words = line.words;
    if (words.size() < 2) return Error::invalid("{} wants more words", words[0]);
    if (words[0] == "package") {
      package_->name = words[1];
    } else if (words[0] == "definitions") {
      package_->definitions = words[1];
    } else if (words[0] == "group" && words.size() == 3) {
      package_->group = TRY(unquote(words[1]));
      package_->version = words[2];
    } else if (words[0] == "enum") {
      std::vector<std::string>& values = package_->enums[words[1]];
      for (size_t i = 2; i < words.size(); ++i) values.push_back(TRY(unquote(words[i])));
    } else if (words[0] == "struct") {
      return start_struct(std::move(line), number);
    } else {
      return Error::invalid("unknown statement {}", words[0]);
    }
    return {};
  }

  Result<void> start_struct(Line line, int number) {
    auto made = std::make_unique<Struct>();
    made->package = package_.get();
    made->name = line.words[1];
    made->description = std::move(line.description);
    made->where = path_ + ":" + std::to_string(number);
    for (size_t i = 2; i < line.words.size(); ++i) {
      if (line.words[i] == "object") {
        made->object = true;
      } else if (line.words[i] == "atomic") {
        made->atomic = true;
      } else if (line.words[i] == "choice") {
        made->choice = true;
      } else {
        return Error::invalid("unknown word {}", line.words[i]);
      }
    }
    current_ = made.get();
    package_->structs.push_back(std::move(made));
    return {};
  }

  std::string path_;
  std::unique_ptr<Package> package_;
  Struct* current_ = nullptr;
};

Result<std::unique_ptr<Package>> read_source(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Error::not_found("cannot read {}", path);
  Source source(path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    Result<void> fed = source.feed(line, number);
    if (!fed.ok()) {
      return std::move(fed).error().with_prefix(path + ":" + std::to_string(number));
    }
  }
  return source.finish();
}

Result<void> link(const Model& model, Type& type) {
  if (type.element) return link(model, *type.element);
  if (type.structure.empty()) return {};
  type.target = model.find(type.structure);
  if (type.target == nullptr) return Error::invalid("there is no struct {}", type.structure);
  // A choice is any JSON to whoever does not look into it.
  if (type.target->choice) type.kind = "kAny";
  return {};
}

Result<void> link_struct(const Model& model, Struct& made) {
  for (Field& field : made.fields) {
    TRY(link(model, field.type));
    if (field.name.empty() && field.type.target == nullptr) {
      return Error::invalid("only a struct can be inlined");
    }
    if (!field.enum_name.empty() && model.find_enum(field.enum_name) == nullptr) {
      return Error::invalid("there is no enum {}", field.enum_name);
    }
  }
  return {};
}

}  // namespace

const Struct* Model::find(const std::string& qualified) const {
  for (const auto& package : packages) {
    for (const auto& made : package->structs) {
      if (qualified == package->name + "." + made->name) return made.get();
    }
  }
  return nullptr;
}

const std::vector<std::string>* Model::find_enum(const std::string& qualified) const {
  for (const auto& package : packages) {
    for (const auto& [name, values] : package->enums) {
      if (qualified == package->name + "." + name) return &values;
    }
  }
  return nullptr;
}

Result<Model> parse(const std::vector<std::string>& paths) {
  Model model;
  for (const std::string& path : paths) {
    model.packages.push_back(TRY(read_source(path)));
  }
  std::sort(model.packages.begin(), model.packages.end(),
            [](const auto& a, const auto& b) { return a->name < b->name; });
  for (const auto& package : model.packages) {
    for (const auto& made : package->structs) {
      Result<void> linked = link_struct(model, *made);
      if (!linked.ok()) return std::move(linked).error().with_prefix(made->where);
    }
  }
  return model;
}

}  // namespace wherry::schemac
