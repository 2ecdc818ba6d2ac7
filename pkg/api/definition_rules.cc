#include "api/definition_rules.h"

#include <algorithm>
#include <set>

#include "api/extension_rules.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/schema_apiextensions_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kScopes[] = {"Cluster", "Namespaced"};
constexpr std::string_view kStrategies[] = {"None", "Webhook"};
constexpr std::string_view kColumnTypes[] = {"boolean", "date", "integer", "number", "string"};
constexpr std::string_view kColumnFormats[] = {"byte",  "date",  "date-time", "double",
                                               "float", "int32", "int64",     "password"};
constexpr const char* kApproval = "api-approved.kubernetes.io";
constexpr size_t kWarningBytesMax = 256;
// What of a version upstream keeps once for all of them, as long as they agree.
constexpr const char* kCommon[] = {"schema", "subresources", "additionalPrinterColumns",
                                   "selectableFields"};

bool is_common(json::Value versions, const char* field) {
  for (json::Value version : versions.items()) {
    if (!json::equal(version[field], versions.at(0)[field])) return false;
  }
  return true;
}

// ---- Names

void validate_names(json::Value names, const Path& path, FieldErrors& errors) {
  auto label = [&](const char* field, bool mixed_case) {
    std::string_view text = names[field].as_string();
    if (text.empty()) {
      errors.required(path.child(field), "");
      return;
    }
    for (const std::string& problem : dns_1035_label_problems(mixed_case ? to_lower(text) : text)) {
      errors.invalid(
          path.child(field), text,
          mixed_case ? "may have mixed case, but should otherwise match: " + problem : problem);
    }
  };
  label("plural", false);
  label("singular", false);
  label("kind", true);
  label("listKind", true);
  auto each = [&](const char* field) {
    size_t at = 0;
    for (json::Value item : names[field].items()) {
      Path here = path.child(field).index(at++);
      report(dns_1035_label_problems(item.as_string()), here, item.as_string(), errors);
    }
  };
  each("shortNames");
  std::string_view kind = names["kind"].as_string();
  if (!kind.empty() && kind == names["listKind"].as_string())
    errors.invalid(path.child("listKind"), kind, "kind and listKind may not be the same");
  each("categories");
}

// ---- What a version has

void validate_columns(json::Value columns, const Path& path, FieldErrors& errors) {
  auto known = [&](std::string_view text, std::span<const std::string_view> all, const Path& at) {
    if (std::find(all.begin(), all.end(), text) != all.end()) return;
    errors.invalid(at, text, "must be one of " + join(all, ","));
  };
  size_t index = 0;
  for (json::Value column : columns.items()) {
    Path at = path.index(index++);
    if (column["name"].as_string().empty()) errors.required(at.child("name"), "");
    std::string_view type = column["type"].as_string();
    if (type.empty()) {
      errors.required(at.child("type"), "must be one of " + join(kColumnTypes, ","));
    } else {
      known(type, kColumnTypes, at.child("type"));
    }
    if (std::string_view format = column["format"].as_string(); !format.empty())
      known(format, kColumnFormats, at.child("format"));
    std::string_view place = column["jsonPath"].as_string();
    if (place.empty()) {
      errors.required(at.child("JSONPath"), "");
    } else if (place[0] != '.') {
      errors.invalid(at.child("JSONPath"), place, "must be a simple json path starting with .");
    }
  }
}

void validate_scale(json::Value scale, const Path& path, FieldErrors& errors) {
  auto check = [&](const char* field, std::initializer_list<const char*> under, const char* where) {
    std::string_view place = scale[field].as_string();
    Path at = path.child(field);
    if (place.empty()) return false;
    if (place[0] != '.') {
      errors.invalid(at, place, "must be a simple json path starting with .");
    } else if (std::none_of(under.begin(), under.end(),
                            [&](const char* root) { return place.starts_with(root); })) {
      errors.invalid(at, place, fmt::format("should be a json path under {}", where));
    }
    return true;
  };
  if (!check("specReplicasPath", {".spec."}, ".spec"))
    errors.required(path.child("specReplicasPath"), "");
  if (!check("statusReplicasPath", {".status."}, ".status"))
    errors.required(path.child("statusReplicasPath"), "");
  check("labelSelectorPath", {".spec.", ".status."}, "either .spec or .status");
}

