#include "apiserver/request.h"

#include <algorithm>

#include "api/conversion.h"

namespace wherry::apiserver {
namespace {

bool is_metadata_field(std::string_view path) {
  return path == "metadata.name" || path == "metadata.namespace";
}

// Another version of a kind that names none of its own has those of the stored one.
std::span<const api::SelectableField> fields_of(const Resource& resource) {
  if (!resource.selectable_fields.empty()) return resource.selectable_fields;
  return api::stored_rules(resource).selectable_fields;
}

const api::SelectableField* find_field(const Resource& resource, std::string_view path) {
  for (const api::SelectableField& field : fields_of(resource)) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

// The scalar at a dotted path, as a field selector compares it.
std::string text_at(json::Value value, std::string_view path) {
  while (!path.empty()) {
    size_t dot = path.find('.');
    value = value[path.substr(0, dot)];
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  if (value.is_bool()) return value.as_bool() ? "true" : "false";
  if (value.is_int()) return std::to_string(value.as_int());
  return std::string(value.as_string());
}

}  // namespace

void AuditNotes::add(std::string_view about, std::string text) {
  bool said = std::any_of(notes_.begin(), notes_.end(),
                          [about](const Note& note) { return note.first == about; });
  if (!said) notes_.emplace_back(about, std::move(text));
}

void put_user(json::Node node, const User& user) {
  if (!user.name.empty()) node.set("username", user.name);
  if (!user.uid.empty()) node.set("uid", user.uid);
  if (!user.groups.empty()) {
    json::Node groups = node.set_array("groups");
    for (const std::string& group : user.groups) groups.push(group);
  }
  if (user.extra.empty()) return;
  json::Node extra = node.set_object("extra");
  for (const auto& [key, values] : user.extra) {
    json::Node list = extra.set_array(key);
    for (const std::string& value : values) list.push(value);
  }
}

bool User::in_group(std::string_view group) const {
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

bool Filter::matches(const Resource& resource, const api::Object& object) const {
  if (!labels.everything() && !labels.matches(object)) return false;
  json::Document document;
  for (const api::FieldRequirement& wanted : fields) {
    bool same = false;
    if (wanted.path == "metadata.name") {
      same = object.name() == wanted.value;
    } else if (wanted.path == "metadata.namespace") {
      same = object.ns() == wanted.value;
    } else {
      if (!document) document = object.document();
      const api::SelectableField* field = find_field(resource, wanted.path);
      std::string value = field != nullptr && field->value != nullptr
                              ? field->value(document.root())
                              : text_at(document.root(), wanted.path);
      same = value == wanted.value;
    }
    if (same != wanted.equals) return false;
  }
  return true;
}

Result<Filter> parse_filter(const Resource& resource, std::string_view labels,
                            std::string_view fields) {
  Filter filter;
  if (!labels.empty()) filter.labels = TRY(api::Selector::parse(labels));
  if (!fields.empty()) filter.fields = TRY(api::parse_field_selector(fields));
  // "=" asks for nothing.
  std::erase_if(filter.fields, [](const api::FieldRequirement& wanted) {
    return wanted.path.empty() && wanted.value.empty();
  });
  for (const api::FieldRequirement& wanted : filter.fields) {
    if (is_metadata_field(wanted.path) || find_field(resource, wanted.path) != nullptr) continue;
    // Kinds with fields of their own say it this way, the others name the two they all have.
    if (!fields_of(resource).empty()) {
      return Error::bad_request("field label not supported: {}", wanted.path);
    }
    return Error::bad_request(
        "\"{}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        wanted.path);
  }
  return filter;
}

}  // namespace wherry::apiserver
