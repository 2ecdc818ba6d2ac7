#include "api/openapi.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/openapi_schema.h"
#include "api/retired.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.";
constexpr std::string_view kPatch = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

const Struct& meta_struct(std::string_view name) {
  const Struct* found = find_struct(std::string(kMeta).append(name));
  CHECK(found != nullptr);
  return *found;
}

struct Parameter {
  std::string_view name;
  std::string_view type;
  std::string_view description;
};

constexpr Parameter kPretty = {"pretty", "string", "Whether the answer is to be indented."};
constexpr Parameter kWriteParameters[] = {
    {"dryRun", "string", "With All, the request is judged and answered but nothing is stored."},
    {"fieldManager", "string", "Name of whoever makes the change, for the ownership of fields."},
    {"fieldValidation", "string",
     "What unknown and repeated fields lead to: Ignore, Warn or Strict."},
};
constexpr Parameter kForce = {"force", "boolean", "Apply takes over fields that others own."};
constexpr Parameter kDeleteParameters[] = {
    {"dryRun", "string", "With All, the request is judged and answered but nothing is stored."},
    {"gracePeriodSeconds", "integer", "How long the object may take to end."},
    {"orphanDependents", "boolean", "Older form of propagationPolicy."},
    {"propagationPolicy", "string",
     "What becomes of dependents: Orphan, Background or Foreground."},
};
constexpr Parameter kListParameters[] = {
    {"allowWatchBookmarks", "boolean", "A watch may carry bookmarks."},
    {"continue", "string", "Where an earlier list ended."},
    {"fieldSelector", "string", "Only objects whose fields match."},
    {"labelSelector", "string", "Only objects whose labels match."},
    {"limit", "integer", "At most this many objects in one answer."},
    {"resourceVersion", "string", "The version the answer is to be based on."},
    {"resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan."},
    {"sendInitialEvents", "boolean", "A watch begins with the objects that are there."},
    {"timeoutSeconds", "integer", "How long a list or watch may last."},
    {"watch", "boolean", "Changes as they happen in place of a list."},
};

// "rbac.authorization.k8s.io": RbacAuthorization. The core group is Core.
std::string camel_group(std::string_view group) {
  if (group.empty()) return "Core";
  if (group.ends_with(".k8s.io")) group.remove_suffix(7);
  std::string out;
  for (std::string_view part : split(group, '.')) {
    for (std::string_view word : split(part, '-')) {
      if (word.empty()) continue;
      out += to_upper(word.substr(0, 1));
      out += word.substr(1);
    }
  }
  return out;
}

std::string camel(std::string_view word) {
  return word.empty() ? "" : to_upper(word.substr(0, 1)) + std::string(word.substr(1));
}

std::string group_path(const Resource& row) {
  std::string out = row.group.empty() ? "/api/" : "/apis/" + std::string(row.group) + "/";
  return out.append(row.version);
}

