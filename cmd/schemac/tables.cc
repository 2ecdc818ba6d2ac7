// The constant tables of pkg/api/schema.h as C++ source.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "json/json.h"
#include "writer.h"

namespace wherry::schemac {
namespace {

constexpr std::string_view kNotice = "// Made by schemac from pkg/api/schema; do not edit.\n";

std::string pointer_to(const Struct& made) {
  return fmt::format("&{}::k{}", made.package->name, made.name);
}

// Go's encoder leaves a struct out never, whatever its tag says, unless the tag is omitzero. Of
// those, IntOrString and any are left out here all the same: their zero has no meaning to anybody.
bool omits_empty(const Field& field) {
  static constexpr std::string_view kGoStructs[] = {"kStruct", "kTime", "kMicroTime", "kDuration",
                                                    "kQuantity"};
  bool go_struct = std::find(std::begin(kGoStructs), std::end(kGoStructs), field.type.kind) !=
                   std::end(kGoStructs);
  if (go_struct && !field.pointer) return field.omitzero;
  return (!field.required && !field.always) || field.omitempty;
}

// The source of one package's tables.
class TableWriter {
 public:
  TableWriter(const Model& model, const Package& package) : model_(model), package_(package) {}

  std::string source() {
    for (const auto& made : package_.structs) add_struct(*made);
    std::string out(kNotice);
    out += fmt::format("\n#include \"api/schema_{}.h\"\n\n", package_.name);
    for (const std::string& name : uses(package_)) {
      out += fmt::format("#include \"api/schema_{}.h\"\n", name);
    }
    out += fmt::format("\nnamespace wherry::api::schema::{} {{\nnamespace {{\n\n", package_.name);
    out += constants_;
    out += "\n}  // namespace\n\n";
    out += structs_;
    out += fmt::format("\n}}  // namespace wherry::api::schema::{}\n", package_.name);
    return out;
  }

 private:
  // The name of a constant TypeRef for `type`; equal types share one.
  std::string type_constant(const Type& type) {
    std::string text = type_text(type);
    auto [at, fresh] = types_.try_emplace(text, fmt::format("kType{}", types_.size()));
    if (fresh) constants_ += fmt::format("constexpr TypeRef {} = {};\n", at->second, text);
    return at->second;
  }

  std::string type_text(const Type& type) {
    if (type.element) {
      return fmt::format("{{Kind::{}, &{}}}", type.kind, type_constant(*type.element));
    }
    if (type.target) {
      return fmt::format("{{Kind::{}, nullptr, {}}}", type.kind, pointer_to(*type.target));
    }
    return fmt::format("{{Kind::{}}}", type.kind);
  }

  // The name of a constant array of strings.
  std::string strings_constant(const std::vector<std::string>& values) {
    std::string text;
    for (const std::string& value : values) text += json::quote(value) + ", ";
    auto [at, fresh] = strings_.try_emplace(text, fmt::format("kStrings{}", strings_.size()));
    if (fresh) {
      constants_ += fmt::format("constexpr std::string_view {}[] = {{{}}};\n", at->second, text);
    }
    return at->second;
  }

  std::string list_type(const Field& field) {
    if (!field.map_keys.empty()) return "kMap";
    if (field.type.kind != "kList" && field.type.kind != "kVerbs") return "";
    if (field.set) return "kSet";
    return field.atomic ? "kAtomic" : "";
  }

  std::string field_text(const FlatField& flat) {
    const Field& field = *flat.field;
    std::string out =
        fmt::format(".name = {}, .type = {}", json::quote(field.name), type_text(field.type));
    auto add = [&](bool wanted, std::string_view text) {
      if (wanted) out += fmt::format(", {}", text);
    };
    add(field.number != 0 && !flat.inlined, fmt::format(".number = {}", field.number));
    add(field.required, ".required = true");
    add(!omits_empty(field), ".omit_empty = false");
    add(field.pointer, ".pointer = true");
    std::string list = list_type(field);
    add(!list.empty(), ".list_type = ListType::" + list);
    if (!field.map_keys.empty()) {
      add(true, ".list_map_keys = " + strings_constant(field.map_keys));
    }
    add(field.atomic && list.empty(), ".map_atomic = true");
    add(field.granular, ".map_granular = true");
    add(field.merge, ".patch_merge = true");
    add(field.retain_keys, ".patch_retain_keys = true");
    add(field.replace, ".patch_replace = true");
    add(!field.merge_key.empty(), ".patch_merge_key = " + json::quote(field.merge_key));
    add(!field.default_json.empty(), ".default_json = " + json::quote(field.default_json));
    if (!field.enum_name.empty()) {
      add(true, ".enum_values = " + strings_constant(*model_.find_enum(field.enum_name)));
    }
    add(field.has_minimum, fmt::format(".has_minimum = true"));
    add(field.has_maximum, fmt::format(".has_maximum = true"));
    add(field.has_minimum, fmt::format(".minimum = {}", field.minimum));
    add(field.has_maximum, fmt::format(".maximum = {}", field.maximum));
    add(!field.description.empty(), ".description = " + json::quote(field.description));
    return out;
  }

