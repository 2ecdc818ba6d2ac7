#pragma once
// Definitions of an OpenAPI document, made from schema tables: the structs that are asked for and
// all that they mention. One writer makes the definitions of one document. Not shared between
// threads.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "json/json.h"

namespace wherry::api {

enum class OpenApi : uint8_t { kV2, kV3 };

struct GroupVersionKind {
  std::string_view group, version, kind;
  bool operator==(const GroupVersionKind&) const = default;
};

class SchemaWriter {
 public:
  // `out` is "components.schemas" of a v3 document or "definitions" of a v2 document.
  SchemaWriter(OpenApi version, json::Node out) : version_(version), out_(out) {}

  // The definition of `type` is to be in the document.
  void want(const Struct& type);
  // {"$ref": ...} to the definition of `type`, which is written before finish() returns.
  void put_reference(json::Node into, const Struct& type);
  void put_reference(json::Node into, std::string_view definition);
  // The kinds that a definition stands for.
  void add_kind(const Struct& type, const GroupVersionKind& kind);
  // A list of `item` under a name of its own, for kinds whose list type is in no table.
  void add_list(std::string_view definition, const Struct& item, const GroupVersionKind& kind);
  // A named object without further description, such as meta/v1 Patch.
  void add_object(std::string_view definition, std::string_view description);

  // Writes every definition, sorted by name.
  void finish();

 private:
  struct Kinds {
    const Struct* type;
    GroupVersionKind kind;
  };

  void want_types_of(const TypeRef& type, const Struct& owner);
  void write_struct(const Struct& type);
  void write_field(const Field& field, const Struct& owner, json::Node properties);
  void write_type(const TypeRef& type, const Struct& owner, json::Node into);
  void write_extensions(const Field& field, json::Node into);
  static std::string_view shared_definition(const TypeRef& type, const Struct& owner);
  void write_shared(std::string_view definition);
  std::string reference_text(std::string_view definition) const;

  const OpenApi version_;
  json::Node out_;
  std::set<const Struct*> structs_;
  std::vector<const Struct*> unvisited_;
  std::set<std::string, std::less<>> shared_;  // Quantity, Time and the like.
  std::vector<Kinds> kinds_;
};

}  // namespace wherry::api
