#include <algorithm>
#include <set>
#include <tuple>

#include "api/extension_rules.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kOperations[] = {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"};
constexpr std::string_view kScopes[] = {"*", "Cluster", "Namespaced"};
constexpr std::string_view kEffects[] = {"None", "NoneOnDryRun"};
constexpr std::string_view kFailures[] = {"Fail", "Ignore"};
constexpr std::string_view kMatches[] = {"Equivalent", "Exact"};
constexpr std::string_view kReinvocations[] = {"IfNeeded", "Never"};
constexpr int64_t kTimeoutSecondsMax = 30;
constexpr size_t kConditionsMax = 64;

bool has_item(json::Value list, std::string_view text) {
  for (json::Value item : list.items()) {
    if (item.as_string() == text) return true;
  }
  return false;
}

// A list that is there, without empty items, in which "*" stands alone.
void validate_wildcard(json::Value list, const char* what, bool empty_allowed, const Path& path,
                       FieldErrors& errors) {
  if (list.empty()) errors.required(path, "");
  if (list.size() > 1 && has_item(list, "*")) {
    errors.invalid(path, list, fmt::format("if '*' is present, must not specify other {}", what));
  }
  size_t at = 0;
  for (json::Value item : list.items()) {
    if (item.as_string().empty() && !empty_allowed) errors.required(path.index(at), "");
    ++at;
  }
}

// pods, pods/status, pods/*, */status, * and */*: no item is covered by another.
void validate_resources(json::Value list, const Path& path, FieldErrors& errors) {
  if (list.empty()) errors.required(path, "");
  std::set<std::string> with_all_parts, parts_of_all;
  bool plain = false;
  size_t at = 0;
  for (json::Value item : list.items()) {
    Path here = path.index(at++);
    std::string_view text = item.as_string();
    if (text.empty()) {
      errors.required(here, "");
      continue;
    }
    auto parts = split_once(text, "/");
    if (!parts) {
      plain = plain || text != "*";
      continue;
    }
    std::string resource(parts->first);
    std::string part(parts->second);
    if (with_all_parts.contains(resource) && part != "*") {
      errors.invalid(here, text,
                     fmt::format("if '{}/*' is present, must not specify {}", resource, text));
    }
    if (parts_of_all.contains(part) && resource != "*") {
      errors.invalid(here, text,
                     fmt::format("if '*/{}' is present, must not specify {}", part, text));
    }
    if (text == "*/*") continue;
    if (part == "*") with_all_parts.insert(resource);
    if (resource == "*") parts_of_all.insert(part);
  }
  if (list.size() > 1 && has_item(list, "*/*")) {
    errors.invalid(path, list, "if '*/*' is present, must not specify other resources");
  } else if (plain && has_item(list, "*")) {
    errors.invalid(path, list,
                   "if '*' is present, must not specify other resources without subresources");
  }
}

}  // namespace

void validate_admission_rule(json::Value rule, const Path& path, FieldErrors& errors) {
  json::Value operations = rule["operations"];
  Path at = path.child("operations");
  validate_wildcard(operations, "operations", true, at, errors);
  size_t index = 0;
  for (json::Value operation : operations.items())
    check_enum(operation.as_string(), kOperations, at.index(index++), errors);
  validate_wildcard(rule["apiGroups"], "API groups", true, path.child("apiGroups"), errors);
  validate_wildcard(rule["apiVersions"], "API versions", false, path.child("apiVersions"), errors);
  validate_resources(rule["resources"], path.child("resources"), errors);
  if (json::Value scope = rule["scope"])
    check_enum(scope.as_string(), kScopes, path.child("scope"), errors);
}