  static std::string index_array(std::string_view name, const std::vector<size_t>& indexes) {
    std::string list;
    for (size_t index : indexes) list += fmt::format("{}, ", index);
    return fmt::format("constexpr uint16_t {}[] = {{{}}};\n", name, list);
  }

  void add_struct(const Struct& made) {
    std::vector<FlatField> flat = flatten(made);
    std::vector<size_t> by_name, by_number;
    std::vector<std::string> discriminators;
    std::string rows;
    for (size_t i = 0; i < flat.size(); ++i) {
      const Field& field = *flat[i].field;
      rows += "    {" + field_text(flat[i]) + "},\n";
      if (!field.name.empty()) by_name.push_back(i);
      if (field.number != 0 && !flat[i].inlined) by_number.push_back(i);
      if (field.discriminator) discriminators.push_back(field.name);
    }
    std::sort(by_name.begin(), by_name.end(),
              [&](size_t a, size_t b) { return flat[a].field->name < flat[b].field->name; });
    std::sort(by_number.begin(), by_number.end(),
              [&](size_t a, size_t b) { return flat[a].field->number < flat[b].field->number; });

    std::string tail;
    if (!flat.empty()) {
      constants_ += fmt::format("constexpr Field k{}Fields[] = {{\n{}}};\n", made.name, rows);
      tail += fmt::format("    .fields = k{}Fields,\n", made.name);
    }
    if (!by_name.empty()) {
      constants_ += index_array(fmt::format("k{}ByName", made.name), by_name);
      tail += fmt::format("    .by_name = k{}ByName,\n", made.name);
    }
    if (!by_number.empty()) {
      constants_ += index_array(fmt::format("k{}ByNumber", made.name), by_number);
      tail += fmt::format("    .by_number = k{}ByNumber,\n", made.name);
    }
    if (made.atomic) tail += "    .atomic = true,\n";
    if (!discriminators.empty()) {
      tail += fmt::format("    .union_discriminators = {},\n", strings_constant(discriminators));
    }
    structs_ += fmt::format(
        "constinit const Struct k{0} = {{\n    .name = \"{0}\",\n    .definition = \"{1}.{0}\",\n"
        "    .description = {2},\n{3}}};\n",
        made.name, package_.definitions, json::quote(made.description), tail);
  }

  const Model& model_;
  const Package& package_;
  std::map<std::string, std::string> types_;
  std::map<std::string, std::string> strings_;
  std::string constants_;
  std::string structs_;
};

std::string table_header(const Package& package) {
  std::string out = "#pragma once\n";
  out += kNotice;
  out += fmt::format("\n#include \"api/schema.h\"\n\nnamespace wherry::api::schema::{} {{\n\n",
                     package.name);
  for (const auto& made : package.structs) {
    out += fmt::format("extern const Struct k{};\n", made->name);
  }
  out += fmt::format("\n}}  // namespace wherry::api::schema::{}\n", package.name);
  return out;
}

std::string all_source(const Model& model) {
  std::map<std::string, const Struct*> sorted;
  std::string includes;
  for (const auto& package : model.packages) {
    includes += fmt::format("#include \"api/schema_{}.h\"\n", package->name);
    for (const auto& made : package->structs) {
      sorted.emplace(package->definitions + "." + made->name, made.get());
    }
  }
  std::string out(kNotice);
  out += "\n#include \"api/schema.h\"\n" + includes;
  out += "\nnamespace wherry::api {\nnamespace schema {\nnamespace {\n\n";
  out += "constexpr const Struct* kAll[] = {\n";
  for (const auto& [definition, made] : sorted) out += "    " + pointer_to(*made) + ",\n";
  out += "};\n\n}  // namespace\n}  // namespace schema\n\n";
  out += "std::span<const Struct* const> all_structs() { return schema::kAll; }\n\n";
  out += "}  // namespace wherry::api\n";
  return out;
}

}  // namespace

Result<void> write_tables(const Model& model, const std::string& folder) {
  for (const auto& package : model.packages) {
    std::string base = folder + "/schema_" + package->name;
    TRY(write_file(base + ".h", table_header(*package)));
    TRY(write_file(base + ".cc", TableWriter(model, *package).source()));
  }
  return write_file(folder + "/schema_all.cc", all_source(model));
}

}  // namespace wherry::schemac
