#pragma once
// What the schema sources say, as read by the parser and used by the writers. Plain data.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace wherry::schemac {

struct Struct;

// What a value is. `kind` is the name of an api::Kind enumerator.
struct Type {
  std::string kind;
  std::unique_ptr<Type> element;  // Of a list or map.
  std::string structure;          // "core_v1.PodSpec"; linked below once every file has been read.
  const Struct* target = nullptr;
};

struct Field {
  std::string name;  // In JSON; empty for the marker of an inlined struct.
  Type type;
  uint32_t number = 0;
  bool pointer = false;
  bool required = false;
  bool always = false;     // Go has no omitempty.
  bool omitempty = false;  // Required and omitempty at once.
  bool omitzero = false;
  bool atomic = false;
  bool granular = false;
  bool set = false;
  bool merge = false;
  bool retain_keys = false;
  bool replace = false;
  bool discriminator = false;
  std::vector<std::string> map_keys;
  std::string merge_key;
  std::string default_json;
  std::string enum_name;  // "core_v1.Protocol".
  bool has_minimum = false, has_maximum = false;
  int64_t minimum = 0, maximum = 0;
  std::string description;
};

struct Package;

struct Struct {
  const Package* package = nullptr;
  std::string name;
  std::string description;
  bool object = false;  // Has kind and apiVersion.
  bool atomic = false;
  bool choice = false;  // The JSON type of the value says which field it is.
  std::vector<Field> fields;
  std::string where;  // "file:line", for messages.
};

struct Package {
  std::string name;  // "core_v1".
  std::string group, version;
  std::string definitions;  // "io.k8s.api.core.v1".
  std::map<std::string, std::vector<std::string>> enums;
  std::vector<std::unique_ptr<Struct>> structs;  // In the order of the source.
};

struct Model {
  std::vector<std::unique_ptr<Package>> packages;  // Sorted by name.

  const Struct* find(const std::string& qualified) const;
  const std::vector<std::string>* find_enum(const std::string& qualified) const;
};

}  // namespace wherry::schemac
