// Rules of admission policies and their bindings, admissionregistration.k8s.io/v1.
// DEVIATION: expressions are not compiled, so that a wrong one is not refused.

#include <algorithm>
#include <set>

#include "api/extension_rules.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kFailures[] = {"Fail", "Ignore"};
constexpr std::string_view kMatches[] = {"Equivalent", "Exact"};
constexpr std::string_view kReasons[] = {"Forbidden", "Invalid", "RequestEntityTooLarge"};
constexpr std::string_view kActions[] = {"Audit", "Deny", "Warn"};
constexpr std::string_view kNotFoundActions[] = {"Deny", "Allow"};
constexpr std::string_view kReinvocations[] = {"IfNeeded", "Never"};
constexpr std::string_view kPatchTypes[] = {"ApplyConfiguration", "JSONPatch"};
constexpr std::string_view kMutatingOperations[] = {"*", "CONNECT", "CREATE", "UPDATE"};
// Words that the expression language keeps for itself.
constexpr std::string_view kReserved[] = {
    "as",       "break",   "const",  "continue", "else", "false", "for",
    "function", "if",      "import", "in",       "let",  "loop",  "namespace",
    "null",     "package", "return", "true",     "var",  "void",  "while"};

bool is_identifier(std::string_view text) {
  auto letter = [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; };
  auto good = [&](char c) { return letter(c) || c == '_' || (c >= '0' && c <= '9'); };
  return !text.empty() && (letter(text[0]) || text[0] == '_') &&
         std::all_of(text.begin(), text.end(), good) &&
         std::find(std::begin(kReserved), std::end(kReserved), text) == std::end(kReserved);
}

bool is_blank(json::Value text) { return trim(text.as_string()).empty(); }

void check_one_of(json::Value value, std::span<const std::string_view> known, const Path& path,
                  FieldErrors& errors) {
  if (value.as_string().empty()) {
    errors.required(path, "");
  } else {
    check_enum(value.as_string(), known, path, errors);
  }
}

void validate_param_kind(json::Value kind, const Path& path, FieldErrors& errors) {
  std::string_view text = kind["apiVersion"].as_string();
  Path at = path.child("apiVersion");
  std::vector<std::string_view> parts = split(text, '/');
  if (text.empty()) {
    errors.required(at, "");
  } else if (parts.size() > 2) {
    errors.invalid(at, text, fmt::format("unexpected GroupVersion string: {}", text));
  } else {
    std::string_view group = parts.size() == 2 ? parts[0] : std::string_view();
    if (!group.empty()) report(dns_subdomain_problems(group), at, group, errors);
    if (parts.back().empty()) {
      errors.invalid(at, text, "version must be specified");
    } else {
      report(dns_1035_label_problems(parts.back()), at, parts.back(), errors);
    }
  }
  std::string_view name = kind["kind"].as_string();
  at = path.child("kind");
  if (name.empty()) {
    errors.required(at, "");
    return;
  }
  for (const std::string& problem : dns_1035_label_problems(to_lower(name)))
    errors.invalid(at, name, "may have mixed case, but should otherwise match: " + problem);
}

void validate_resource_rules(json::Value rules, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value rule : rules.items()) {
    Path here = path.index(at++);
    std::set<std::string_view> seen;
    size_t index = 0;
    for (json::Value item : rule["resourceNames"].items()) {
      std::string_view name = item.as_string();
      Path name_path = here.child("resourceNames").index(index++);
      report(path_segment_problems(name), name_path, name, errors);
      if (!seen.insert(name).second) errors.duplicate(name_path, name);
    }
    validate_admission_rule(rule, here, errors);
  }
}

void validate_match_resources(json::Value match, const Path& path, FieldErrors& errors) {
  check_one_of(match["matchPolicy"], kMatches, path.child("matchPolicy"), errors);
  for (const char* field : {"namespaceSelector", "objectSelector"}) {
    if (match[field]) validate_label_selector(match[field], path.child(field), errors);
  }
  for (const char* field : {"resourceRules", "excludeResourceRules"})
    validate_resource_rules(match[field], path.child(field), errors);
}

