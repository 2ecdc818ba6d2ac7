#include "apiserver/audit_policy.h"

#include <algorithm>

#include "base/strings.h"
#include "json/yaml.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kLevels[] = {"None", "Metadata", "Request", "RequestResponse"};
constexpr std::string_view kStages[] = {"RequestReceived", "ResponseStarted", "ResponseComplete"};

Result<void> read_stages(json::Value list, const std::string& place, std::vector<AuditStage>& out) {
  for (json::Value item : list.items()) {
    std::string_view name = item.as_string();
    // A stage of upstream's own, for a handler that has crashed; there is none here.
    if (name == "Panic") continue;
    const auto* known = std::ranges::find(kStages, name);
    if (known == std::end(kStages)) {
      return Error::invalid("{}.omitStages: {} is no stage", place, quote(name));
    }
    out.push_back(static_cast<AuditStage>(known - std::begin(kStages)));
  }
  return {};
}

// "/healthz*" fits what begins so.
bool path_fits(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with('*')) return pattern == path;
  return path.starts_with(pattern.substr(0, pattern.size() - 1));
}

// "pods" without its parts, "pods/log", "pods/*" with them, "*/status", "*".
bool resource_fits(std::string_view pattern, std::string_view resource,
                   std::string_view subresource) {
  if (pattern == "*") return true;
  auto parts = split_once(pattern, "/");
  if (!parts) return pattern == resource && subresource.empty();
  if (parts->first != "*" && parts->first != resource) return false;
  return parts->second == "*" || (!subresource.empty() && parts->second == subresource);
}

}  // namespace

std::string_view name_of(AuditLevel level) { return kLevels[static_cast<size_t>(level)]; }
std::string_view name_of(AuditStage stage) { return kStages[static_cast<size_t>(stage)]; }

bool AuditDecision::wants(AuditStage stage) const {
  return level != AuditLevel::kNone &&
         std::find(omitted.begin(), omitted.end(), stage) == omitted.end();
}

Result<AuditPolicy::Rule> AuditPolicy::parse_rule(json::Value rule, const AuditDecision& base,
                                                  const std::string& place) {
  Rule out;
  out.decision = base;
  std::string_view level = rule["level"].as_string();
  const auto* known = std::ranges::find(kLevels, level);
  if (known == std::end(kLevels)) {
    return Error::invalid("{}.level: {} is none of None, Metadata, Request, RequestResponse", place,
                          quote(level));
  }
  out.decision.level = static_cast<AuditLevel>(known - std::begin(kLevels));
  TRY(read_stages(rule["omitStages"], place, out.decision.omitted));
  if (rule["omitManagedFields"]) {
    out.decision.omit_managed_fields = rule["omitManagedFields"].as_bool();
  }
  out.users = rule["users"].strings();
  out.groups = rule["userGroups"].strings();
  out.verbs = rule["verbs"].strings();
  out.namespaces = rule["namespaces"].strings();
  out.paths = rule["nonResourceURLs"].strings();
  for (json::Value item : rule["resources"].items()) {
    out.resources.push_back({std::string(item["group"].as_string()), item["resources"].strings(),
                             item["resourceNames"].strings()});
  }
  if (!out.paths.empty() && (!out.resources.empty() || !out.namespaces.empty())) {
    return Error::invalid("{}: a rule is either for resources or for nonResourceURLs", place);
  }
  return out;
}

Result<AuditPolicy> AuditPolicy::parse(std::string_view yaml) {
  json::Document document = TRY(json::parse_yaml(yaml));
  json::Value root = document.root();
  if (root["apiVersion"].as_string() != "audit.k8s.io/v1" ||
      root["kind"].as_string() != "Policy") {  // tidy: allow(kind): of a file, not of an object.
    return Error::invalid("apiVersion must be audit.k8s.io/v1 and kind Policy");
  }
  AuditDecision base;
  TRY(read_stages(root["omitStages"], "policy", base.omitted));
  base.omit_managed_fields = root["omitManagedFields"].as_bool();
  AuditPolicy out;
  for (json::Value rule : root["rules"].items()) {
    out.rules_.push_back(TRY(parse_rule(rule, base, fmt::format("rules[{}]", out.rules_.size()))));
  }
  if (out.rules_.empty()) return Error::invalid("rules: there is none, so nothing is audited");
  return out;
}

bool AuditPolicy::fits(const GroupResources& wanted, const Route& route) {
  if (wanted.group != route.group) return false;
  bool named = wanted.names.empty() || contains(wanted.names, route.target.name);
  if (wanted.resources.empty()) return named;
  return named &&
         std::any_of(wanted.resources.begin(), wanted.resources.end(),
                     [&route](const std::string& pattern) {
                       return resource_fits(pattern, route.plural, route.target.subresource);
                     });
}

bool AuditPolicy::fits(const Rule& rule, const User& user, const Route& route) {
  if (!rule.users.empty() && !contains(rule.users, user.name)) return false;
  if (!rule.groups.empty() &&
      std::none_of(rule.groups.begin(), rule.groups.end(),
                   [&user](const std::string& group) { return user.in_group(group); })) {
    return false;
  }
  if (!rule.verbs.empty() && !contains(rule.verbs, route.asked_verb)) return false;
  if (!rule.namespaces.empty() || !rule.resources.empty()) {
    if (!route.is_resource) return false;
    if (!rule.namespaces.empty() && !contains(rule.namespaces, route.target.ns)) return false;
    return rule.resources.empty() ||
           std::any_of(rule.resources.begin(), rule.resources.end(),
                       [&route](const GroupResources& wanted) { return fits(wanted, route); });
  }
  if (rule.paths.empty()) return true;
  return !route.is_resource &&
         std::any_of(rule.paths.begin(), rule.paths.end(), [&route](const std::string& pattern) {
           return path_fits(pattern, route.path);
         });
}

AuditDecision AuditPolicy::decide(const User& user, const Route& route) const {
  for (const Rule& rule : rules_) {
    if (fits(rule, user, route)) return rule.decision;
  }
  return {};
}

}  // namespace wherry::apiserver
