#include <algorithm>
#include <cmath>

#include "api/extension_rules.h"
#include "api/flow_defaults.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/schema_flowcontrol_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kExempt = "exempt";
constexpr std::string_view kCatchAll = "catch-all";
constexpr std::string_view kMethods[] = {"ByNamespace", "ByUser"};
constexpr std::string_view kSubjects[] = {"Group", "ServiceAccount", "User"};
constexpr std::string_view kVerbs[] = {"create", "delete", "deletecollection", "get",  "list",
                                       "patch",  "proxy",  "update",           "watch"};
constexpr std::string_view kLevelTypes[] = {"Exempt", "Limited"};
constexpr std::string_view kResponses[] = {"Queue", "Reject"};
constexpr int64_t kPrecedenceMax = 10000;
constexpr int64_t kQueuesMax = 10'000'000;
constexpr double kEntropyBitsMax = 60;

bool has_star(json::Value list) {
  for (json::Value item : list.items()) {
    if (item.as_string() == "*") return true;
  }
  return false;
}

void validate_subject(json::Value subject, const Path& path, FieldErrors& errors) {
  std::string_view kind = subject["kind"].as_string();
  struct Form {
    const char* field;
    std::string_view kind;
  };
  for (const Form& form :
       {Form{"serviceAccount", "ServiceAccount"}, Form{"user", "User"}, Form{"group", "Group"}}) {
    if (subject[form.field] && kind != form.kind &&
        std::find(std::begin(kSubjects), std::end(kSubjects), kind) != std::end(kSubjects)) {
      errors.forbidden(
          path.child(form.field),
          fmt::format("{} is forbidden when subject kind is not '{}'", form.field, form.kind));
    }
    if (kind != form.kind) continue;
    Path at = path.child(form.field);
    json::Value own = subject[form.field];
    std::string_view name = own["name"].as_string();
    if (!own) {
      errors.required(
          at, fmt::format("{} is required when subject kind is '{}'", form.field, form.kind));
      continue;
    }
    bool account = form.kind == "ServiceAccount";
    if (name.empty()) {
      errors.required(at.child("name"), "");
    } else if (account && name != "*") {
      report(dns_subdomain_problems(name), at.child("name"), name, errors);
    }
    if (!account) continue;
    std::string_view ns = own["namespace"].as_string();
    if (ns.empty()) {
      errors.required(at.child("namespace"), "must specify namespace for service account");
    } else {
      report(dns_label_problems(ns), at.child("namespace"), ns, errors);
    }
  }
  check_enum(kind, kSubjects, path.child("kind"), errors);
}

// Verbs of a rule: there, known, "*" alone.
void validate_verbs(json::Value verbs, const Path& path, FieldErrors& errors) {
  if (verbs.empty()) {
    errors.required(path, "verbs must contain at least one value");
    return;
  }
  if (has_star(verbs)) {
    if (verbs.size() > 1)
      errors.invalid(path, verbs, "if '*' is present, must not specify other verbs");
    return;
  }
  for (json::Value verb : verbs.items()) {
    if (std::find(std::begin(kVerbs), std::end(kVerbs), verb.as_string()) != std::end(kVerbs))
      continue;
    errors.not_supported(path, verbs, kVerbs);
    return;
  }
}

void validate_list(json::Value list, const char* one, const char* many, const Path& path,
                   FieldErrors& errors) {
  if (list.empty()) {
    errors.required(path, fmt::format("resource rules must supply at least one {}", one));
  } else if (list.size() > 1 && has_star(list)) {
    errors.invalid(path, list, fmt::format("if '*' is present, must not specify other {}", many));
  }
}

void validate_resource_rule(json::Value rule, const Path& path, FieldErrors& errors) {
  validate_verbs(rule["verbs"], path.child("verbs"), errors);
  validate_list(rule["apiGroups"], "api group", "api groups", path.child("apiGroups"), errors);
  validate_list(rule["resources"], "resource", "resources", path.child("resources"), errors);
  json::Value namespaces = rule["namespaces"];
  Path at = path.child("namespaces");
  if (namespaces.empty()) {
    if (!rule["clusterScope"].as_bool()) {
      errors.required(at,
                      "resource rules that are not cluster scoped must supply at least one "
                      "namespace");
    }
  } else if (has_star(namespaces)) {
    if (namespaces.size() > 1)
      errors.invalid(at, namespaces, "if '*' is present, must not specify other namespaces");
  } else {
    size_t index = 0;
    for (json::Value name : namespaces.items()) {
      for (const std::string& problem : dns_label_problems(name.as_string())) {
        errors.invalid(at.index(index), name.as_string(),
                       "each member of this list must be '*' or a DNS-1123 label; " + problem);
      }
      ++index;
    }
  }
}