void validate_variables(json::Value variables, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value variable : variables.items()) {
    Path here = path.index(at++);
    std::string_view name = variable["name"].as_string();
    if (name.empty()) {
      errors.required(here.child("name"), "name is not specified");
    } else if (!is_identifier(name)) {
      errors.invalid(here.child("name"), name, "must be a valid CEL identifier");
    }
    if (is_blank(variable["expression"]))
      errors.required(here.child("expression"), "expression is not specified");
  }
}

// What both kinds of policy have before their own part.
void validate_policy_head(json::Value spec, FieldErrors& errors) {
  Path path("spec");
  check_one_of(spec["failurePolicy"], kFailures, path.child("failurePolicy"), errors);
  if (json::Value kind = spec["paramKind"])
    validate_param_kind(kind, path.child("paramKind"), errors);
  json::Value match = spec["matchConstraints"];
  Path at = path.child("matchConstraints");
  if (!match) {
    errors.required(at, "");
  } else {
    validate_match_resources(match, at, errors);
    if (match["resourceRules"].empty()) errors.required(at.child("resourceRules"), "");
  }
}

void validate_policy_conditions(json::Value spec, FieldErrors& errors) {
  Path path("spec");
  validate_match_conditions(spec["matchConditions"], path.child("matchConditions"), errors);
  validate_variables(spec["variables"], path.child("variables"), errors);
}

void validate_validation(json::Value validation, const Path& path, FieldErrors& errors) {
  constexpr const char* kBlank = "must be non-empty if specified";
  if (is_blank(validation["expression"]))
    errors.required(path.child("expression"), "expression is not specified");
  std::string_view expression = validation["messageExpression"].as_string();
  if (!expression.empty() && trim(expression).empty())
    errors.invalid(path.child("messageExpression"), expression, kBlank);
  std::string_view message = validation["message"].as_string();
  if (!message.empty() && trim(message).empty()) {
    errors.invalid(path.child("message"), message, kBlank);
  } else if (trim(message).find('\n') != std::string_view::npos) {
    errors.invalid(path.child("message"), message, "must not contain line breaks");
  }
  if (json::Value reason = validation["reason"])
    check_enum(reason.as_string(), kReasons, path.child("reason"), errors);
}

void validate_audit_annotations(json::Value annotations, std::string_view policy, const Path& path,
                                FieldErrors& errors) {
  std::set<std::string_view> keys;
  size_t at = 0;
  for (json::Value annotation : annotations.items()) {
    Path here = path.index(at++);
    std::string_view key = annotation["key"].as_string();
    std::string full = fmt::format("{}/{}", policy, key);
    report(qualified_name_problems(full), here.child("key"), full, errors);
    if (is_blank(annotation["valueExpression"]))
      errors.required(here.child("valueExpression"), "valueExpression is not specified");
    if (!keys.insert(key).second) errors.duplicate(here.child("key"), key);
  }
}

void validate_mutation(json::Value mutation, const Path& path, FieldErrors& errors) {
  struct Form {
    std::string_view type, field;
  };
  constexpr Form kForms[] = {{"ApplyConfiguration", "applyConfiguration"},
                             {"JSONPatch", "jsonPatch"}};
  std::string_view type = mutation["patchType"].as_string();
  check_one_of(mutation["patchType"], kPatchTypes, path.child("patchType"), errors);
  for (const Form& form : kForms) {
    if (form.type != type) continue;
    if (!mutation[form.field]) {
      errors.required(path.child(form.field),
                      fmt::format("must be specified when patchType is {}", type));
    } else if (is_blank(mutation[form.field]["expression"])) {
      errors.required(path.child(form.field).child("expression"), "");
    }
    for (const Form& other : kForms) {
      if (other.type == type || !mutation[other.field]) continue;
      errors.invalid(path.child(other.field), fmt::format("{{{}}}", other.field),
                     fmt::format("must not be specified when patchType is {}", type));
    }
  }
}

