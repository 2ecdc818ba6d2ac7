#include "api/quota.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace wherry::api {
namespace {

// Kinds that the store holds, each once however many versions serve it.
bool is_counted_row(const Resource& resource, std::set<std::string>& seen) {
  bool creatable = resource.verbs.empty() || std::find(resource.verbs.begin(), resource.verbs.end(),
                                                       "list") != resource.verbs.end();
  return resource.namespaced() && creatable && seen.insert(resource.group_resource()).second;
}

// A name that some kind uses, so that it can be counted.
bool is_countable(std::string_view name) {
  std::span<const Resource* const> all = resources();
  return std::any_of(all.begin(), all.end(), [name](const Resource* resource) {
    return resource->namespaced() && quota_limits(*resource, name);
  });
}

}  // namespace

QuotaScope quota_scope(json::Value requirement) {
  return {requirement["scopeName"].as_string(), requirement["operator"].as_string(),
          requirement["values"]};
}

std::vector<QuotaScope> quota_scopes(json::Value quota) {
  std::vector<QuotaScope> out;
  json::Value spec = quota["spec"];
  for (json::Value name : spec["scopes"].items()) out.push_back({.name = name.as_string()});
  for (json::Value one : spec["scopeSelector"]["matchExpressions"].items()) {
    out.push_back(quota_scope(one));
  }
  return out;
}

constinit const QuotaRules kQuotaByPlural = {.by_plural = true};

bool QuotaScope::selects(const std::vector<std::string_view>& names) const {
  if (op == "Exists") return !names.empty();
  if (op == "DoesNotExist") return names.empty();
  bool listed = std::any_of(names.begin(), names.end(), [this](std::string_view one) {
    for (json::Value value : values.items()) {
      if (value.as_string() == one) return true;
    }
    return false;
  });
  return op == "In" ? listed : op == "NotIn" && !listed;
}

std::string count_name(const Resource& resource) { return "count/" + resource.group_resource(); }

bool quota_limits(const Resource& resource, std::string_view name) {
  constexpr std::string_view kCount = "count/";
  if (name.starts_with(kCount)) return name.substr(kCount.size()) == resource.group_resource();
  if (resource.quota == nullptr) return false;
  if (resource.quota->by_plural && name == resource.plural) return true;
  return resource.quota->limits != nullptr && resource.quota->limits(name);
}

Resources quota_usage(const Resource& resource, json::Value object, Time now) {
  Resources usage;
  usage[count_name(resource)] = Quantity::of(1);
  const QuotaRules* rules = resource.quota;
  if (rules == nullptr) return usage;
  if (rules->by_plural) usage[std::string(resource.plural)] = Quantity::of(1);
  if (rules->usage != nullptr) rules->usage(object, now, usage);
  return usage;
}

bool quota_counts(json::Value quota, const Resource& resource, json::Value object) {
  std::vector<QuotaScope> scopes = quota_scopes(quota);
  if (scopes.empty()) return true;
  const QuotaRules* rules = resource.quota;
  if (rules == nullptr || rules->in_scope == nullptr) return false;
  return std::all_of(scopes.begin(), scopes.end(),
                     [&](const QuotaScope& scope) { return rules->in_scope(object, scope); });
}

std::vector<std::string_view> quota_names(const Resource& resource, json::Value hard) {
  std::vector<std::string_view> out;
  for (auto [name, amount] : hard.members()) {
    if (quota_limits(resource, name)) out.push_back(name);
  }
  return out;
}

json::Draft count_quota(json::Value quota, const QuotaObjects& objects, Time now) {
  json::Value hard = quota["spec"]["hard"];
  Resources used;
  for (auto [name, amount] : hard.members()) {
    if (is_countable(name)) used[std::string(name)] = Quantity();
  }
  std::set<std::string> seen;
  for (const Resource* resource : resources()) {
    std::vector<std::string_view> names = quota_names(*resource, hard);
    if (names.empty() || !is_counted_row(*resource, seen)) continue;
    objects(*resource, [&](json::Value object) {
      if (!quota_counts(quota, *resource, object)) return;
      Resources usage = quota_usage(*resource, object, now);
      for (std::string_view name : names) {
        auto found = usage.find(name);
        if (found != usage.end()) used[std::string(name)] += found->second;
      }
    });
  }
  json::Draft status;
  status.root().set("hard", hard);
  json::Node amounts = status.root().set_object("used");
  for (const auto& [name, amount] : used) amounts.set(name, amount.text());
  return status;
}

bool quota_is_counted(json::Value quota) {
  json::Value hard = quota["spec"]["hard"];
  json::Value status = quota["status"];
  for (auto [name, amount] : hard.members()) {
    if (Quantity::from(status["hard"][name]) != Quantity::from(amount)) return false;
    if (!status["used"][name] && is_countable(name)) return false;
  }
  return status["hard"].size() == hard.size();
}

std::string quota_text(const Resources& amounts) {
  std::vector<std::string> parts;
  for (const auto& [name, amount] : amounts) {
    parts.push_back(fmt::format("{}={}", name, amount.text()));
  }
  return join(parts, ",");
}

}  // namespace wherry::api
