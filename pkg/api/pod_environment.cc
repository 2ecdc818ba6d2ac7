// The environment of a container: variables, and where their values come from.

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kEnvFieldPaths[] = {"metadata.name",
                                               "metadata.namespace",
                                               "metadata.uid",
                                               "spec.nodeName",
                                               "spec.serviceAccountName",
                                               "status.hostIP",
                                               "status.hostIPs",
                                               "status.podIP",
                                               "status.podIPs"};
constexpr const char* kOneOnly = "may not have more than one field specified at a time";

void validate_key_reference(json::Value reference, const Path& path, FieldErrors& errors) {
  std::string_view name = reference["name"].as_string();
  std::string_view key = reference["key"].as_string();
  report(dns_subdomain_problems(name), path.child("name"), name, errors);
  if (key.empty()) {
    errors.required(path.child("key"), "");
  } else {
    report(config_key_problems(key), path.child("key"), key, errors);
  }
}

// A variable out of a file that another container has written to a volume of the pod.
void validate_file_reference(json::Value reference, json::Value volumes, const Path& path,
                             FieldErrors& errors) {
  std::string_view key = reference["key"].as_string();
  std::string_view name = reference["volumeName"].as_string();
  std::string_view file = reference["path"].as_string();
  if (key.empty()) {
    errors.required(path.child("key"), "");
  } else {
    report(env_name_problems(key), path.child("key"), key, errors);
  }
  if (name.empty()) errors.required(path.child("volumeName"), "");
  if (file.empty()) {
    errors.required(path.child("path"), "");
  } else {
    validate_no_backsteps(file, path.child("path"), errors);
  }
  json::Value volume = name.empty() ? json::Value() : find_named(volumes, name);
  if (!volume) {
    errors.not_found(path.child("volumeName"), name);
  } else if (!volume["emptyDir"]) {
    errors.invalid(path.child("volumeName"), name, "referenced volume must be of type emptyDir");
  }
}

void validate_value_from(json::Value variable, json::Value volumes, const Path& path,
                         FieldErrors& errors) {
  json::Value from = variable["valueFrom"];
  if (!from) return;
  int sources = 0;
  if (json::Value reference = from["fieldRef"]) {
    ++sources;
    validate_field_reference(reference, kEnvFieldPaths, path.child("fieldRef"), errors);
  }
  if (json::Value reference = from["resourceFieldRef"]) {
    ++sources;
    validate_resource_field(reference, ContainerName::kOptional, path.child("resourceFieldRef"),
                            errors);
  }
  if (json::Value reference = from["configMapKeyRef"]) {
    ++sources;
    validate_key_reference(reference, path.child("configMapKeyRef"), errors);
  }
  if (json::Value reference = from["secretKeyRef"]) {
    ++sources;
    validate_key_reference(reference, path.child("secretKeyRef"), errors);
  }
  if (json::Value reference = from["fileKeyRef"]) {
    ++sources;
    validate_file_reference(reference, volumes, path.child("fileKeyRef"), errors);
  }
  if (sources == 0) {
    errors.invalid(path, "",
                   "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
                   "`secretKeyRef` or `fileKeyRef`");
  } else if (!variable["value"].as_string().empty()) {
    errors.invalid(path, "", "may not be specified when `value` is not empty");
  } else if (sources > 1) {
    errors.invalid(path, "", kOneOnly);
  }
}

}  // namespace

json::Value find_named(json::Value list, std::string_view name) {
  for (json::Value item : list.items()) {
    if (item["name"].as_string() == name) return item;
  }
  return {};
}

void validate_env(json::Value container, json::Value volumes, const Path& path,
                  FieldErrors& errors) {
  size_t at = 0;
  for (json::Value variable : container["env"].items()) {
    Path item = path.child("env").index(at++);
    std::string_view name = variable["name"].as_string();
    if (name.empty()) {
      errors.required(item.child("name"), "");
    } else {
      report(env_name_problems(name), item.child("name"), name, errors);
    }
    validate_value_from(variable, volumes, item.child("valueFrom"), errors);
  }
  at = 0;
  for (json::Value source : container["envFrom"].items()) {
    Path item = path.child("envFrom").index(at++);
    std::string_view prefix = source["prefix"].as_string();
    if (!prefix.empty()) report(env_name_problems(prefix), item.child("prefix"), prefix, errors);
    int sources = 0;
    for (const char* kind : {"configMapRef", "secretRef"}) {
      json::Value reference = source[kind];
      if (!reference) continue;
      ++sources;
      std::string_view name = reference["name"].as_string();
      if (name.empty()) {
        errors.required(item.child(kind).child("name"), "");
      } else {
        report(dns_subdomain_problems(name), item.child(kind).child("name"), name, errors);
      }
    }
    if (sources == 0) {
      errors.invalid(path.child("envFrom"), "",
                     "must specify one of: `configMapRef` or `secretRef`");
    } else if (sources > 1) {
      errors.invalid(path.child("envFrom"), "", kOneOnly);
    }
  }
}

}  // namespace wherry::api