bool has_verb(const Resource& row, std::string_view verb) {
  static constexpr std::string_view kStandard[] = {"create", "delete", "deletecollection", "get",
                                                   "list",   "patch",  "update",           "watch"};
  std::span<const std::string_view> verbs = row.verbs.empty() ? kStandard : row.verbs;
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

// Writes the paths of one document, and asks its schema writer for the definitions they mention.
class PathWriter {
 public:
  PathWriter(OpenApi version, json::Node paths, SchemaWriter& schemas)
      : version_(version), paths_(paths), schemas_(schemas) {}

  void add_row(const Resource& row) {
    row_ = &row;
    const Struct* type = row.schema;
    if (type != nullptr) schemas_.add_kind(*type, {row.group, row.version, row.kind});
    std::string base = group_path(row);
    std::string scoped = row.namespaced() ? base + "/namespaces/{namespace}/" : base + "/";
    add_collection(scoped.append(row.plural), row.namespaced());
    if (row.namespaced() && has_verb(row, "list")) {
      std::string all = base + "/" + std::string(row.plural);
      json::Node path = path_item(all, false, false);
      operation(path, {"get", "list", "list", "ForAllNamespaces", list_definition(), {}});
    }
    for (const Subresource& sub : row.subresources) add_subresource(scoped, sub);
  }

 private:
  struct Operation {
    std::string_view method, action, prefix, suffix;
    std::string answer;  // A definition; empty: text.
    const Struct* body = nullptr;
    std::string_view kind = {}, group = {}, version = {};  // When they are not the row's.
  };

  void add_collection(const std::string& path, bool namespaced) {
    const Resource& row = *row_;
    std::string object = definition_of(row.schema);
    json::Node collection = path_item(path, namespaced, false);
    if (has_verb(row, "deletecollection")) {
      operation(collection,
                {"delete", "deletecollection", "deleteCollection", "",
                 std::string(meta_struct("Status").definition), &meta_struct("DeleteOptions")});
    }
    if (has_verb(row, "list")) {
      operation(collection, {"get", "list", "list", "", list_definition(), nullptr});
    }
    if (has_verb(row, "create"))
      operation(collection, {"post", "post", "create", "", object, row.schema});
    if (!has_verb(row, "get")) return;
    json::Node one = path_item(path + "/{name}", namespaced, true);
    if (has_verb(row, "delete")) {
      operation(one,
                {"delete", "delete", "delete", "", std::string(meta_struct("Status").definition),
                 &meta_struct("DeleteOptions")});
    }
    operation(one, {"get", "get", "read", "", object, nullptr});
    if (has_verb(row, "patch")) operation(one, {"patch", "patch", "patch", "", object, nullptr});
    if (has_verb(row, "update")) operation(one, {"put", "put", "replace", "", object, row.schema});
  }

  void add_subresource(const std::string& collection, const Subresource& sub) {
    const Struct* type = sub.schema != nullptr ? sub.schema : row_->schema;
    std::string_view group = sub.version.empty() ? row_->group : sub.group;
    std::string_view version = sub.version.empty() ? row_->version : sub.version;
    if (type != nullptr && sub.schema != nullptr)
      schemas_.add_kind(*type, {group, version, sub.kind});
    json::Node path =
        path_item(collection + "/{name}/" + std::string(sub.name), row_->namespaced(), true);
    std::string suffix = camel(sub.name);
    static constexpr std::string_view kDefault[] = {"get", "patch", "update"};
    std::span<const std::string_view> verbs = sub.verbs.empty() ? kDefault : sub.verbs;
    // Streams answer with whatever the other end says, as does what can only be read (logs).
    bool connects = sub.kind.ends_with("Options");
    bool text = connects || (sub.schema == nullptr && verbs.size() == 1 && verbs[0] == "get");
    for (std::string_view verb : verbs) {
      for (const VerbRow& row : kSubresourceVerbs) {
        if (row.verb != verb) continue;
        operation(path, {.method = row.method,
                         .action = connects ? "connect" : row.action,
                         .prefix = connects ? "connect" : row.prefix,
                         .suffix = suffix,
                         .answer = definition_of(text ? nullptr : type),
                         .body = row.body && !connects ? type : nullptr,
                         .kind = sub.kind,
                         .group = group,
                         .version = version});
      }
    }
  }

  struct VerbRow {
    std::string_view verb, method, action, prefix;
    bool body;
  };
  static constexpr VerbRow kSubresourceVerbs[] = {
      {"get", "get", "get", "read", false},
      {"create", "post", "post", "create", true},
      {"patch", "patch", "patch", "patch", false},
      {"update", "put", "put", "replace", true},
      {"delete", "delete", "delete", "delete", false},
  };

  std::string definition_of(const Struct* type) {
    if (type == nullptr) return {};
    schemas_.want(*type);
    return std::string(type->definition);
  }

  // The definition of the row's list, which most kinds have a table for.
  std::string list_definition() {
    if (row_->schema == nullptr) return {};
    std::string name = std::string(row_->schema->definition) + "List";
    std::string kind = std::string(row_->kind) + "List";
    if (lists_.contains(name)) return name;
    if (const Struct* list = find_struct(name)) {
      lists_.insert(name);
      auto [at, fresh] = list_kinds_.insert(kind);
      schemas_.add_kind(*list, {row_->group, row_->version, *at});
      return name;
    }
    schemas_.add_list(name, *row_->schema, {row_->group, row_->version, kind});
    lists_.insert(name);
    return name;
  }

  json::Node path_item(const std::string& path, bool namespaced, bool named) {
    json::Node item = paths_.ensure_object(path);
    if (item["parameters"]) return item;
    json::Node parameters = item.add_array("parameters");
    if (named) path_parameter(parameters, "name", "Name of the object.");
    if (namespaced) path_parameter(parameters, "namespace", "Namespace of the object.");
    query_parameter(parameters, kPretty);
    return item;
  }

  void path_parameter(json::Node list, std::string_view name, std::string_view description) {
    json::Node made = list.push_object();
    made.add("description", description);
    made.add("in", std::string_view("path"));
    made.add("name", name);
    made.add("required", true);
    put_type(made, "string");
  }

  void query_parameter(json::Node list, const Parameter& parameter) {
    json::Node made = list.push_object();
    made.add("description", parameter.description);
    made.add("in", std::string_view("query"));
    made.add("name", parameter.name);
    put_type(made, parameter.type);
  }

  void put_type(json::Node parameter, std::string_view type) {
    json::Node at = version_ == OpenApi::kV3 ? parameter.add_object("schema") : parameter;
    at.add("type", type);
    at.add("uniqueItems", true);
  }

  void put_parameters(json::Node made, const Operation& what) {
    json::Node list = made.add_array("parameters");
    auto add = [&](std::span<const Parameter> parameters) {
      for (const Parameter& parameter : parameters) query_parameter(list, parameter);
    };
    if (what.action == "list" || what.action == "deletecollection") add(kListParameters);
    if (what.action == "delete" || what.action == "deletecollection") add(kDeleteParameters);
    if (what.action == "post" || what.action == "put" || what.action == "patch")
      add(kWriteParameters);
    if (what.action == "patch") query_parameter(list, kForce);
    if (version_ == OpenApi::kV2) put_body_v2(list, what);
  }

  void put_body_v2(json::Node list, const Operation& what) {
    bool patch = what.action == "patch";
    if (!patch && what.body == nullptr) return;
    json::Node body = list.push_object();
    body.add("in", std::string_view("body"));
    body.add("name", std::string_view("body"));
    if (what.method != "delete") body.add("required", true);
    put_body_schema(body.add_object("schema"), what);
  }

  void put_body_schema(json::Node schema, const Operation& what) {
    if (what.action == "patch") {
      schemas_.add_object(kPatch, "A change to an object; the content type says of which kind.");
      schemas_.put_reference(schema, kPatch);
    } else {
      schemas_.put_reference(schema, *what.body);
    }
  }

  static constexpr std::string_view kPatchTypes[] = {
      "application/json-patch+json", "application/merge-patch+json",
      "application/strategic-merge-patch+json", "application/apply-patch+yaml"};
  static constexpr std::string_view kAnswerTypes[] = {"application/json", "application/yaml",
                                                      "application/vnd.kubernetes.protobuf"};

  void put_body_v3(json::Node made, const Operation& what) {
    bool patch = what.action == "patch";
    if (!patch && what.body == nullptr) return;
    json::Node request = made.add_object("requestBody");
    json::Node content = request.add_object("content");
    if (patch) {
      for (std::string_view type : kPatchTypes) {
        put_body_schema(content.add_object(type).add_object("schema"), what);
      }
    } else {
      put_body_schema(content.add_object("*/*").add_object("schema"), what);
    }
    if (what.method != "delete") request.add("required", true);
  }

  void put_response(json::Node responses, std::string_view code, std::string_view description,
                    const Operation& what) {
    json::Node made = responses.add_object(code);
    made.add("description", description);
    if (code == "401") return;
    if (version_ == OpenApi::kV2) {
      json::Node schema = made.add_object("schema");
      what.answer.empty() ? schema.add("type", std::string_view("string"))
                          : schemas_.put_reference(schema, what.answer);
      return;
    }
    json::Node content = made.add_object("content");
    if (what.answer.empty()) {
      content.add_object("*/*").add_object("schema").add("type", std::string_view("string"));
      return;
    }
    for (std::string_view type : kAnswerTypes) {
      schemas_.put_reference(content.add_object(type).add_object("schema"), what.answer);
    }
  }

  void put_media_types_v2(json::Node made, const Operation& what) {
    json::Node consumes = made.add_array("consumes");
    if (what.action == "patch") {
      for (std::string_view type : kPatchTypes) consumes.push(type);
    } else {
      consumes.push("*/*");
    }
    json::Node produces = made.add_array("produces");
    if (what.answer.empty()) {
      produces.push("*/*");
    } else {
      for (std::string_view type : kAnswerTypes) produces.push(type);
    }
    made.add_array("schemes").push("https");
  }

  void operation(json::Node path, const Operation& what) {
    const Resource& row = *row_;
    json::Node made = path.add_object(what.method);
    made.add("description", std::string_view(fmt::format("{} {}", what.action, row.plural)));
    std::string scope = row.namespaced() && what.suffix != "ForAllNamespaces" ? "Namespaced" : "";
    std::string_view prefix = what.prefix;
    std::string collection = prefix == "deleteCollection" ? "Collection" : "";
    if (!collection.empty()) prefix = "delete";
    if (prefix == "connect") scope = camel(what.method) + scope;
    made.add("operationId", std::string_view(fmt::format(
                                "{}{}{}{}{}{}{}", prefix, camel_group(row.group),
                                camel(row.version), collection, scope, row.kind, what.suffix)));
    put_parameters(made, what);
    if (version_ == OpenApi::kV3) {
      put_body_v3(made, what);
    } else {
      put_media_types_v2(made, what);
    }
    json::Node responses = made.add_object("responses");
    put_response(responses, "200", "OK", what);
    if (what.action == "post" || what.action == "put" || what.action == "patch") {
      put_response(responses, "201", "Created", what);
    }
    if (what.action == "post" || what.action == "delete") {
      put_response(responses, "202", "Accepted", what);
    }
    put_response(responses, "401", "Unauthorized", what);
    std::string tag = camel_group(row.group);
    tag.replace(0, 1, to_lower(tag.substr(0, 1)));
    made.add_array("tags").push(tag.append("_").append(row.version));
    made.add("x-kubernetes-action", what.action);
    json::Node kind = made.add_object("x-kubernetes-group-version-kind");
    const bool own = what.kind.empty();
    kind.add("group", own ? row.group : what.group);
    kind.add("kind", own ? row.kind : what.kind);
    kind.add("version", own ? row.version : what.version);
  }

  const OpenApi version_;
  json::Node paths_;
  SchemaWriter& schemas_;
  const Resource* row_ = nullptr;
  std::set<std::string, std::less<>> lists_;
  std::set<std::string> list_kinds_;  // Keeps the names alive until the definitions are written.
};

using Rows = std::vector<const Resource*>;

Rows rows_of(std::string_view group, std::string_view version,
             std::span<const Resource* const> all) {
  Rows out;
  for (const Resource* row : all) {
    if (row->group == group && row->version == version && !is_retired(*row)) out.push_back(row);
  }
  return out;
}

Rows all_rows(std::span<const Resource* const> custom) {
  Rows out;  // Retired versions have no documents of their own: they are described as what is
             // stored.
  std::ranges::copy_if(resources(), std::back_inserter(out),
                       [](const Resource* row) { return !is_retired(*row); });
  out.insert(out.end(), custom.begin(), custom.end());
  return out;
}

// Options and answers that every group and version has.
void add_common_kinds(SchemaWriter& schemas, std::string_view group, std::string_view version) {
  schemas.add_kind(meta_struct("DeleteOptions"), {group, version, "DeleteOptions"});
  schemas.add_kind(meta_struct("WatchEvent"), {group, version, "WatchEvent"});
}

void put_security(json::Node place) {
  json::Node token = place.add_object("BearerToken");
  token.add("description", std::string_view("Bearer token"));
  token.add("in", std::string_view("header"));
  token.add("name", std::string_view("authorization"));
  token.add("type", std::string_view("apiKey"));
}

void put_info(json::Node root) {
  json::Node info = root.add_object("info");
  info.add("title", std::string_view("Kubernetes"));
  info.add("version", std::string_view("v1.36"));
}

// FNV-1a over what a document is made from.
class Hash {
 public:
  void add(std::string_view text) {
    for (char c : text) step(static_cast<unsigned char>(c));
    step(0);
  }
  void add(const Struct& type) {
    if (!seen_.insert(&type).second) return;
    add(type.definition);
    add(type.description);
    for (const Field& field : type.fields) {
      add(field.name);
      add(field.description);
      add(field.default_json);
      step(static_cast<unsigned char>(field.type.kind));
      step(field.required ? 1 : 0);
      const TypeRef* inner = &field.type;
      while (inner->element != nullptr) inner = inner->element;
      if (inner->structure != nullptr) add(*inner->structure);
    }
  }
  std::string text() const { return fmt::format("{:016X}", state_); }

 private:
  void step(unsigned char byte) { state_ = (state_ ^ byte) * 0x100000001b3; }
  uint64_t state_ = 0xcbf29ce484222325;
  std::set<const Struct*> seen_;
};

json::Draft v2_document(std::span<const Resource* const> custom) {
  json::Draft draft;
  json::Node root = draft.root();
  root.add("swagger", std::string_view("2.0"));
  put_info(root);
  json::Node paths = root.add_object("paths");
  SchemaWriter schemas(OpenApi::kV2, root.add_object("definitions"));
  PathWriter writer(OpenApi::kV2, paths, schemas);
  std::set<std::pair<std::string_view, std::string_view>> versions;
  for (const Resource* row : all_rows(custom)) {
    writer.add_row(*row);
    versions.emplace(row->group, row->version);
  }
  for (const auto& [group, version] : versions) add_common_kinds(schemas, group, version);
  schemas.add_kind(meta_struct("Status"), {"", "v1", "Status"});
  schemas.finish();
  put_security(root.add_object("securityDefinitions"));
  root.add_array("security").push_object().add_array("BearerToken");
  return draft;
}

}  // namespace

