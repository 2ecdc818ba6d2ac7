#pragma once
// RBAC rules (rbac.authorization.k8s.io/v1 PolicyRule): what a Role grants, whether that allows a
// request, and what one set of rules lacks of another. Pure; any thread.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "json/json.h"

namespace wherry::apiserver {

struct Attributes;

// Views into whatever the rule was read from, which outlives it.
struct Rule {
  std::vector<std::string_view> verbs;
  std::vector<std::string_view> groups;
  std::vector<std::string_view> resources;  // With subresource: "pods/log", "*/scale".
  std::vector<std::string_view> names;      // Empty: whatever the name.
  std::vector<std::string_view> paths;      // Of what is no resource; may end in "*".
};
using Rules = std::vector<Rule>;

// A role's rules and the document they view.
struct RuleSet {
  json::Document document;
  Rules rules;
};

// "rules" of a Role or ClusterRole.
Rules parse_rules(json::Value list);
std::shared_ptr<const RuleSet> rules_of_role(json::Document role);
// Appends a rule in the API's form.
void push_rule(json::Node list, const Rule& rule);

bool rule_allows(const Rule& rule, const Attributes& asked);

// What `owned` lacks of `wanted`: rules of one verb on one resource or path each, in the order of
// `wanted`. Empty when all of it is covered.
Rules lacking(std::span<const Rule> owned, std::span<const Rule> wanted);

// The rules as refusals list them: those on the same resource merged, one a line, sorted.
std::string describe(const Rules& rules);

}  // namespace wherry::apiserver
