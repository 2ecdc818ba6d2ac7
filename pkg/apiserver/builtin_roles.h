#pragma once
// The roles and bindings that every cluster has: for administrators and users (admin, edit, view),
// for discovery, for nodes and for each part of the control plane, also where that part runs in
// this process and needs none of it: operators bind to these names and look them up. Pure.
//
// The table is text, a line a statement; a line that goes on is indented by six:
//
//   role [NS/]NAME [to AGGREGATE] [from AGGREGATE]    a Role when it has a namespace
//     GROUPS RESOURCES VERBS [NAMES]                  one rule of it; the group "-" is the core's
//     PATHS VERBS
//   controller NAME                                   ClusterRole system:controller:NAME, bound to
//                                                     the ServiceAccount kube-system/NAME
//   bind [NS/]NAME [as ROLE] [SUBJECT...]             user:NAME, group:NAME, account:NS/NAME
//
// "to view" labels a role so that view takes its rules over, "from view" makes a role take them.

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/rbac_rules.h"

namespace wherry::apiserver {

extern const std::string_view kBuiltinRoles;

struct BuiltinRole {
  std::string ns;  // Empty: a ClusterRole.
  std::string name;
  std::string_view to;
  std::string_view from;
  Rules rules;  // View the table.
};

struct BuiltinSubject {
  std::string_view kind;  // "User", "Group", "ServiceAccount".
  std::string ns;         // Of a ServiceAccount.
  std::string name;
};

struct BuiltinBinding {
  std::string ns;  // Empty: a ClusterRoleBinding to a ClusterRole; else both are of the namespace.
  std::string name;
  std::string role;
  std::vector<BuiltinSubject> subjects;
};

struct BuiltinRbac {
  std::vector<BuiltinRole> roles;
  std::vector<BuiltinBinding> bindings;
};

BuiltinRbac builtin_rbac();
// Of one ClusterRole; CHECKs that it exists.
Rules builtin_rules(std::string_view cluster_role);

}  // namespace wherry::apiserver