std::string openapi_v3(std::string_view group, std::string_view version) {
  return openapi_v3(group, version, resources());
}

std::string openapi_v3(std::string_view group, std::string_view version,
                       std::span<const Resource* const> rows) {
  json::Draft draft;
  json::Node root = draft.root();
  root.add("openapi", std::string_view("3.0.0"));
  put_info(root);
  json::Node paths = root.add_object("paths");
  json::Node components = root.add_object("components");
  SchemaWriter schemas(OpenApi::kV3, components.add_object("schemas"));
  PathWriter writer(OpenApi::kV3, paths, schemas);
  for (const Resource* row : rows_of(group, version, rows)) writer.add_row(*row);
  add_common_kinds(schemas, group, version);
  schemas.add_kind(meta_struct("Status"), {"", "v1", "Status"});
  schemas.finish();
  put_security(components.add_object("securitySchemes"));
  return draft.dump();
}

std::string openapi_v3_index(std::span<const Resource* const> custom) {
  std::map<std::string, Hash> hashes;
  for (const Resource* row : all_rows(custom)) {
    Hash& hash = hashes[group_path(*row).substr(1)];
    hash.add(row->plural);
    hash.add(row->kind);
    for (std::string_view verb : row->verbs) hash.add(verb);
    for (const Subresource& sub : row->subresources) hash.add(sub.name);
    if (row->schema != nullptr) hash.add(*row->schema);
  }
  json::Draft draft;
  json::Node paths = draft.root().add_object("paths");
  for (const auto& [path, hash] : hashes) {
    std::string url = fmt::format("/openapi/v3/{}?hash={}", path, hash.text());
    paths.add_object(path).add("serverRelativeURL", std::string_view(url));
  }
  return draft.dump();
}

std::string openapi_v2(std::span<const Resource* const> custom) {
  return v2_document(custom).dump();
}

std::string openapi_definition_name(const Resource& row) {
  if (row.schema != nullptr) return std::string(row.schema->definition);
  std::vector<std::string_view> parts = split(row.group, '.');
  std::reverse(parts.begin(), parts.end());
  return fmt::format("{}.{}.{}", join(parts, "."), row.version, row.kind);
}

}  // namespace wherry::api