namespace {

void validate_service(json::Value service, const Path& path, FieldErrors& errors) {
  for (const char* field : {"name", "namespace"}) {
    if (service[field].as_string().empty()) errors.required(path.child(field), "");
  }
  if (json::Value port = service["port"]; port && !is_port(port.as_int())) {
    errors.invalid(path.child("port"), port.as_int(),
                   "port is not valid: must be between 1 and 65535, inclusive");
  }
  if (json::Value target = service["path"]) {
    std::string_view text = target.as_string();
    Path at = path.child("path");
    if (!text.starts_with('/')) {
      errors.invalid(at, text, "must start with a '/'");
    }
    std::string_view rest = text.empty() ? text : text.substr(1);
    if (rest.ends_with('/')) rest.remove_suffix(1);
    std::vector<std::string_view> steps = split(rest, '/');
    bool root = text == "/";
    for (size_t i = 0; i < steps.size() && !root; ++i) {
      if (steps[i].empty()) {
        errors.invalid(at, text, fmt::format("segment[{}] may not be empty", i));
        continue;
      }
      for (const std::string& problem : dns_subdomain_problems(steps[i]))
        errors.invalid(at, text, fmt::format("segment[{}]: {}", i, problem));
    }
  }
}

void validate_url(std::string_view url, const Path& path, FieldErrors& errors) {
  constexpr const char* kForm = "; desired format: https://host[/path]";
  auto parts = split_once(url, ":");
  if (!parts || parts->first.empty()) {
    errors.required(path,
                    fmt::format("url must be a valid URL: parse {}: missing protocol scheme{}",
                                quote(url), kForm));
    return;
  }
  if (parts->first != "https") {
    errors.invalid(path, parts->first,
                   fmt::format("'https' is the only allowed URL scheme{}", kForm));
  }
  std::string_view rest = parts->second;
  std::string_view fragment, query;
  if (auto cut = split_once(rest, "#")) std::tie(rest, fragment) = *cut;
  if (auto cut = split_once(rest, "?")) std::tie(rest, query) = *cut;
  std::string_view authority = rest.starts_with("//") ? rest.substr(2) : std::string_view();
  authority = authority.substr(0, authority.find('/'));
  size_t user = authority.rfind('@');
  std::string_view host = user == std::string_view::npos ? authority : authority.substr(user + 1);
  if (host.empty()) errors.invalid(path, host, fmt::format("host must be specified{}", kForm));
  if (user != std::string_view::npos) {
    errors.invalid(path, authority.substr(0, user), "user information is not permitted in the URL");
  }
  if (!fragment.empty()) errors.invalid(path, fragment, "fragments are not permitted in the URL");
  if (!query.empty()) errors.invalid(path, query, "query parameters are not permitted in the URL");
}

}  // namespace

void validate_webhook_client(json::Value client, const Path& path, FieldErrors& errors) {
  json::Value url = client["url"];
  json::Value service = client["service"];
  if (static_cast<bool>(url) == static_cast<bool>(service)) {
    errors.required(path, "exactly one of url or service is required");
  } else if (url) {
    validate_url(url.as_string(), path.child("url"), errors);
  } else {
    validate_service(service, path.child("service"), errors);
  }
}

void validate_review_versions(json::Value versions, const Path& path, FieldErrors& errors) {
  if (versions.empty()) {
    errors.required(path, "must specify one of v1, v1beta1");
    return;
  }
  std::set<std::string_view> seen;
  size_t at = 0;
  for (json::Value version : versions.items()) {
    std::string_view text = version.as_string();
    Path item = path.index(at++);
    if (!seen.insert(text).second) {
      errors.invalid(item, text, "duplicate version");
      continue;
    }
    report(dns_1035_label_problems(text), item, text, errors);
  }
  if (!has_item(versions, "v1") && !has_item(versions, "v1beta1"))
    errors.invalid(path, versions, "must include at least one of v1, v1beta1");
}

void validate_match_conditions(json::Value conditions, const Path& path, FieldErrors& errors) {
  if (conditions.size() > kConditionsMax) errors.too_many(path, conditions.size(), kConditionsMax);
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value condition : conditions.items()) {
    Path item = path.index(at++);
    std::string_view name = condition["name"].as_string();
    if (trim(condition["expression"].as_string()).empty())
      errors.required(item.child("expression"), "");
    if (name.empty()) {
      errors.required(item.child("name"), "");
      continue;
    }
    report(qualified_name_problems(name), item.child("name"), name, errors);
    if (!names.insert(name).second) errors.duplicate(item.child("name"), name);
  }
}