void validate_path_pattern(std::string_view text, const Path& path, FieldErrors& errors) {
  if (text.empty()) {
    errors.invalid(path, text, "must not be empty");
  } else if (text == "/") {
    return;
  } else if (!text.starts_with('/')) {
    errors.invalid(path, text, "must start with slash");
  } else if (text.find(' ') != std::string_view::npos) {
    errors.invalid(path, text, "must not contain white-space");
  } else if (text.find("//") != std::string_view::npos) {
    errors.invalid(path, text, "must not contain double slash");
  } else if (size_t star = text.find('*');
             star != std::string_view::npos && (star + 1 != text.size() || text[star - 1] != '/')) {
    errors.invalid(path, text, "wildcard can only do suffix matching");
  }
}

void validate_path_rule(json::Value rule, const Path& path, FieldErrors& errors) {
  validate_verbs(rule["verbs"], path.child("verbs"), errors);
  json::Value urls = rule["nonResourceURLs"];
  Path at = path.child("nonResourceURLs");
  if (urls.empty()) {
    errors.required(at, "nonResourceURLs must contain at least one value");
  } else if (has_star(urls)) {
    if (urls.size() > 1)
      errors.invalid(at, urls, "if '*' is present, must not specify other non-resource URLs");
  } else {
    size_t index = 0;
    for (json::Value url : urls.items())
      validate_path_pattern(url.as_string(), at.index(index++), errors);
  }
}

void validate_flow_rule(json::Value rule, const Path& path, FieldErrors& errors) {
  if (rule["subjects"].empty())
    errors.required(path.child("subjects"), "subjects must contain at least one value");
  size_t at = 0;
  for (json::Value subject : rule["subjects"].items())
    validate_subject(subject, path.child("subjects").index(at++), errors);
  if (rule["resourceRules"].empty() && rule["nonResourceRules"].empty()) {
    errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
  }
  at = 0;
  for (json::Value inner : rule["resourceRules"].items())
    validate_resource_rule(inner, path.child("resourceRules").index(at++), errors);
  at = 0;
  for (json::Value inner : rule["nonResourceRules"].items())
    validate_path_rule(inner, path.child("nonResourceRules").index(at++), errors);
}

void validate_percent(json::Value percent, const Path& path, FieldErrors& errors) {
  constexpr int64_t kWhole = 100;
  if (percent && (percent.as_int() < 0 || percent.as_int() > kWhole))
    errors.invalid(path, percent.as_int(), "must be between 0 and 100, inclusive");
}

void validate_shares(json::Value part, const Path& path, FieldErrors& errors) {
  int64_t shares = part["nominalConcurrencyShares"].as_int();
  if (shares < 0) {
    errors.invalid(path.child("nominalConcurrencyShares"), shares,
                   "must be a non-negative integer");
  }
}

// Bits that say which hand of queues a flow gets: too many, and dealing is no longer fair.
double entropy_bits(int64_t queues, int64_t hand) {
  double bits = 0;
  for (int64_t i = 0; i < hand; ++i) bits += std::log2(static_cast<double>(queues - i));
  return std::ceil(bits);
}

void validate_queuing(json::Value queuing, const Path& path, FieldErrors& errors) {
  int64_t queues = queuing["queues"].as_int();
  int64_t hand = queuing["handSize"].as_int();
  int64_t length = queuing["queueLengthLimit"].as_int();
  if (length <= 0) errors.invalid(path.child("queueLengthLimit"), length, "must be positive");
  if (queues <= 0) {
    errors.invalid(path.child("queues"), queues, "must be positive");
  } else if (queues > kQueuesMax) {
    errors.invalid(path.child("queues"), queues,
                   fmt::format("must not be greater than {}", kQueuesMax));
  }
  Path at = path.child("handSize");
  if (hand <= 0) {
    errors.invalid(at, hand, "must be positive");
  } else if (hand > queues) {
    errors.invalid(at, hand, fmt::format("should not be greater than queues ({})", queues));
  } else if (entropy_bits(queues, hand) > kEntropyBitsMax) {
    errors.invalid(at, hand,
                   fmt::format("required entropy bits of deckSize {} and handSize {} should not be "
                               "greater than {}",
                               queues, hand, kEntropyBitsMax));
  }
}

