#include "api/go_text.h"

#include <map>
#include <vector>

#include "base/strings.h"

namespace wherry::api {
namespace {

// The Go name of a field: its JSON name with a capital, but for initialisms.
std::string go_name(std::string_view name) {
  struct Initialism {
    std::string_view json;
    std::string_view go;
  };
  for (const Initialism& known :
       {Initialism{"seLinux", "SELinux"}, Initialism{"fsGroup", "FSGroup"},
        Initialism{"uid", "UID"}, Initialism{"ip", "IP"}, Initialism{"httpGet", "HTTPGet"},
        Initialism{"tcpSocket", "TCPSocket"}, Initialism{"grpc", "GRPC"},
        Initialism{"apiVersion", "APIVersion"}, Initialism{"cidrs", "CIDRs"},
        Initialism{"dns", "DNS"}, Initialism{"os", "OS"}, Initialism{"tty", "TTY"}}) {
    if (name.starts_with(known.json))
      return std::string(known.go) + std::string(name.substr(known.json.size()));
  }
  std::string out(name);
  if (!out.empty()) out[0] = to_upper(out.substr(0, 1))[0];
  return out;
}

void write_zero(const Field& field, json::Node out, const std::string& name) {
  bool reference = field.pointer || field.type.kind == Kind::kList ||
                   field.type.kind == Kind::kMap || field.type.kind == Kind::kBytes ||
                   field.type.kind == Kind::kAny;
  if (reference) {
    out.set_null(name);
    return;
  }
  switch (field.type.kind) {
    case Kind::kBool: out.set(name, false); break;
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kDouble:
    case Kind::kIntOrString: out.set(name, 0); break;
    case Kind::kTime:
    case Kind::kMicroTime: out.set_null(name); break;
    default: out.set(name, ""); break;
  }
}

// Types of meta/v1 say in Go how they are called in JSON; those of the groups do not.
bool has_json_names(const Struct& type) {
  return type.definition.starts_with("io.k8s.apimachinery.pkg.apis.meta.v1.");
}

void write_struct(const Struct& type, json::Value value, json::Node out) {
  for (const Field& field : type.fields) {
    std::string name = go_name(field.name);
    json::Value there = value[field.name];
    bool nested = field.type.kind == Kind::kStruct;
    if (nested && there.is_object() && has_json_names(*field.type.structure)) {
      out.set(name, there);
    } else if (nested && (there.is_object() || !field.pointer)) {
      write_struct(*field.type.structure, there, out.set_object(name));
    } else if (field.type.kind == Kind::kList && field.type.element->kind == Kind::kStruct &&
               there.is_array()) {
      json::Node list = out.set_array(name);
      for (json::Value item : there.items())
        write_struct(*field.type.element->structure, item, list.push_object());
    } else if (there) {
      out.set(name, there);
    } else {
      write_zero(field, out, name);
    }
  }
}

}  // namespace

std::string go_text(json::Value value) {
  std::vector<std::string> parts;
  if (value.is_object()) {
    std::map<std::string_view, json::Value> sorted;
    for (auto [key, item] : value.members()) sorted[key] = item;
    for (const auto& [key, item] : sorted) parts.push_back(std::string(key) + ":" + go_text(item));
    return "map[" + join(parts, " ") + "]";
  }
  if (value.is_array()) {
    for (json::Value item : value.items()) parts.push_back(go_text(item));
    return "[" + join(parts, " ") + "]";
  }
  if (value.is_null()) return "<nil>";
  return value.is_string() ? std::string(value.as_string()) : value.dump();
}

json::Document go_struct(const Struct& type, json::Value value) {
  json::Draft draft;
  write_struct(type, value, draft.root());
  return draft.freeze();
}

json::Document go_structs(const Struct& type, json::Value list) {
  json::Draft draft = json::Draft::array();
  if (!list) draft.root().assign_null();
  for (json::Value item : list.items()) write_struct(type, item, draft.root().push_object());
  return draft.freeze();
}

}  // namespace wherry::api
