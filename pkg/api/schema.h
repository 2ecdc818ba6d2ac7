#pragma once
// Schema tables: constant descriptions of every API type. schemac compiles pkg/api/schema/*.schema
// into tables of these types, and a CustomResourceDefinition compiles into the same ones at run
// time. The one set of tables drives decoding, strict validation, defaults, bounds, protobuf,
// patches, apply and OpenAPI. Immutable after construction; any thread.

#include <cstdint>
#include <span>
#include <string_view>

namespace wherry::api {

enum class Kind : uint8_t {
  kString,
  kInt32,
  kInt64,
  kBool,
  kDouble,
  kBytes,        // base64 text in JSON, bytes in protobuf.
  kTime,         // meta/v1 Time: RFC 3339 text, whole seconds; protobuf {seconds=1,nanos=2}.
  kMicroTime,    // meta/v1 MicroTime: six fractional digits.
  kDuration,     // meta/v1 Duration: Go duration text; protobuf {duration=1 int64 ns}.
  kQuantity,     // resource.Quantity: text (or number on input); protobuf {string=1}.
  kIntOrString,  // util/intstr: protobuf {type=1,intVal=2,strVal=3}.
  kStruct,
  kList,
  kMap,  // String keys; protobuf repeated entry {key=1,value=2}.
  kAny,  // Any JSON (RawExtension, apiextensions JSON); protobuf {raw=1 bytes}. With a structure:
         // one of its fields, told by the JSON type (apiextensions JSONSchemaPropsOrBool, ...).
  kFieldsV1,  // meta/v1 FieldsV1: JSON object; protobuf {Raw=1 bytes}.
  kVerbs,     // A named []string wrapped in a message: protobuf {items=1}.
};

enum class ListType : uint8_t { kUnset, kAtomic, kSet, kMap };

struct Struct;

// What a value is. For kList and kMap `element` is set, for kStruct `structure`; for kAny perhaps.
struct TypeRef {
  Kind kind = Kind::kString;
  const TypeRef* element = nullptr;
  const Struct* structure = nullptr;
};

struct Field {
  // In JSON. An inlined struct is flattened: its fields stand here with number 0, and a marker, a
  // field with an empty name, says under which number protobuf has it as a message of its own.
  std::string_view name;
  TypeRef type;
  uint32_t number = 0;     // In protobuf.
  bool required = false;   // Must be present (OpenAPI "required").
  bool omit_empty = true;  // The zero value is left out of JSON on output.
  bool pointer = false;    // Go pointer: zero is distinct from absent.
  ListType list_type = ListType::kUnset;
  std::span<const std::string_view> list_map_keys = {};
  bool map_atomic = false;         // mapType or structType atomic: apply replaces it whole.
  bool map_granular = false;       // Merged field by field although the struct itself is atomic.
  bool patch_merge = false;        // Strategic merge: patchStrategy merge.
  bool patch_retain_keys = false;  // Strategic merge: patchStrategy retainKeys.
  bool patch_replace = false;      // Strategic merge: patchStrategy replace, also for a struct.
  std::string_view patch_merge_key = {};
  std::string_view default_json = {};  // JSON text put in when absent; empty for none.
  std::span<const std::string_view> enum_values = {};
  bool has_minimum = false, has_maximum = false;
  int64_t minimum = 0, maximum = 0;
  std::string_view description = {};
};

struct Struct {
  std::string_view name;        // "PodSpec".
  std::string_view definition;  // OpenAPI name: "io.k8s.api.core.v1.PodSpec".
  std::string_view description;
  std::span<const Field> fields;        // In declaration order, inlined structs flattened.
  std::span<const uint16_t> by_name;    // Indexes of the named fields, sorted by name.
  std::span<const uint16_t> by_number;  // Indexes of fields with a number, sorted by it.
  bool atomic = false;                  // structType atomic.
  bool preserve_unknown = false;        // Keeps fields it does not know (custom resources).
  std::span<const std::string_view> union_discriminators = {};

  const Field* find(std::string_view json_name) const;
  const Field* find(uint32_t number) const;
};

// The built-in tables, made by schemac. `definition` is the OpenAPI name; null when there is none.
const Struct* find_struct(std::string_view definition);
std::span<const Struct* const> all_structs();  // Sorted by definition.

}  // namespace wherry::api