void validate_limited(json::Value limited, const Path& path, FieldErrors& errors) {
  validate_shares(limited, path, errors);
  json::Value response = limited["limitResponse"];
  Path at = path.child("limitResponse");
  std::string_view type = response["type"].as_string();
  json::Value queuing = response["queuing"];
  if (type.empty()) {
    errors.required(at.child("type"), "");
  } else if (check_enum(type, kResponses, at.child("type"), errors)) {
    if (type == "Reject" && queuing) {
      errors.forbidden(at.child("queuing"),
                       "must be nil if limited.limitResponse.type is not Limited");
    } else if (type == "Queue" && !queuing) {
      errors.required(at.child("queuing"),
                      "must not be empty if limited.limitResponse.type is Limited");
    } else if (queuing) {
      validate_queuing(queuing, at.child("queuing"), errors);
    }
  }
  validate_percent(limited["lendablePercent"], path.child("lendablePercent"), errors);
  if (limited["borrowingLimitPercent"].as_int() < 0) {
    errors.invalid(path.child("borrowingLimitPercent"), limited["borrowingLimitPercent"].as_int(),
                   "if specified, must be a non-negative integer");
  }
}

// The objects without which nothing would be answered stay as they are.
void validate_mandatory(std::span<const FlowDefault> defaults, const Struct& type,
                        json::Value object, FieldErrors& errors) {
  std::string_view name = object["metadata"]["name"].as_string();
  if (name != kExempt && name != kCatchAll) return;
  const FlowDefault* fixed = find_flow_default(defaults, name);
  CHECK(fixed != nullptr);
  json::Document due = json::Document::parse(fixed->spec).value();
  if (same_flow_spec(due.root(), object["spec"])) return;
  json::Document shown = go_struct(type, object["spec"]);
  bool may_change = due.root()["type"].as_string() == "Exempt";
  errors.invalid(Path("spec"), shown.root(),
                 fmt::format("spec of '{}' {}must equal the fixed value", name,
                             may_change ? "except the 'spec.exempt' field " : ""));
}

}  // namespace

void validate_flow_schema(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  int64_t precedence = spec["matchingPrecedence"].as_int();
  Path at = path.child("matchingPrecedence");
  if (precedence <= 0) errors.invalid(at, precedence, "must be a positive value");
  if (precedence > kPrecedenceMax)
    errors.invalid(at, precedence, fmt::format("must not be greater than {}", kPrecedenceMax));
  if (precedence == 1 && object["metadata"]["name"].as_string() != kExempt) {
    errors.invalid(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
  }
  if (json::Value method = spec["distinguisherMethod"]) {
    std::string_view type = method["type"].as_string();
    if (std::find(std::begin(kMethods), std::end(kMethods), type) == std::end(kMethods)) {
      json::Document shown = go_struct(schema::flowcontrol_v1::kFlowDistinguisherMethod, method);
      errors.not_supported(path.child("distinguisherMethod").child("type"), shown.root(), kMethods);
    }
  }
  std::string_view level = spec["priorityLevelConfiguration"]["name"].as_string();
  Path name = path.child("priorityLevelConfiguration").child("name");
  if (level.empty()) {
    errors.required(name, "must reference a priority level");
  } else {
    report(dns_subdomain_problems(level), name, level, errors);
  }
  size_t index = 0;
  for (json::Value rule : spec["rules"].items())
    validate_flow_rule(rule, path.child("rules").index(index++), errors);
  validate_mandatory(default_flow_schemas(), schema::flowcontrol_v1::kFlowSchemaSpec, object,
                     errors);
}

void validate_priority_level(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  std::string_view name = object["metadata"]["name"].as_string();
  std::string_view type = spec["type"].as_string();
  bool exempt = type == "Exempt";
  if ((name == kExempt) != exempt && !type.empty() && (name == kExempt || exempt)) {
    errors.invalid(path.child("type"), type, "must be 'Exempt' if and only if `name` is 'exempt'");
  }
  validate_mandatory(default_priority_levels(),
                     schema::flowcontrol_v1::kPriorityLevelConfigurationSpec, object, errors);
  json::Value limited = spec["limited"];
  json::Value free = spec["exempt"];
  if (type.empty()) {
    errors.required(path.child("type"), "");
  } else if (check_enum(type, kLevelTypes, path.child("type"), errors)) {
    if (exempt) {
      if (limited)
        errors.forbidden(path.child("limited"), "must be nil if the type is not Limited");
      if (free) {
        validate_shares(free, path.child("exempt"), errors);
        validate_percent(free["lendablePercent"], path.child("exempt").child("lendablePercent"),
                         errors);
      }
    } else {
      if (free) errors.forbidden(path.child("exempt"), "must be nil if the type is Limited");
      if (!limited) {
        errors.required(path.child("limited"), "must not be empty when type is Limited");
      } else {
        validate_limited(limited, path.child("limited"), errors);
      }
    }
  }
}

}  // namespace wherry::api
