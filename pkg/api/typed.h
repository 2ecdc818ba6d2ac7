#pragma once
// Objects seen through their schema as server-side apply sees them: which parts are merged and
// which are one value, which list items belong together, what changed between two objects, which
// fields an object states. Pure.

#include <string>

#include "api/field_set.h"
#include "api/schema.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

// How a value at some place is treated.
enum class Form : uint8_t {
  kLeaf,     // One value, owned and replaced as a whole: scalars and everything atomic.
  kStruct,   // Members the schema names.
  kMap,      // Any members, each on its own.
  kSet,      // List items are told apart by value.
  kMapList,  // List items are told apart by their keys.
};

class Shape {
 public:
  static Shape of_object(const Struct* schema);  // Null: structure as the data has it.

  // `value` decides only where there is no schema.
  Form form(bool is_object) const;
  Shape member(std::string_view name) const;   // Of a struct or map.
  Shape item() const;                          // Of a list.
  bool declares(std::string_view name) const;  // The schema names this member.
  bool free() const { return free_; }          // Takes any structure.
  const TypeRef* type() const { return type_; }
  // The path element that stands for `item` of this list.
  std::string element_of(json::Value item) const;

 private:
  const Struct* structure_ = nullptr;
  const TypeRef* type_ = nullptr;
  const Field* field_ = nullptr;
  bool free_ = false;
};

// What is new or different in `after`, and what is no longer in it.
struct Changes {
  FieldSet changed;
  FieldSet removed;
  bool empty() const { return changed.empty() && removed.empty(); }
};
Changes compare(const Shape& shape, json::Value before, json::Value after);

// The fields that `object` states.
FieldSet fields_stated(const Shape& shape, json::Value object);

// `config` over `target`: members and items it states replace or join what is there.
void merge_applied(const Shape& shape, json::Node target, json::Value config);

// Takes out of `target` what `last` holds and nobody in `owned` does.
void remove_unowned(const Shape& shape, json::Node target, const FieldSet& last,
                    const FieldSet& owned);

// That `config` fits its schema and no list item stands twice; kInternal with upstream's text
// (".spec.foo: field not declared in schema").
Result<void> check_typed(const Shape& shape, json::Value config);

}  // namespace wherry::api
