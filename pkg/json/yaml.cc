#include "json/yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/encoding.h"
#include "base/strings.h"
#include "json/yaml_scalar.h"

namespace wherry::json {
namespace {

constexpr int kDepthMax = 400;
// What aliases may multiply a text to. Without them no text comes near.
constexpr size_t kAliasedNodesMax = 400'000;
constexpr size_t kAliasedBytesMax = 16 << 20;

constexpr std::string_view kMergeKey = "<<";
constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

// One document to JSON text.
class Converter {
 public:
  explicit Converter(size_t text_bytes)
      : nodes_left_(text_bytes + kAliasedNodesMax),
        bytes_left_(2 * text_bytes + kAliasedBytesMax) {}

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
      TRY(value(item, depth + 1));
    }
    out_ += ']';
    return {};
  }

  Result<void> mapping(const YAML::Node& node, int depth) {
    std::vector<Entry> entries;
    TRY(collect(node, depth, entries));
    out_ += '{';
    bool first = true;
    for (const Entry& entry : entries) {
      if (!std::exchange(first, false)) out_ += ',';
      out_ += quote(entry.key);
      out_ += ':';
      TRY(value(entry.value, depth + 1));
    }
    out_ += '}';
    return {};
  }

  // A mapping's own entries, then what it merges that it does not set itself.
  Result<void> collect(const YAML::Node& node, int depth, std::vector<Entry>& entries) {
    if (depth > kDepthMax) return Error::bad_request("yaml: exceeded max depth of {}", kDepthMax);
    std::unordered_set<std::string> seen;
    std::vector<YAML::Node> merges;
    for (const auto& pair : node) {
      if (pair.first.IsScalar() && pair.first.Tag() == "?" && pair.first.Scalar() == kMergeKey) {
        merges.push_back(pair.second);
        continue;
      }
      std::string key = TRY(key_text(pair.first));
      if (!seen.insert(key).second) {
        duplicates_.push_back(fmt::format("line {}: key {} already set in map", line_of(pair.first),
                                          wherry::quote(key)));
        auto same = [&key](const Entry& entry) { return entry.key == key; };
        std::find_if(entries.begin(), entries.end(), same)->value = pair.second;
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
                          std::unordered_set<std::string>& seen) {
    std::vector<Entry> theirs;
    TRY(collect(source, depth + 1, theirs));
    if (theirs.size() > nodes_left_)
      return Error::bad_request("yaml: document contains excessive aliasing");
    nodes_left_ -= theirs.size();
    for (Entry& entry : theirs) {
      if (seen.insert(entry.key).second) entries.push_back(std::move(entry));
    }
    return {};
  }

  Result<std::string> key_text(const YAML::Node& key) const {
    if (!key.IsScalar())
      return Error::bad_request("yaml: line {}: unsupported map key", line_of(key));
    Scalar resolved = TRY(resolve(key));
    if (resolved.kind == ScalarKind::kNull || resolved.kind == ScalarKind::kNotFinite) {
      return Error::bad_request("yaml: line {}: unsupported map key", line_of(key));
    }
    return std::move(resolved.text);
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
      return Error::bad_request("yaml: line {}: cannot decode {} as a !!{}", line_of(node),
                                wherry::quote(text), type);
    }
    if (type == "binary") {
      std::optional<std::string> bytes = base64_decode(text);
      if (!bytes) return Error::bad_request("yaml: !!binary value contains invalid base64 data");
      return Scalar{ScalarKind::kString, std::move(*bytes)};
    }
    return Scalar{ScalarKind::kString, text};
  }

  Result<void> scalar(const YAML::Node& node) {
    Scalar resolved = TRY(resolve(node));
    if (resolved.kind == ScalarKind::kNotFinite) {
      return Error::bad_request("yaml: line {}: {} is not a JSON number", line_of(node),
                                node.Scalar());
    }
    out_ += resolved.kind == ScalarKind::kString ? quote(resolved.text) : resolved.text;
    return {};
  }

  size_t nodes_left_;
  const size_t bytes_left_;
  std::string out_;
  std::vector<std::string> duplicates_;
};

Result<Document> to_document(const YAML::Node& node, size_t text_bytes,
                             std::vector<std::string>* repeated = nullptr) {
  std::string json = TRY(Converter(text_bytes).convert(node, repeated));
  return Document::parse(json);
}

// What our parser finds wrong in the words of libyaml, which those of Kubernetes are and clients
// know. It leaves the first line's number out. Empty: there are no such words.
std::string in_known_words(const YAML::Exception& exception, std::string_view text) {
  const int line = exception.mark.line;
  auto scanner = [line](std::string_view what) {
    return line == 0 ? std::string(what) : fmt::format("line {}: {}", line + 1, what);
  };
  const std::string& message = exception.msg;
  std::string_view rest = text.substr(std::min(text.size(), size_t(exception.mark.pos)));
  // The end of the text counts as one more line.
  const auto lines = std::count(text.begin(), text.end(), '\n') + (text.ends_with('\n') ? 0 : 1);
  auto at_end = [lines](std::string_view what) { return fmt::format("line {}: {}", lines, what); };
  std::string_view done = trim(text);
  const char last = done.empty() ? '\0' : done.back();
  if (message == YAML::ErrorMsg::MAP_VALUE) {
    std::string_view so_far = text.substr(0, text.size() - rest.size());
    std::string_view in_line = so_far.substr(so_far.rfind('\n') + 1);
    if (in_line.find_first_not_of(" \t") != std::string_view::npos && in_line.front() == '\t')
      return scanner("found character that cannot start any token");
    return scanner("mapping values are not allowed in this context");
  }
  if (message == YAML::ErrorMsg::UNKNOWN_TOKEN)
    return scanner("found character that cannot start any token");
  if (message == YAML::ErrorMsg::YAML_MAJOR_VERSION)
    return scanner("found incompatible YAML document");
  if (message == YAML::ErrorMsg::EOF_IN_SCALAR) return scanner("found unexpected end of stream");
  if (message == YAML::ErrorMsg::END_OF_SEQ_FLOW || message == YAML::ErrorMsg::END_OF_MAP_FLOW) {
    if (last == '[' || last == '{' || last == ',' || last == ':')
      return at_end("did not find expected node content");
    return at_end(message == YAML::ErrorMsg::END_OF_SEQ_FLOW ? "did not find expected ',' or ']'"
                                                             : "did not find expected ',' or '}'");
  }
  return {};
}

// yaml-cpp throws; its exceptions end here.
template <typename Load>
auto guarded(std::string_view text, Load load) -> Result<decltype(load())> {
  try {
    return load();
  } catch (const YAML::Exception& exception) {
    if (exception.mark.is_null()) return Error::bad_request("yaml: {}", exception.msg);
    if (std::string known = in_known_words(exception, text); !known.empty())
      return Error::bad_request("yaml: {}", known);
    return Error::bad_request("yaml: line {}: {}", exception.mark.line + 1, exception.msg);
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
  YAML::Node root = TRY(guarded(text, [&] { return YAML::Load(std::string(text)); }));
  Result<Result<Document>> document =
      guarded(text, [&] { return to_document(root, text.size(), repeated); });
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
  std::vector<YAML::Node> roots =
      TRY(guarded(text, [&] { return YAML::LoadAll(std::string(text)); }));
  for (const YAML::Node& root : roots) {
    Result<Result<Document>> converted =
        guarded(text, [&] { return to_document(root, text.size()); });
    Result<Document> document = TRY(std::move(converted));
    Document done = TRY(std::move(document));
    if (!done.root().is_null()) documents.push_back(std::move(done));
  }
  return documents;
}

}  // namespace wherry::json
