#include "api/object.h"

#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kVersionMember = "\"resourceVersion\":\"";

// The text of a JSON string within `json`, found as the quoted literal from `from` on. Names,
// labels and the like hold no characters that JSON escapes, so the literal is the text.
struct Locator {
  std::string_view json;

  std::pair<uint32_t, uint32_t> span(std::string_view text, size_t from = 0) const {
    if (text.empty()) return {0, 0};
    std::string literal = json::quote(text);
    size_t at = json.find(literal, from);
    if (at == std::string_view::npos) return {0, 0};
    return {static_cast<uint32_t>(at + 1), static_cast<uint32_t>(literal.size() - 2)};
  }
};

}  // namespace

Result<Unstamped> unstamped(json::Value object) {
  json::Value metadata = object["metadata"];
  if (!metadata.is_object()) return Error::invalid("object has no metadata");
  json::Draft draft(json::Value{});
  json::Node root = draft.root();
  root.set("kind", object["kind"]);
  root.set("apiVersion", object["apiVersion"]);
  json::Node head = root.set_object("metadata");
  // What identifies the object comes first, before anything a user may choose freely, so that the
  // first "resourceVersion" in the bytes is the object's own.
  for (std::string_view key : {"name", "generateName", "namespace", "uid"}) {
    head.set(key, metadata[key]);
  }
  head.set("resourceVersion", "");
  for (auto [key, value] : metadata.members()) {
    if (key != "resourceVersion" && !head[key]) head.set(key, value);
  }
  for (auto [key, value] : object.members()) {
    if (!root[key]) root.set(key, value);
  }
  Unstamped out;
  out.json = draft.dump();
  size_t at = out.json.find("\"resourceVersion\":\"\"");
  CHECK(at != std::string::npos);
  out.version_at = at + kVersionMember.size();
  return out;
}

Result<ObjectPtr> Object::stamp(Unstamped object, Revision revision) {
  object.json.insert(object.version_at, std::to_string(revision));
  return parse(std::move(object.json));
}

Result<ObjectPtr> Object::parse(std::string json) {
  json.shrink_to_fit();
  std::shared_ptr<Object> object(new Object());
  object->json_ = std::move(json);
  json::Document document = TRY(json::Document::parse(object->json_));
  TRY(object->index(document.root()));
  return ObjectPtr(std::move(object));
}

Result<void> Object::index(json::Value root) {
  json::Value metadata = root["metadata"];
  if (!metadata.is_object()) return Error::invalid("object has no metadata");
  Locator locator{json_};
  auto locate = [&locator](json::Value value, size_t from) {
    auto [at, size] = locator.span(value.as_string(), from);
    return Span{at, size};
  };
  size_t metadata_at = json_.find("\"metadata\":");
  kind_ = locate(root["kind"], 0);
  api_version_ = locate(root["apiVersion"], 0);
  name_ = locate(metadata["name"], metadata_at);
  ns_ = locate(metadata["namespace"], metadata_at);
  uid_ = locate(metadata["uid"], metadata_at);
  revision_ = parse_int(metadata["resourceVersion"].as_string()).value_or(0);
  deleting_ = static_cast<bool>(metadata["deletionTimestamp"]);
  size_t at = json_.find("\"labels\":", metadata_at);
  for (auto [key, value] : metadata["labels"].members()) {
    auto [key_at, key_size] = locator.span(key, at);
    auto [value_at, value_size] = locator.span(value.as_string(), key_at);
    labels_.emplace_back(Span{key_at, key_size}, Span{value_at, value_size});
  }
  labels_.shrink_to_fit();
  return {};
}

std::vector<Object::Label> Object::labels() const {
  std::vector<Label> out;
  out.reserve(labels_.size());
  for (const auto& [key, value] : labels_) out.push_back({view(key), view(value)});
  return out;
}

std::string_view Object::label(std::string_view key) const {
  for (const auto& [have, value] : labels_) {
    if (view(have) == key) return view(value);
  }
  return {};
}

json::Document Object::document() const {
  MutexLock lock(mutex_);
  if (json::Document held = parsed_.lock()) return held;
  json::Document parsed = json::Document::parse(json_).value();  // Was parsed once.
  parsed_ = json::WeakDocument(parsed);
  return parsed;
}

}  // namespace wherry::api
