#pragma once
// What objects use of the things a ResourceQuota limits, and which quotas an object counts against.
// The same functions charge a quota at admission and count it anew in its controller, so that both
// agree. Rules from the Kubernetes documentation, resource quotas. Pure.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/placement.h"
#include "api/resource.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

// One condition on the objects that a quota counts: an entry of spec.scopes, or of spec.
// scopeSelector.
struct QuotaScope {
  std::string_view name;           // "Terminating", "PriorityClass", ...
  std::string_view op = "Exists";  // "In", "NotIn", "Exists", "DoesNotExist".
  json::Value values = {};

  // Whether one of `names` (what the object says under this scope) is wanted.
  bool selects(const std::vector<std::string_view>& names) const;
};

// Of one kind; its resource row points here.
struct QuotaRules {
  // Objects count under the kind's plural too, as for the kinds that are older than "count/".
  bool by_plural = false;
  // Whether the kind uses something of this name beside its count.
  bool (*limits)(std::string_view name) = nullptr;
  void (*usage)(json::Value object, Time now, Resources& usage) = nullptr;
  // Null: a quota with scopes does not count the kind.
  bool (*in_scope)(json::Value object, const QuotaScope& scope) = nullptr;
  // What an object must state because one of `hard` limits it: "cpu for: c1; memory for: c1,c2", or
  // nothing.
  std::string (*unstated)(json::Value object, const std::vector<std::string_view>& hard) = nullptr;
  // An update is charged for what it adds; through this subresource.
  bool updates = false;
  std::string_view update_subresource = {};
};

// "count/deployments.apps".
std::string count_name(const Resource& resource);
// Whether objects of the kind use something called `name`.
bool quota_limits(const Resource& resource, std::string_view name);
// Everything that one object uses, whatever its namespace limits.
Resources quota_usage(const Resource& resource, json::Value object, Time now);
// Whether `quota` (a ResourceQuota) counts the object: its scopes hold.
bool quota_counts(json::Value quota, const Resource& resource, json::Value object);
// Names in a ResourceList (spec.hard) that the kind uses something of.
std::vector<std::string_view> quota_names(const Resource& resource, json::Value hard);

// Calls visit for each live object of a resource in the quota's namespace.
using QuotaObjects =
    std::function<void(const Resource& resource, const std::function<void(json::Value)>& visit)>;
// The quota's status as it should be, all objects counted.
json::Draft count_quota(json::Value quota, const QuotaObjects& objects, Time now);
// Whether the status says of everything in spec.hard how much is used.
bool quota_is_counted(json::Value quota);

// The scopes of a ResourceQuota, those of its selector too. Views into it.
std::vector<QuotaScope> quota_scopes(json::Value quota);
// One that is written as in a selector: {"scopeName": ..., "operator": ..., "values": [...]}.
QuotaScope quota_scope(json::Value requirement);
void validate_quota_scope(json::Value requirement, const Path& path, FieldErrors& errors);
// spec.scopes and spec.scopeSelector of a ResourceQuota.
void validate_quota_scopes(json::Value spec, const Path& path, FieldErrors& errors);

// "cpu=1,pods=2".
std::string quota_text(const Resources& amounts);

// Kinds whose only rule is by_plural.
extern const QuotaRules kQuotaByPlural;
extern const QuotaRules kPodQuota, kServiceQuota, kClaimQuota;

}  // namespace wherry::api
