#include "api/object.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kVersionMember = "\"resourceVersion\":\"";

// What identifies an object comes first, before anything a user may choose freely, so that the
// first "resourceVersion" in the bytes is the object's own.
constexpr std::string_view kFirst[] = {"name", "generateName", "namespace", "uid"};

bool is_first(std::string_view key) {
  return std::find(std::begin(kFirst), std::end(kFirst), key) != std::end(kFirst);
}

// The text of a JSON string within `json`, found as the quoted literal from `from` on. Names,
// labels and the like hold no characters that JSON escapes, so the literal is the text.
struct Locator {
  std::string_view json;

  Places::Span span(std::string_view text, size_t from = 0) const {
    if (text.empty()) return {0, 0};
    std::string literal = json::quote(text);
    size_t at = json.find(literal, from);
    if (at == std::string_view::npos) return {0, 0};
    return {static_cast<uint32_t>(at + 1), static_cast<uint32_t>(literal.size() - 2)};
  }
};

// Writes an object and notes where things are. The bytes stay in the thread's buffer till the next.
class Writer {
 public:
  Writer() {
    out_.clear();
    if (out_.capacity() > kBufferMax) out_.shrink_to_fit();
  }
  // The value of the next member; of a text, where it stands.
  Places::Span put(std::string_view key, json::Value value) {
    name(key);
    const auto at = static_cast<uint32_t>(out_.size());
    value.dump_to(out_);
    if (value.as_string().empty()) return {};
    return {at + 1, static_cast<uint32_t>(out_.size()) - at - 2};
  }
  void labels(json::Value labels, Places& places) {
    if (!labels.is_object()) return static_cast<void>(put("labels", labels));
    name("labels");
    begin();
    places.labels.reserve(labels.size());
    for (auto [key, value] : labels.members()) {
      const auto at = static_cast<uint32_t>(out_.size()) + (fresh_ ? 1 : 2);
      Places::Span there = put(key, value);
      places.labels.emplace_back(Places::Span{at, static_cast<uint32_t>(length_)}, there);
    }
    end();
  }
  void name(std::string_view key) {
    if (!std::exchange(fresh_, false)) out_ += ',';
    size_t before = out_.size();
    json::quote_to(out_, key);
    length_ = out_.size() - before - 2;
    out_ += ':';
  }
  void begin() {
    out_ += '{';
    fresh_ = true;
  }
  void end() {
    out_ += '}';
    fresh_ = false;
  }
  std::string& text() { return out_; }

 private:
  static constexpr size_t kBufferMax = 64 << 10;
  static std::string& buffer() {
    static thread_local std::string bytes;
    return bytes;
  }

  std::string& out_ = buffer();
  size_t length_ = 0;  // Of the last key.
  bool fresh_ = true;  // No member has been written yet.
};

}  // namespace

Result<Unstamped> unstamped(json::Value object) {
  json::Value metadata = object["metadata"];
  if (!metadata.is_object()) return Error::invalid("object has no metadata");
  Unstamped out;
  Places& places = out.places;
  Writer writer;
  writer.begin();
  if (json::Value kind = object["kind"]) places.kind = writer.put("kind", kind);
  if (json::Value version = object["apiVersion"]) {
    places.api_version = writer.put("apiVersion", version);
  }
  writer.name("metadata");
  writer.begin();
  for (std::string_view key : kFirst) {
    json::Value value = metadata[key];
    if (!value) continue;
    Places::Span there = writer.put(key, value);
    if (key == "name") places.name = there;
    if (key == "namespace") places.ns = there;
    if (key == "uid") places.uid = there;
  }
  writer.name("resourceVersion");
  writer.text() += "\"\"";
  out.version_at = writer.text().size() - 1;
  for (auto [key, value] : metadata.members()) {
    if (key == "resourceVersion" || is_first(key)) continue;
    if (key == "labels") {
      writer.labels(value, places);
    } else {
      writer.put(key, value);
      if (key == "deletionTimestamp") places.deleting = true;
      if (key == "ownerReferences") places.owned = !value.empty();
    }
  }
  writer.end();
  for (auto [key, value] : object.members()) {
    if (key != "kind" && key != "apiVersion" && key != "metadata") writer.put(key, value);
  }
  writer.end();
  out.json = writer.text();
  return out;
}

ObjectPtr Object::stamp(Unstamped object, Revision revision) {
  const std::string digits = std::to_string(revision);
  const std::string_view hollow = object.json;
  for (auto& [key, value] : object.places.labels) {
    key.at += static_cast<uint32_t>(digits.size());
    if (value.size != 0) value.at += static_cast<uint32_t>(digits.size());
  }
  std::shared_ptr<Object> stamped(new Object());
  // A copy of its exact size, made by the store's thread: what stays among what a request needs for
  // a moment leaves holes.
  stamped->json_.reserve(hollow.size() + digits.size());
  stamped->json_.append(hollow.substr(0, object.version_at));
  stamped->json_.append(digits);
  stamped->json_.append(hollow.substr(object.version_at));
  stamped->places_ = std::move(object.places);
  stamped->revision_ = revision;
  return stamped;
}

ObjectPtr Object::restamp(const Object& object, Revision revision) {
  Unstamped again{object.json_, object.json_.find(kVersionMember), object.places_};
  CHECK(again.version_at != std::string::npos);  // stamp() put it there.
  again.version_at += kVersionMember.size();
  const size_t digits = std::to_string(object.revision_).size();
  again.json.erase(again.version_at, digits);
  for (auto& [key, value] : again.places.labels) {
    key.at -= static_cast<uint32_t>(digits);
    if (value.size != 0) value.at -= static_cast<uint32_t>(digits);
  }
  return stamp(std::move(again), revision);
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
    return locator.span(value.as_string(), from);
  };
  size_t metadata_at = json_.find("\"metadata\":");
  places_.kind = locate(root["kind"], 0);
  places_.api_version = locate(root["apiVersion"], 0);
  places_.name = locate(metadata["name"], metadata_at);
  places_.ns = locate(metadata["namespace"], metadata_at);
  places_.uid = locate(metadata["uid"], metadata_at);
  revision_ = parse_int(metadata["resourceVersion"].as_string()).value_or(0);
  places_.deleting = static_cast<bool>(metadata["deletionTimestamp"]);
  places_.owned = !metadata["ownerReferences"].empty();
  size_t at = json_.find("\"labels\":", metadata_at);
  for (auto [key, value] : metadata["labels"].members()) {
    Places::Span key_span = locator.span(key, at);
    Places::Span value_span = locator.span(value.as_string(), key_span.at);
    places_.labels.emplace_back(key_span, value_span);
    at = std::max<size_t>(at, key_span.at);  // They stand in this order.
  }
  places_.labels.shrink_to_fit();
  return {};
}

std::vector<Object::Label> Object::labels() const {
  std::vector<Label> out;
  out.reserve(places_.labels.size());
  for (const auto& [key, value] : places_.labels) out.push_back({view(key), view(value)});
  return out;
}

std::string_view Object::label(std::string_view key) const {
  for (const auto& [have, value] : places_.labels) {
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