// The schema a path of plain steps leads to; `why` says what is wrong with the path.
json::Value field_at(json::Value schema, std::string_view place, std::string* why) {
  if (place.find('[') != std::string_view::npos && place[0] == '.') {
    *why = "array notation is not allowed";
    return {};
  }
  if (place[0] != '.') {
    *why =
        fmt::format("expected [ or . but got: {}", place.substr(0, place.find_first_of(".[", 1)));
    if (place[0] == '$' || place[0] == '{')
      *why = fmt::format("expected [ or . but got: {}", place[0]);
    return {};
  }
  for (std::string_view step : split(place.substr(1), '.')) {
    if (step.empty()) {
      *why = "unexpected end of JSON path";
      return {};
    }
    schema = schema["properties"][step];
  }
  if (!schema) *why = "does not refer to a valid field";
  return schema;
}

void validate_selectable(json::Value fields, json::Value schema, const Path& path,
                         FieldErrors& errors) {
  std::set<std::string_view> seen;
  size_t index = 0;
  for (json::Value field : fields.items()) {
    Path at = path.index(index++).child("jsonPath");
    std::string_view place = field["jsonPath"].as_string();
    if (place.empty()) {
      errors.required(at, "");
      continue;
    }
    std::string why;
    json::Value target = field_at(schema, place, &why);
    if (!why.empty()) {
      errors.invalid(at, place, "is an invalid path: " + why);
      continue;
    }
    if (place == ".metadata" || place.starts_with(".metadata."))
      errors.invalid(at, place, "must not point to fields in metadata");
    std::string_view type = target["type"].as_string();
    if (type != "string" && type != "boolean" && type != "integer") {
      errors.invalid(at, place,
                     "must point to a field of type string, boolean or integer. Enum string "
                     "fields and strings with formats are allowed.");
    }
    if (!seen.insert(place).second) errors.duplicate(at, place);
  }
}

// The parts of `version` that stand (or do not stand) in all versions alike. `schema_name` is what
// the place of the schema is called there.
void validate_parts(json::Value versions, json::Value version, bool common, const char* schema_name,
                    const Path& path, FieldErrors& errors) {
  auto here = [&](const char* field) { return is_common(versions, field) == common; };
  json::Value schema = version["schema"]["openAPIV3Schema"];
  if (here("schema") && schema)
    validate_definition_schema(schema, path.child(schema_name).child("openAPIV3Schema"), errors);
  if (json::Value scale = version["subresources"]["scale"]; here("subresources") && scale)
    validate_scale(scale, path.child("subresources").child("scale"), errors);
  if (here("additionalPrinterColumns")) {
    validate_columns(version["additionalPrinterColumns"], path.child("additionalPrinterColumns"),
                     errors);
  }
  if (here("selectableFields")) {
    validate_selectable(version["selectableFields"], schema, path.child("selectableFields"),
                        errors);
  }
}

