#pragma once
// What is to be audited, and how closely: audit.k8s.io/v1 Policy, from the file of
// --audit-policy-file (YAML or JSON). The first rule that fits a request decides; without one it is
// not audited. Immutable; any thread.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/request.h"
#include "apiserver/routes.h"

namespace wherry::apiserver {

enum class AuditLevel { kNone, kMetadata, kRequest, kRequestResponse };
std::string_view name_of(AuditLevel level);

enum class AuditStage { kRequestReceived, kResponseStarted, kResponseComplete };
std::string_view name_of(AuditStage stage);

struct AuditDecision {
  AuditLevel level = AuditLevel::kNone;
  std::vector<AuditStage> omitted;
  bool omit_managed_fields = false;

  bool wants(AuditStage stage) const;
};

class AuditPolicy {
 public:
  // kInvalid with the place in the file that is at fault.
  static Result<AuditPolicy> parse(std::string_view yaml);
  AuditDecision decide(const User& user, const Route& route) const;

 private:
  struct GroupResources {
    std::string group;
    std::vector<std::string> resources, names;
  };
  struct Rule {
    AuditDecision decision;
    std::vector<std::string> users, groups, verbs, namespaces, paths;
    std::vector<GroupResources> resources;
  };
  static Result<Rule> parse_rule(json::Value rule, const AuditDecision& base,
                                 const std::string& place);
  static bool fits(const Rule& rule, const User& user, const Route& route);
  static bool fits(const GroupResources& wanted, const Route& route);

  std::vector<Rule> rules_;
};

}  // namespace wherry::apiserver
