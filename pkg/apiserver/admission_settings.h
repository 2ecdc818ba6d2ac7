#pragma once
// AdmissionSettings: which rules of admission run, and what an administrator says to them. Rules go
// by the names that upstream's plugins have. Plain values; no threads.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/pod_policy.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::apiserver {

// What is asked of the pods of a namespace.
struct PodPolicies {
  api::PodPolicy enforce, audit, warn;

  bool asks_nothing() const;  // Whatever the versions.
  bool operator==(const PodPolicies&) const = default;
};

struct PodSecuritySettings {
  using Names = std::set<std::string, std::less<>>;

  PodPolicies defaults;                      // For what a namespace's labels leave open.
  Names users, namespaces, runtime_classes;  // That nothing is asked of.
};

// What may only be used where a quota covers it.
struct LimitedResource {
  std::string group, resource;        // The kind of object.
  std::vector<std::string> contains;  // Names in quotas, or parts of them.
  json::Document scopes;              // A list of conditions, as in a quota's scopeSelector.
};

struct AdmissionSettings {
  std::vector<std::string> enabled;   // On beside those that are on by default.
  std::vector<std::string> disabled;  // Off although they are on by default.
  PodSecuritySettings pod_security;
  std::vector<LimitedResource> limited_resources;

  // kInvalid, in upstream's words, for a name that is unknown or in both lists, and for one that is
  // enabled and not built.
  Result<void> check() const;
};

// Whether the name is one of upstream's plugins, and whether it is built.
enum class PluginKnown { kUnknown, kNotBuilt, kBuilt };
PluginKnown find_plugin(std::string_view name);

// Several faults as one text: "a" or "[a, b]".
std::string all_faults(const std::vector<std::string>& faults);

}  // namespace wherry::apiserver
