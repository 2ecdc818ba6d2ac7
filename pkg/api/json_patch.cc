// JSON patch and JSON merge patch. Spec: RFC 6902, RFC 7396. Where upstream's library departs from
// the RFC (a path without its leading slash, "replace" of a missing member, negative indexes,
// "copy" from a missing member) clients have come to rely on it, so we do the same.

#include <algorithm>

#include "api/patch.h"
#include "api/status.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

// Upstream tells clients no more than this about a patch that does not fit the object.
Error unfit() {
  return Error::invalid("the server rejected our request due to an error in our request");
}

Error undecodable(json::Value patch, std::string_view wanted) {
  return Error::bad_request(
      "error decoding patch: json: cannot unmarshal {} into Go value of type {}",
      json::type_name(patch.type()), wanted);
}

using Pointer = std::vector<std::string>;

// What stands before the first slash is ignored.
Pointer parse_pointer(std::string_view text) {
  Pointer out;
  std::vector<std::string_view> parts = split(text, '/');
  for (size_t i = 1; i < parts.size(); ++i) {
    out.push_back(replace_all(replace_all(parts[i], "~1", "/"), "~0", "~"));
  }
  return out;
}

// Where `key` points in an array of `size` places; empty when outside.
std::optional<size_t> array_index(std::string_view key, size_t size) {
  std::optional<int64_t> index = parse_int(key);
  if (!index) return std::nullopt;
  if (*index < 0) *index += static_cast<int64_t>(size);
  if (*index < 0 || *index >= static_cast<int64_t>(size)) return std::nullopt;
  return static_cast<size_t>(*index);
}

json::Node child_of(json::Node container, std::string_view key) {
  if (container.is_object()) return container[key];
  if (!container.is_array()) return {};
  std::optional<size_t> index = array_index(key, container.size());
  return index ? container.at(*index) : json::Node();
}

// The container that the last step of the pointer is about; absent when there is none.
json::Node container_of(json::Node root, const Pointer& pointer) {
  json::Node at = root;
  for (size_t i = 0; i + 1 < pointer.size() && at; ++i) at = child_of(at, pointer[i]);
  return at.is_object() || at.is_array() ? at : json::Node();
}

class JsonPatcher {
 public:
  explicit JsonPatcher(json::Value original) : draft_(original) {}

  Result<void> run(json::Value operation) {
    std::string_view op = operation["op"].as_string();
    if (!operation["path"].is_string()) return unfit();
    Pointer path = parse_pointer(operation["path"].as_string());
    if (path.empty()) return run_on_root(op, operation);
    json::Node container = container_of(draft_.root(), path);
    if (!container) return unfit();
    const std::string& key = path.back();
    if (op == "test") return test(child_of(container, key), operation["value"]);
    if (op == "add") return add(container, key, draft_.make(or_null(operation["value"])));
    if (op == "replace") return replace(container, key, operation["value"]);
    if (op == "remove") return remove(container, key);
    if (op == "move" || op == "copy") return transfer(op == "move", operation, path);
    return unfit();
  }

  json::Draft finish() && { return std::move(draft_); }

 private:
  json::Value or_null(json::Value value) const { return value ? value : null_.root(); }

  // The whole document can be compared or replaced by another object, nothing else.
  Result<void> run_on_root(std::string_view op, json::Value operation) {
    json::Value value = operation["value"];
    if (op == "test") return test(draft_.root(), value);
    if ((op != "add" && op != "replace") || !value.is_object()) return unfit();
    draft_.root().assign(value);
    return {};
  }

  Result<void> test(json::Node actual, json::Value wanted) const {
    bool want_null = !wanted || wanted.is_null();
    if (!actual) {
      if (want_null) return {};
      return unfit();
    }
    if (want_null ? actual.is_null() : json::equal(actual, draft_.make(wanted))) return {};
    return unfit();
  }

  Result<void> add(json::Node container, const std::string& key, json::Node value) const {
    if (container.is_object()) {
      container.set(key, value);
      return {};
    }
    std::optional<size_t> index =
        key == "-" ? container.size() : array_index(key, container.size() + 1);
    if (!index) return unfit();
    container.insert(*index, value);
    return {};
  }

  Result<void> replace(json::Node container, const std::string& key, json::Value value) const {
    if (container.is_object()) {
      container.set(key, or_null(value));
      return {};
    }
    json::Node there = child_of(container, key);
    if (!there) return unfit();
    there.assign(or_null(value));
    return {};
  }

  static Result<void> remove(json::Node container, const std::string& key) {
    if (container.is_object()) {
      if (!container.remove(key)) return unfit();
      return {};
    }
    std::optional<size_t> index = array_index(key, container.size());
    if (!index || !container.remove_at(*index)) return unfit();
    return {};
  }

  Result<void> transfer(bool moves, json::Value operation, const Pointer& path) {
    if (!operation["from"].is_string()) return unfit();
    Pointer from = parse_pointer(operation["from"].as_string());
    if (from.empty()) return unfit();
    json::Node source = container_of(draft_.root(), from);
    if (!source) return unfit();
    json::Node there = child_of(source, from.back());
    if (!there && (moves || source.is_array())) return unfit();
    json::Draft value = there ? json::Draft(there) : json::Draft(null_.root());
    if (moves) {
      TRY(remove(source, from.back()));
    } else {
      copied_bytes_ += value.dump().size();
      if (copied_bytes_ > kPatchGrowthBytesMax) return unfit();
    }
    json::Node target = container_of(draft_.root(), path);
    if (!target) return unfit();
    return add(target, path.back(), value.root());
  }

  json::Draft draft_;
  json::Document null_ = json::Document::parse("null").value();
  size_t copied_bytes_ = 0;
};

void merge_into(json::Node target, json::Value patch) {
  for (auto [key, value] : patch.members()) {
    if (value.is_null()) {
      target.remove(key);
    } else if (!value.is_object()) {
      target.set(key, value);
    } else {
      merge_into(target.ensure_object(key), value);
    }
  }
}

}  // namespace

Result<json::Draft> json_patch(json::Value original, json::Value patch) {
  if (!patch.is_array()) return undecodable(patch, "[]handlers.jsonPatchOp");
  if (patch.size() > kPatchOperationsMax) {
    return too_large(fmt::format("The allowed maximum operations in a JSON patch is {}, got {}",
                                 kPatchOperationsMax, patch.size()));
  }
  for (json::Value operation : patch.items()) {
    if (!operation.is_object()) return undecodable(operation, "handlers.jsonPatchOp");
  }
  JsonPatcher patcher(original);
  for (json::Value operation : patch.items()) TRY(patcher.run(operation));
  return std::move(patcher).finish();
}

Result<json::Draft> merge_patch(json::Value original, json::Value patch) {
  if (!patch.is_object()) return undecodable(patch, "map[string]interface {}");
  json::Draft draft(original);
  merge_into(draft.root(), patch);
  return draft;
}

}  // namespace wherry::api
