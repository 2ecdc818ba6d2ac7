#include "json/yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/encoding.h"
#include "base/strings.h"
#include "json/yaml_fault.h"
#include "json/yaml_scalar.h"
#include "json/yaml_text.h"

namespace wherry::json {
namespace {

constexpr int kDepthMax = 400;
// What aliases may multiply a text to. Without them no text comes near.
constexpr size_t kAliasedNodesMax = 400'000;
constexpr size_t kAliasedBytesMax = 16 << 20;

constexpr std::string_view kMergeKey = "<<";
constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

size_t line_from_0(const YAML::Node& node) { return size_t(std::max(node.Mark().line, 0)); }
size_t line_of(const YAML::Node& node) { return line_from_0(node) + 1; }

// One document to JSON text.
class Converter {
 public:
  explicit Converter(const YamlText& text)
      : text_(text.text),
        nodes_left_(text_.size() + kAliasedNodesMax),
        bytes_left_(2 * text_.size() + kAliasedBytesMax) {}

  Result<std::string> convert(const YAML::Node& root, std::vector<std::string>* repeated) {
    TRY(value(root, 0));
    if (repeated != nullptr) {
      *repeated = std::move(duplicates_);
    } else if (!duplicates_.empty()) {
      return Error::bad_request("yaml: unmarshal errors:\n  {}", join(duplicates_, "\n  "));
    }
    return std::move(out_);
  }

 private:
  struct Entry {
    std::string key;
    YAML::Node value;
    bool merged = false;
  };

  Result<void> value(const YAML::Node& node, int depth) {
    if (depth > kDepthMax) return Error::bad_request("yaml: exceeded max depth of {}", kDepthMax);
    if (nodes_left_-- == 0 || out_.size() > bytes_left_) {
      return Error::bad_request("yaml: document contains excessive aliasing");
    }
    if (!node.Mark().is_null()) TRY(check_yaml_node(text_, static_cast<size_t>(node.Mark().pos)));
    switch (node.Type()) {
      case YAML::NodeType::Sequence: return sequence(node, depth);
      case YAML::NodeType::Map: return mapping(node, depth);
      case YAML::NodeType::Scalar: return scalar(node);
      default: out_ += "null"; return {};
    }
  }

  Result<void> sequence(const YAML::Node& node, int depth) {
    out_ += '[';
    bool first = true;
    for (const YAML::Node& item : node) {
      if (!std::exchange(first, false)) out_ += ',';
      if (item.IsNull() && at(item) == ',')
        return yaml_parser_error(line_from_0(item), "did not find expected node content");
      TRY(value(item, depth + 1));
    }
    out_ += ']';
    return {};
  }

  Result<void> mapping(const YAML::Node& node, int depth) {
    std::vector<Entry> entries;
    TRY(collect(node, depth, entries));
    // What becomes of a map in Go on its way to JSON; faults are told in this order.
    std::vector<const Entry*> sorted;  // A node that is assigned to changes what it stood for.
    for (const Entry& entry : entries) sorted.push_back(&entry);
    std::ranges::sort(sorted, {}, &Entry::key);
    out_ += '{';
    bool first = true;
    for (const Entry* entry : sorted) {
      if (!std::exchange(first, false)) out_ += ',';
      out_ += quote(entry->key);
      out_ += ':';
      TRY(value(entry->value, depth + 1));
    }
    out_ += '}';
    return {};
  }