namespace {

void validate_webhook_name(std::string_view name, const Path& path, FieldErrors& errors) {
  if (name.empty()) {
    errors.required(path, "");
    return;
  }
  Problems problems = dns_subdomain_problems(name);
  report(problems, path, name, errors);
  if (problems.empty() && split(name, '.').size() < 3) {
    errors.invalid(path, name, "should be a domain with at least three segments separated by dots");
  }
}

void validate_webhook(json::Value hook, const Path& path, FieldErrors& errors) {
  validate_webhook_name(hook["name"].as_string(), path.child("name"), errors);
  size_t at = 0;
  for (json::Value rule : hook["rules"].items())
    validate_admission_rule(rule, path.child("rules").index(at++), errors);
  auto one_of = [&](const char* field, std::span<const std::string_view> known) {
    if (json::Value value = hook[field])
      check_enum(value.as_string(), known, path.child(field), errors);
  };
  one_of("failurePolicy", kFailures);
  one_of("matchPolicy", kMatches);
  if (hook["sideEffects"].as_string().empty()) {
    errors.required(path.child("sideEffects"), "must specify one of None, NoneOnDryRun");
  } else {
    one_of("sideEffects", kEffects);
  }
  if (json::Value seconds = hook["timeoutSeconds"];
      seconds && (seconds.as_int() < 1 || seconds.as_int() > kTimeoutSecondsMax)) {
    errors.invalid(path.child("timeoutSeconds"), seconds.as_int(),
                   "the timeout value must be between 1 and 30 seconds");
  }
  for (const char* field : {"namespaceSelector", "objectSelector"}) {
    if (hook[field]) validate_label_selector(hook[field], path.child(field), errors);
  }
  validate_webhook_client(hook["clientConfig"], path.child("clientConfig"), errors);
  one_of("reinvocationPolicy", kReinvocations);
}

}  // namespace

void validate_webhooks(json::Value object, FieldErrors& errors) {
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value hook : object["webhooks"].items()) {
    Path path = Path("webhooks").index(at++);
    validate_webhook(hook, path, errors);
    validate_review_versions(hook["admissionReviewVersions"], path.child("admissionReviewVersions"),
                             errors);
    validate_match_conditions(hook["matchConditions"], path.child("matchConditions"), errors);
    std::string_view name = hook["name"].as_string();
    if (!name.empty() && !names.insert(name).second) errors.duplicate(path.child("name"), name);
  }
}

void validate_api_service(json::Value object, FieldErrors& errors) {
  constexpr int64_t kGroupPriorityMax = 20000;
  constexpr int64_t kVersionPriorityMax = 1000;
  json::Value spec = object["spec"];
  Path path("spec");
  std::string_view name = object["metadata"]["name"].as_string();
  std::string_view group = spec["group"].as_string();
  std::string_view version = spec["version"].as_string();
  std::string due = fmt::format("{}.{}", version, group);
  if (name != due) {
    errors.invalid(Path("metadata").child("name"), name,
                   "must be `spec.version+\".\"+spec.group`: " + quote(due));
  }
  if (!group.empty()) {
    report(dns_subdomain_problems(group), path.child("group"), group, errors);
  } else if (version != "v1") {
    errors.required(path.child("group"),
                    "only v1 may have an empty group and it better be legacy kube");
  }
  report(dns_1035_label_problems(version), path.child("version"), version, errors);
  auto bounded = [&](const char* field, int64_t max) {
    int64_t value = spec[field].as_int();
    if (value <= 0 || value > max) {
      errors.invalid(path.child(field), value,
                     fmt::format("must be positive and less than {}", max));
    }
  };
  bounded("groupPriorityMinimum", kGroupPriorityMax);
  bounded("versionPriority", kVersionPriorityMax);
  json::Value service = spec["service"];
  json::Value bundle = spec["caBundle"];
  if (!service) {
    if (!bundle.as_string().empty()) {
      size_t padding = bundle.as_string().ends_with("==") ? 2 : bundle.as_string().ends_with("=");
      errors.invalid(path.child("caBundle"),
                     fmt::format("{} bytes", bundle.as_string().size() / 4 * 3 - padding),
                     "local APIServices may not have a caBundle");
    }
    if (spec["insecureSkipTLSVerify"].as_bool()) {
      errors.invalid(path.child("insecureSkipTLSVerify"), spec["insecureSkipTLSVerify"],
                     "local APIServices may not have insecureSkipTLSVerify");
    }
    return;
  }
  Path at = path.child("service");
  for (const char* field : {"namespace", "name"}) {
    if (service[field].as_string().empty()) errors.required(at.child(field), "");
  }
  if (json::Value port = service["port"]; port && !is_port(port.as_int())) {
    errors.invalid(at.child("port"), port.as_int(),
                   "port is not valid: must be between 1 and 65535, inclusive");
  }
  if (spec["insecureSkipTLSVerify"].as_bool() && !bundle.as_string().empty()) {
    errors.invalid(path.child("insecureSkipTLSVerify"), spec["insecureSkipTLSVerify"],
                   "may not be true if caBundle is present");
  }
}

}  // namespace wherry::api