void validate_warning(json::Value version, const Path& path, FieldErrors& errors) {
  json::Value warning = version["deprecationWarning"];
  if (!warning) return;
  std::string_view text = warning.as_string();
  if (!version["deprecated"].as_bool()) {
    errors.invalid(path, text, "can only be set for deprecated versions");
    return;
  }
  if (text.size() > kWarningBytesMax) {
    errors.invalid(path, text, fmt::format("must be <= {} characters long", kWarningBytesMax));
  }
  if (text.empty()) errors.invalid(path, text, "must not be an empty string");
  auto bad = std::find_if(text.begin(), text.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
  if (bad != text.end()) {
    errors.invalid(path, text,
                   fmt::format("must only contain printable UTF-8 characters; non-printable "
                               "character found at index {}",
                               bad - text.begin()));
  }
}

// As upstream keeps them: the common parts stand elsewhere.
json::Document shown_versions(json::Value versions) {
  json::Draft draft;
  json::Node list = draft.root().set_array("versions");
  for (json::Value version : versions.items()) {
    json::Draft copy(version);
    for (const char* field : kCommon) {
      if (is_common(versions, field)) copy.root().remove(field);
    }
    json::Document kept = copy.freeze();
    list.push(
        go_struct(schema::apiextensions_v1::kCustomResourceDefinitionVersion, kept.root()).root());
  }
  return draft.freeze();
}

void validate_versions(json::Value spec, FieldErrors& errors) {
  json::Value versions = spec["versions"];
  Path path = Path("spec").child("versions");
  size_t index = 0;
  for (json::Value version : versions.items()) {
    Path at = path.index(index++);
    if (!version["schema"]["openAPIV3Schema"])
      errors.required(at.child("schema").child("openAPIV3Schema"), "");
  }
  std::set<std::string_view> names;
  size_t stored = 0;
  index = 0;
  for (json::Value version : versions.items()) {
    Path at = path.index(index++);
    std::string_view name = version["name"].as_string();
    names.insert(name);
    if (version["storage"].as_bool()) ++stored;
    report(dns_1035_label_problems(name), at.child("name"), name, errors);
    validate_warning(version, at.child("deprecationWarning"), errors);
    validate_parts(versions, version, false, "schema", at, errors);
  }
  json::Document shown = shown_versions(versions);
  json::Value list = versions.is_array() ? shown.root()["versions"] : json::Value();
  if (names.size() != versions.size())
    errors.invalid(path, list, "must contain unique version names");
  if (stored != 1)
    errors.invalid(path, list, "must have exactly one version marked as storage version");
  // The first version's name stands in a field of its own upstream.
  if (std::string_view name = versions.at(0)["name"].as_string(); !name.empty())
    report(dns_1035_label_problems(name), Path("spec").child("version"), name, errors);
}

// ---- The rest

void validate_conversion(json::Value spec, FieldErrors& errors) {
  constexpr const char* kOtherStrategy = "should not be set when strategy is not set to Webhook";
  json::Value conversion = spec["conversion"];
  json::Value client = conversion["webhook"]["clientConfig"];
  json::Value reviews = conversion["webhook"]["conversionReviewVersions"];
  Path path = Path("spec").child("conversion");
  std::string_view strategy = conversion["strategy"].as_string();
  if (strategy.empty()) {
    errors.required(path.child("strategy"), "");
  } else {
    if (strategy != "None" && spec["preserveUnknownFields"].as_bool()) {
      errors.invalid(path.child("strategy"), strategy,
                     "must be None if spec.preserveUnknownFields is true");
    }
    check_enum(strategy, kStrategies, path.child("strategy"), errors);
  }
  if (strategy == "Webhook") {
    if (!client) {
      errors.required(path.child("webhookClientConfig"),
                      "required when strategy is set to Webhook");
    } else {
      validate_webhook_client(client, path.child("webhookClientConfig"), errors);
    }
    if (reviews.empty()) {
      errors.required(path.child("conversionReviewVersions"), "");
    } else {
      validate_review_versions(reviews, path.child("conversionReviewVersions"), errors);
    }
    return;
  }
  if (client) errors.forbidden(path.child("webhookClientConfig"), kOtherStrategy);
  if (!reviews.empty()) errors.forbidden(path.child("conversionReviewVersions"), kOtherStrategy);
}

// Groups of the Kubernetes project itself ask for a sign that it agrees.
void validate_approval(json::Value object, FieldErrors& errors) {
  std::string_view group = object["spec"]["group"].as_string();
  bool guarded = group == "k8s.io" || group == "kubernetes.io" || group.ends_with(".k8s.io") ||
                 group.ends_with(".kubernetes.io");
  if (!guarded) return;
  constexpr const char* kWhere = "see https://github.com/kubernetes/enhancements/pull/1111";
  Path path = Path("metadata").child("annotations").key(kApproval);
  std::string_view approval = object["metadata"]["annotations"][kApproval].as_string();
  if (approval.empty()) {
    errors.required(path, fmt::format("protected groups must have approval annotation {}, {}",
                                      quote(kApproval), kWhere));
  } else if (!approval.starts_with("unapproved") &&
             approval.find("://") == std::string_view::npos) {
    errors.invalid(path, approval,
                   fmt::format("protected groups must have approval annotation {} with either a "
                               "URL or a reason starting with \"unapproved\", {}",
                               quote(kApproval), kWhere));
  }
}

void validate_stored(json::Value object, FieldErrors& errors) {
  json::Value stored = object["status"]["storedVersions"];
  Path path = Path("status").child("storedVersions");
  if (stored.empty()) {
    errors.invalid(path, json::Value(), "must have at least one stored version");
    return;
  }
  std::string_view wanted;
  std::set<std::string_view> known;
  for (json::Value version : object["spec"]["versions"].items()) {
    known.insert(version["name"].as_string());
    if (version["storage"].as_bool()) wanted = version["name"].as_string();
  }
  bool found = false;
  size_t at = 0;
  for (json::Value version : stored.items()) {
    std::string_view name = version.as_string();
    found = found || name == wanted;
    if (!known.contains(name)) {
      errors.invalid(
          path.index(at), name,
          fmt::format("missing from spec.versions; {0} was previously a storage version, "
                      "and must remain in spec.versions until a storage migration "
                      "ensures no data remains persisted in {0} and removes {0} from "
                      "status.storedVersions",
                      name));
    }
    ++at;
  }
  if (!found && !wanted.empty())
    errors.invalid(path, stored, fmt::format("must have the storage version {}", wanted));
}

// Objects may lie in the store in any version that has ever been the storage version.
void keep_stored_versions(json::Node object) {
  json::Node status = object.ensure_object("status");
  for (json::Node version : object["spec"]["versions"].items()) {
    if (!version["storage"].as_bool()) continue;
    std::string name(version["name"].as_string());
    json::Node stored = status["storedVersions"];
    if (!stored.is_array()) stored = status.set_array("storedVersions");
    for (json::Node known : stored.items()) {
      if (known.as_string() == name) return;
    }
    stored.push(name);
    return;
  }
}

}  // namespace