  // A mapping's own entries, then what it merges that it does not set itself.
  Result<void> collect(const YAML::Node& node, int depth, std::vector<Entry>& entries) {
    if (depth > kDepthMax) return Error::bad_request("yaml: exceeded max depth of {}", kDepthMax);
    std::unordered_map<std::string, size_t> seen;  // Where in `entries`.
    std::set<std::pair<ScalarKind, std::string>> typed;
    std::vector<YAML::Node> merges;
    for (const auto& pair : node) {
      if (pair.first.IsScalar() && pair.first.Tag() == "?" && pair.first.Scalar() == kMergeKey) {
        merges.push_back(pair.second);
        continue;
      }
      TRY(check_colon(node, pair.first, pair.second));
      Scalar name = TRY(key_scalar(node, pair.first));
      // A number and a string that reads like it are two keys, of which one remains.
      const bool twice = !typed.emplace(name.kind, name.text).second;
      if (twice) {
        duplicates_.push_back(
            fmt::format("line {}: key {} already set in map", line_of(pair.first),
                        name.kind == ScalarKind::kString ? wherry::quote(name.text) : name.text));
      }
      std::string& key = name.text;
      if (auto [place, fresh] = seen.emplace(key, entries.size()); !fresh) {
        entries[place->second].value.reset(pair.second);
        continue;
      }
      entries.push_back({std::move(key), pair.second});
    }
    for (const YAML::Node& merge : merges) {
      if (merge.IsMap()) {
        TRY(merge_from(merge, depth, entries, seen));
      } else if (merge.IsSequence()) {
        for (const YAML::Node& item : merge) {
          if (!item.IsMap())
            return Error::bad_request(
                "yaml: map merge requires map or sequence of maps as the value");
          TRY(merge_from(item, depth, entries, seen));
        }
      } else {
        return Error::bad_request("yaml: map merge requires map or sequence of maps as the value");
      }
    }
    return {};
  }

  Result<void> merge_from(const YAML::Node& source, int depth, std::vector<Entry>& entries,
                          std::unordered_map<std::string, size_t>& seen) {
    std::vector<Entry> theirs;
    TRY(collect(source, depth + 1, theirs));
    if (theirs.size() > nodes_left_)
      return Error::bad_request("yaml: document contains excessive aliasing");
    nodes_left_ -= theirs.size();
    for (Entry& entry : theirs) {
      if (seen.emplace(entry.key, entries.size()).second) entries.push_back(std::move(entry));
    }
    return {};
  }

  // The character that a node begins with, 0 behind the end.
  char at(const YAML::Node& node) const {
    auto pos = static_cast<size_t>(node.Mark().pos);
    return pos < text_.size() ? text_[pos] : '\0';
  }

  // yaml-cpp takes a line of a block mapping that is no key: "a: 1\nb\n". Its value then stands
  // where the key does.
  Result<void> check_colon(const YAML::Node& map, const YAML::Node& key,
                           const YAML::Node& value) const {
    if (map.Style() == YAML::EmitterStyle::Flow || !key.IsScalar() || !value.IsNull() ||
        key.Mark().is_null() || value.Mark().pos != key.Mark().pos) {
      return {};
    }
    return yaml_missing_colon(text_, static_cast<size_t>(key.Mark().pos));
  }

  Result<Scalar> key_scalar(const YAML::Node& map, const YAML::Node& key) const {
    if (!key.Mark().is_null()) TRY(check_yaml_node(text_, static_cast<size_t>(key.Mark().pos)));
    if (key.IsNull() && std::string_view("~nN").find(at(key)) == std::string_view::npos) {
      return yaml_parser_error(line_from_0(key), map.Style() == YAML::EmitterStyle::Flow
                                                     ? "did not find expected node content"
                                                     : "did not find expected key");
    }
    if (!key.IsScalar())
      return Error::bad_request("yaml: line {}: unsupported map key", line_of(key));
    Scalar resolved = TRY(resolve(key));
    if (resolved.kind == ScalarKind::kNull)
      return Error::bad_request("yaml: line {}: unsupported map key", line_of(key));
    return resolved;
  }