void validate_param_ref(json::Value reference, const Path& path, FieldErrors& errors) {
  constexpr const char* kExclusive = "name and selector are mutually exclusive";
  std::string_view name = reference["name"].as_string();
  json::Value selector = reference["selector"];
  if (!name.empty()) {
    report(path_segment_problems(name), path.child("name"), name, errors);
    if (selector) errors.forbidden(path.child("name"), kExclusive);
  }
  if (selector) {
    validate_label_selector(selector, path.child("selector"), errors);
    if (!name.empty()) errors.forbidden(path.child("selector"), kExclusive);
  }
  if (name.empty() && !selector) errors.required(path, "one of name or selector must be specified");
  Path at = path.child("parameterNotFoundAction");
  check_one_of(reference["parameterNotFoundAction"], kNotFoundActions, at, errors);
}

void validate_binding_head(json::Value spec, FieldErrors& errors) {
  Path path("spec");
  std::string_view name = spec["policyName"].as_string();
  if (name.empty()) {
    errors.required(path.child("policyName"), "");
  } else {
    report(dns_subdomain_problems(name), path.child("policyName"), name, errors);
  }
  if (json::Value reference = spec["paramRef"])
    validate_param_ref(reference, path.child("paramRef"), errors);
  if (json::Value match = spec["matchResources"])
    validate_match_resources(match, path.child("matchResources"), errors);
}

}  // namespace

void validate_admission_policy(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  validate_policy_head(spec, errors);
  validate_policy_conditions(spec, errors);
  if (spec["validations"].empty() && spec["auditAnnotations"].empty()) {
    for (const char* field : {"validations", "auditAnnotations"}) {
      errors.required(path.child(field),
                      "validations or auditAnnotations must contain at least one item");
    }
  }
  size_t at = 0;
  for (json::Value validation : spec["validations"].items())
    validate_validation(validation, path.child("validations").index(at++), errors);
  validate_audit_annotations(spec["auditAnnotations"], object["metadata"]["name"].as_string(),
                             path.child("auditAnnotations"), errors);
}

void validate_mutating_policy(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  validate_policy_head(spec, errors);
  for (json::Value rule : spec["matchConstraints"]["resourceRules"].items()) {
    for (json::Value operation : rule["operations"].items()) {
      check_enum(operation.as_string(), kMutatingOperations,
                 path.child("matchConstraints").child("resourceRules").child("operations"), errors);
    }
  }
  validate_policy_conditions(spec, errors);
  if (spec["mutations"].empty())
    errors.required(path.child("mutations"), "mutations must contain at least one item");
  size_t at = 0;
  for (json::Value mutation : spec["mutations"].items())
    validate_mutation(mutation, path.child("mutations").index(at++), errors);
  check_one_of(spec["reinvocationPolicy"], kReinvocations, path.child("reinvocationPolicy"),
               errors);
}

void validate_admission_policy_binding(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  validate_binding_head(spec, errors);
  json::Value actions = spec["validationActions"];
  Path path = Path("spec").child("validationActions");
  if (actions.empty()) errors.required(path, "at least one validation action is required");
  std::set<std::string_view> seen;
  size_t at = 0;
  for (json::Value action : actions.items()) {
    Path here = path.index(at++);
    check_enum(action.as_string(), kActions, here, errors);
    if (!seen.insert(action.as_string()).second) errors.duplicate(here, action.as_string());
  }
  if (seen.contains("Deny") && seen.contains("Warn")) {
    errors.invalid(path, actions,
                   "must not contain both Deny and Warn (repeating the same validation failure "
                   "information in the API response and headers serves no purpose)");
  }
}

void validate_mutating_policy_binding(json::Value object, FieldErrors& errors) {
  validate_binding_head(object["spec"], errors);
}

}  // namespace wherry::api
