// The rules of every kind: whatever an object that decodes may hold, defaults, checks, warnings and
// cells give an answer. The first two bytes choose the row; the text is an object, or a list of the
// one that is there and the one that is to take its place.

#include <cstdint>

#include "api/conversion.h"
#include "api/decode.h"
#include "api/defaults.h"
#include "api/meta.h"
#include "api/stored_form.h"
#include "api/table.h"
#include "base/check.h"

namespace wherry::api {
namespace {

const Time kNow = parse_time("2026-01-02T03:04:05Z").value();

void fill(const Resource& row, json::Node object) {
  apply_defaults(*row.schema, object);
  if (row.apply_defaults != nullptr) row.apply_defaults(object);
}

// As a write does it: decoded, with its defaults, in the stored form.
std::optional<json::Draft> arrived(const Resource& row, json::Value sent) {
  std::vector<std::string> warnings;
  DecodeOptions options{.field_validation = FieldValidation::kWarn};
  Result<json::Draft> object = decode(*row.schema, sent, options, warnings);
  if (!object.ok()) return std::nullopt;
  fill(row, object->root());
  if (row.conversion_fault != nullptr) {
    if (!row.conversion_fault(object->freeze().root()).empty()) return std::nullopt;
  }
  json::Draft stored = to_stored(row, std::move(object).value());
  fill(stored_rules(row), stored.root());
  return stored;
}

json::Document settled(const Resource& row, json::Draft object) {
  return stored_form(row, std::move(object)).freeze();
}

json::Document create(const Resource& row, json::Value sent) {
  const Resource& rules = stored_rules(row);
  std::optional<json::Draft> object = arrived(row, sent);
  if (!object) return {};
  prepare_create(rules, object->root(), kNow);
  json::Document made = settled(rules, std::move(*object));
  static_cast<void>(validate_create(rules, made.root()));
  if (rules.warnings != nullptr) static_cast<void>(rules.warnings(made.root()));
  for (const SelectableField& field : rules.selectable_fields) {
    if (field.value != nullptr) static_cast<void>(field.value(made.root()));
  }
  static_cast<void>(row_text(rules, made.root(), kNow));
  static_cast<void>(from_stored(row, made.root()));
  return made;
}

void update(const Resource& row, json::Value before, json::Value sent) {
  const Resource& rules = stored_rules(row);
  for (UpdateScope scope : {UpdateScope::kMain, UpdateScope::kStatus}) {
    std::optional<json::Draft> object = arrived(row, sent);
    if (!object) return;
    prepare_update(rules, before, object->root(), scope, kNow);
    json::Document after = settled(rules, std::move(*object));
    static_cast<void>(scope == UpdateScope::kMain
                          ? validate_update(rules, before, after.root())
                          : validate_status_update(rules, before, after.root()));
  }
  for (const Subresource& part : rules.subresources) {
    if (part.narrow == nullptr) continue;
    std::optional<json::Draft> object = arrived(row, sent);
    part.narrow(before, object->root(), kNow);
    prepare_update(rules, before, object->root(), UpdateScope::kPart, kNow);
    json::Document after = settled(rules, std::move(*object));
    static_cast<void>(validate_part_update(rules, part, before, after.root()));
  }
}

void run(const uint8_t* data, size_t size) {
  if (size < 2) return;
  std::span<const Resource* const> rows = resources();
  const Resource& row = *rows[(data[0] * 256u + data[1]) % rows.size()];
  if (row.schema == nullptr) return;
  Result<json::Document> text =
      json::Document::parse({reinterpret_cast<const char*>(data) + 2, size - 2});
  if (!text.ok()) return;
  json::Value sent = text->root();
  bool two = sent.is_array() && sent.size() == 2;
  json::Document made = create(row, two ? sent.at(0) : sent);
  if (made.root()) update(row, made.root(), two ? sent.at(1) : sent);
}

}  // namespace
}  // namespace wherry::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wherry::api::run(data, size);
  return 0;
}