  // By its tag: "?" a plain scalar, "!" a quoted one, else what the author says.
  static Result<Scalar> resolve(const YAML::Node& node) {
    const std::string& tag = node.Tag();
    const std::string& text = node.Scalar();
    std::string_view type = tag;
    if (type.starts_with(kTagPrefix)) type.remove_prefix(kTagPrefix.size());
    if (tag.empty() || tag == "?") return resolve_scalar(text);
    if (type == "int" || type == "float" || type == "bool" || type == "null") {
      Scalar resolved = resolve_scalar(text);
      ScalarKind wanted = type == "bool"   ? ScalarKind::kBool
                          : type == "null" ? ScalarKind::kNull
                                           : ScalarKind::kNumber;
      if (resolved.kind == wanted) return resolved;
      return Error::bad_request("yaml: cannot decode !!str `{}` as a !!{}", text, type);
    }
    if (type == "binary") {
      std::optional<std::string> bytes = base64_decode(text);
      if (!bytes) return Error::bad_request("yaml: !!binary value contains invalid base64 data");
      return Scalar{ScalarKind::kString, std::move(*bytes)};
    }
    return Scalar{ScalarKind::kString, with_whole_characters(text)};
  }

  Result<void> scalar(const YAML::Node& node) {
    // yaml-cpp takes a quote with nothing at all behind it.
    if ((at(node) == '"' || at(node) == '\'') && size_t(node.Mark().pos) + 1 == text_.size())
      return yaml_scanner_error(line_from_0(node), "found unexpected end of stream");
    Scalar resolved = TRY(resolve(node));
    if (resolved.kind == ScalarKind::kNotFinite) {
      return Error::bad_request("json: unsupported value: {}", resolved.text == ".inf"    ? "+Inf"
                                                               : resolved.text == "-.inf" ? "-Inf"
                                                                                          : "NaN");
    }
    out_ += resolved.kind == ScalarKind::kString ? quote(resolved.text) : resolved.text;
    return {};
  }

  std::string_view text_;
  size_t nodes_left_;
  const size_t bytes_left_;
  std::string out_;
  std::vector<std::string> duplicates_;
};

Result<Document> to_document(const YAML::Node& node, const YamlText& text,
                             std::vector<std::string>* repeated = nullptr) {
  std::string json = TRY(Converter(text).convert(node, repeated));
  return Document::parse(json);
}

// yaml-cpp throws; its exceptions end here.
template <typename Load>
auto guarded(const YamlText& text, Load load) -> Result<decltype(load())> {
  try {
    return load();
  } catch (const YAML::Exception& exception) {
    return yaml_error(exception, text);
  }
}

bool looks_like_json(std::string_view text) {
  std::string_view trimmed = trim(text);
  return !trimmed.empty() && (trimmed.front() == '{' || trimmed.front() == '[');
}

}  // namespace

Result<Document> parse_yaml(std::string_view text, std::vector<std::string>* repeated) {
  if (looks_like_json(text)) {
    if (Result<Document> document = Document::parse(text); document.ok()) return document;
  }
  YamlText prepared = TRY(prepare_yaml(text));
  YAML::Node root = TRY(guarded(prepared, [&] { return YAML::Load(prepared.text); }));
  Result<Result<Document>> document =
      guarded(prepared, [&] { return to_document(root, prepared, repeated); });
  return TRY(std::move(document));
}

Result<std::vector<Document>> parse_yaml_stream(std::string_view text) {
  std::vector<Document> documents;
  if (looks_like_json(text)) {
    if (Result<Document> document = Document::parse(text); document.ok()) {
      documents.push_back(std::move(*document));
      return documents;
    }
  }
  YamlText prepared = TRY(prepare_yaml(text));
  std::vector<YAML::Node> roots =
      TRY(guarded(prepared, [&] { return YAML::LoadAll(prepared.text); }));
  for (const YAML::Node& root : roots) {
    Result<Result<Document>> converted =
        guarded(prepared, [&] { return to_document(root, prepared); });
    Result<Document> document = TRY(std::move(converted));
    Document done = TRY(std::move(document));
    if (!done.root().is_null()) documents.push_back(std::move(done));
  }
  return documents;
}

}  // namespace wherry::json