void default_definition(json::Node object) {
  json::Node spec = object.ensure_object("spec");
  if (json::Node names = spec["names"]; names.is_object()) {
    std::string kind(names["kind"].as_string());
    if (names["singular"].as_string().empty()) names.set("singular", to_lower(kind));
    if (names["listKind"].as_string().empty() && !kind.empty())
      names.set("listKind", kind + "List");
  }
  if (!spec["conversion"]) spec.ensure_object("conversion").set("strategy", "None");
  json::Node service = spec["conversion"]["webhook"]["clientConfig"]["service"];
  if (service.is_object() && !service["port"]) service.set("port", 443);
}

void prepare_definition(json::Node object, Time) { keep_stored_versions(object); }

void prepare_definition_update(json::Value, json::Node after, Time) { keep_stored_versions(after); }

void validate_definition(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  std::string_view name = object["metadata"]["name"].as_string();
  std::string_view group = spec["group"].as_string();
  if (name != fmt::format("{}.{}", spec["names"]["plural"].as_string(), group)) {
    errors.invalid(Path("metadata").child("name"), name,
                   "must be spec.names.plural+\".\"+spec.group");
  }
  if (group.empty()) {
    errors.required(path.child("group"), "");
  } else if (Problems problems = dns_subdomain_problems(group); !problems.empty()) {
    report(problems, path.child("group"), group, errors);
  } else if (group.find('.') == std::string_view::npos) {
    errors.invalid(path.child("group"), group, "should be a domain with at least one dot");
  }
  if (std::string_view scope = spec["scope"].as_string(); scope.empty()) {
    errors.required(path.child("scope"), "");
  } else {
    check_enum(scope, kScopes, path.child("scope"), errors);
  }
  validate_versions(spec, errors);
  validate_names(spec["names"], path.child("names"), errors);
  validate_parts(spec["versions"], spec["versions"].at(0), true, "validation", path, errors);
  validate_conversion(spec, errors);
  if (spec["preserveUnknownFields"].as_bool()) {
    errors.invalid(path.child("preserveUnknownFields"), spec["preserveUnknownFields"],
                   "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                   "spec.versions[*].schema instead");
  }
  validate_approval(object, errors);
  validate_stored(object, errors);
}

void validate_definition_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path("spec");
  auto fixed = [&](json::Value old, json::Value now, const Path& at) {
    if (!json::equal(old, now)) errors.invalid(at, now, "field is immutable");
  };
  json::Value old = before["spec"];
  json::Value now = after["spec"];
  bool established = false;
  for (json::Value condition : before["status"]["conditions"].items()) {
    established = established || (condition["type"].as_string() == "Established" &&
                                  condition["status"].as_string() == "True");
  }
  if (established) {
    fixed(old["scope"], now["scope"], path.child("scope"));
    fixed(old["names"]["kind"], now["names"]["kind"], path.child("names").child("kind"));
  }
  fixed(old["group"], now["group"], path.child("group"));
  fixed(old["names"]["plural"], now["names"]["plural"], path.child("names").child("plural"));
}

void validate_definition_status(json::Value, json::Value after, FieldErrors& errors) {
  json::Value names = after["status"]["acceptedNames"];
  if (names["plural"].as_string().empty()) return;  // Nothing accepted yet.
  validate_names(names, Path("status").child("acceptedNames"), errors);
}

}  // namespace wherry::api
