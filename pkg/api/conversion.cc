#include "api/conversion.h"

#include <map>

#include "api/decode.h"
#include "base/check.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

// Puts fields in order and zero values in place. A conversion yields nothing that cannot be
// decoded; were it to, the object stays as it was made.
json::Draft decoded(const Resource& row, json::Draft object) {
  if (row.schema == nullptr) return object;
  json::Document document = object.freeze();
  Result<json::Draft> out = decode(*row.schema, document.root());
  return out.ok() ? std::move(out).value() : std::move(object);
}

std::map<const Resource*, Resource> make_rules() {
  std::map<const Resource*, Resource> out;
  for (const Resource* row : resources()) {
    if (row->stored_as == nullptr) continue;
    Resource rules = *row->stored_as;
    if (row->validate != nullptr) rules.validate = row->validate;
    if (row->validate_update != nullptr) rules.validate_update = row->validate_update;
    if (row->valid_name != nullptr) rules.valid_name = row->valid_name;
    out.emplace(row, rules);
  }
  return out;
}

}  // namespace

bool is_stored_form(const Resource& row) { return row.stored_as == nullptr; }

const Resource& stored_rules(const Resource& served) {
  if (served.stored_as == nullptr) return served;
  static const std::map<const Resource*, Resource> kRules = make_rules();
  auto found = kRules.find(&served);
  CHECK(found != kRules.end());
  return found->second;
}

json::Draft to_stored(const Resource& served, json::Draft object) {
  if (served.stored_as == nullptr) return object;
  if (served.to_stored != nullptr) served.to_stored(object.root());
  object.root().set("apiVersion", served.stored_as->api_version());
  return decoded(*served.stored_as, std::move(object));
}

json::Draft from_stored(const Resource& served, json::Value object) {
  json::Draft out(object);
  if (served.stored_as == nullptr) return out;
  if (served.from_stored != nullptr) served.from_stored(out.root());
  out.root().set("apiVersion", served.api_version());
  return decoded(served, std::move(out));
}

ObjectPtr served_object(const Resource& served, const ObjectPtr& object) {
  if (served.stored_as == nullptr || object->kind() != served.stored_as->kind) return object;
  json::Document document = object->document();
  Result<ObjectPtr> out = Object::parse(from_stored(served, document.root()).dump());
  CHECK(out.ok());
  return std::move(out).value();
}

const Resource* sibling(const Resource& served, std::string_view api_version) {
  auto parts = split_once(api_version, "/");
  std::string_view group = parts ? parts->first : std::string_view();
  if (group != served.group) return nullptr;
  return find_kind(group, parts ? parts->second : api_version, served.kind);
}

}  // namespace wherry::api
