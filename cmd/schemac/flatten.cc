#include <fstream>
#include <set>

#include "writer.h"

namespace wherry::schemac {
namespace {

const Field& type_meta_field(std::string_view name) {
  static const Field kKind = [] {
    Field field;
    field.name = "kind";
    field.type.kind = "kString";
    field.description = "What kind of object this is.";
    return field;
  }();
  static const Field kApiVersion = [] {
    Field field;
    field.name = "apiVersion";
    field.type.kind = "kString";
    field.description = "Group and version whose schema the object follows.";
    return field;
  }();
  return name == "kind" ? kKind : kApiVersion;
}

void add_package(const Type& type, const Package& own, std::set<std::string>& out) {
  if (type.element) add_package(*type.element, own, out);
  if (type.target != nullptr && type.target->package != &own)
    out.insert(type.target->package->name);
}

}  // namespace

std::vector<FlatField> flatten(const Struct& made) {
  std::vector<FlatField> out;
  if (made.object) {
    out.push_back({&type_meta_field("kind"), false});
    out.push_back({&type_meta_field("apiVersion"), false});
  }
  for (const Field& field : made.fields) {
    out.push_back({&field, false});
    if (!field.name.empty()) continue;
    for (const FlatField& inner : flatten(*field.type.target)) {
      if (!inner.field->name.empty()) out.push_back({inner.field, true});
    }
  }
  return out;
}

std::vector<std::string> uses(const Package& package) {
  std::set<std::string> out;
  for (const auto& made : package.structs) {
    for (const FlatField& flat : flatten(*made)) add_package(flat.field->type, package, out);
  }
  return {out.begin(), out.end()};
}

Result<void> write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return Error::internal("cannot write {}", path);
  return {};
}

}  // namespace wherry::schemac
