// Typed views over JSON documents as C++ source: one class a struct, one accessor a field.

#include <fmt/format.h>

#include <set>

#include "writer.h"

namespace wherry::schemac {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

// hostIP: host_ip, podIPs: pod_ips, x-kubernetes-list-type: x_kubernetes_list_type.
std::string snake_case(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    if (c == '$') continue;
    if (!is_upper(c)) {
      out += c == '-' ? '_' : c;
      continue;
    }
    bool after_word = i > 0 && !is_upper(name[i - 1]);
    bool plural = i + 2 == name.size() && name[i + 1] == 's';
    bool starts_word = i > 0 && i + 1 < name.size() && is_lower(name[i + 1]) && !plural;
    if ((after_word || starts_word) && !out.empty() && out.back() != '_') out += '_';
    out += static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string accessor_name(std::string_view field) {
  static const std::set<std::string> kTaken = {
      "bool",     "case",   "char",     "class",  "continue", "default", "delete",    "double",
      "enum",     "export", "float",    "int",    "json",     "long",    "namespace", "not",
      "operator", "or",     "register", "static", "template", "union",   "volatile",  "and"};
  std::string name = snake_case(field);
  return kTaken.contains(name) ? name + "_" : name;
}

struct Accessor {
  std::string type;   // What it returns.
  std::string value;  // From `value`, the member's json::Value.
};

std::string scalar_type(const std::string& kind) {
  if (kind == "kBool") return "bool";
  if (kind == "kInt32" || kind == "kInt64") return "int64_t";
  if (kind == "kDouble") return "double";
  if (kind == "kIntOrString" || kind == "kAny" || kind == "kFieldsV1" || kind == "kMap") return "";
  return "std::string_view";  // Text: strings, times, quantities, base64.
}

std::string view_type(const Type& type, const Package& own) {
  const Struct& target = *type.target;
  std::string name = target.name + "View";
  return target.package == &own ? name : target.package->name + "::" + name;
}

Accessor accessor(const Field& field, const Package& own) {
  const Type& type = field.type;
  if (type.kind == "kStruct") {
    std::string view = view_type(type, own);
    return {view, view + "(value)"};
  }
  if (type.kind == "kList" && type.element->kind == "kStruct") {
    std::string list = fmt::format("ListOf<{}>", view_type(*type.element, own));
    return {list, list + "(value)"};
  }
  if (type.kind == "kList" || type.kind == "kVerbs") {
    std::string scalar =
        type.kind == "kVerbs" ? "std::string_view" : scalar_type(type.element->kind);
    if (scalar.empty()) return {"json::Value", "value"};
    std::string list = fmt::format("ListOf<{}>", scalar);
    return {list, list + "(value)"};
  }
  std::string scalar = scalar_type(type.kind);
  if (scalar.empty()) return {"json::Value", "value"};
  std::string read = fmt::format("view_cast<{}>(value)", scalar);
  if (!field.pointer) return {scalar, read};
  return {fmt::format("std::optional<{}>", scalar),
          fmt::format("view_optional<{}>(value)", scalar)};
}

void write_struct(const Struct& made, const Package& package, std::string& classes,
                  std::string& bodies) {
  std::string view = made.name + "View";
  classes += fmt::format(
      "class {0} : public View {{\n public:\n  {0}() = default;\n"
      "  explicit {0}(json::Value value) : View(value) {{}}\n",
      view);
  for (const FlatField& flat : flatten(made)) {
    if (flat.field->name.empty()) continue;
    Accessor a = accessor(*flat.field, package);
    std::string name = accessor_name(flat.field->name);
    classes += fmt::format("  {} {}() const;\n", a.type, name);
    bodies += fmt::format(
        "inline {} {}::{}() const {{\n  json::Value value = json()[\"{}\"];\n  return {};\n}}\n",
        a.type, view, name, flat.field->name, a.value);
  }
  classes += "};\n\n";
}

std::string header(const Package& package) {
  std::string out = "#pragma once\n// Made by schemac from pkg/api/schema; do not edit.\n\n";
  out += "#include \"api/views.h\"\n";
  for (const std::string& name : uses(package)) {
    out += fmt::format("#include \"api/views_{}.h\"\n", name);
  }
  out += fmt::format("\nnamespace wherry::api::{} {{\n\n", package.name);
  std::string classes, bodies;
  for (const auto& made : package.structs) {
    if (made->choice) continue;
    out += fmt::format("class {}View;\n", made->name);
    write_struct(*made, package, classes, bodies);
  }
  out += "\n" + classes + bodies;
  out += fmt::format("\n}}  // namespace wherry::api::{}\n", package.name);
  return out;
}

}  // namespace

Result<void> write_views(const Model& model, const std::string& folder) {
  for (const auto& package : model.packages) {
    TRY(write_file(folder + "/views_" + package->name + ".h", header(*package)));
  }
  return {};
}

}  // namespace wherry::schemac
