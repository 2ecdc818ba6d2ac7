// rbac.authorization.k8s.io/v1. Rules from the Kubernetes API reference.

#include "api/cells.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/rows.h"
#include "api/schema_rbac_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";
constexpr Column kRoleColumns[] = {kNameColumn, kCreatedColumn};

void role_cell(json::Value binding, Time, json::Node cells) {
  json::Value role = binding["roleRef"];
  cells.push(fmt::format("{}/{}", role["kind"].as_string(), role["name"].as_string()));
}

std::string subjects(json::Value binding, std::string_view kind) {
  std::vector<std::string> names;
  for (json::Value subject : binding["subjects"].items()) {
    if (subject["kind"].as_string() != kind) continue;
    std::string name(subject["name"].as_string());
    if (kind == "ServiceAccount") name = std::string(subject["namespace"].as_string()) + "/" + name;
    names.push_back(std::move(name));
  }
  return join(names, ", ");
}
void users_cell(json::Value binding, Time, json::Node cells) {
  cells.push(subjects(binding, "User"));
}
void groups_cell(json::Value binding, Time, json::Node cells) {
  cells.push(subjects(binding, "Group"));
}
void accounts_cell(json::Value binding, Time, json::Node cells) {
  cells.push(subjects(binding, "ServiceAccount"));
}

constexpr Column kBindingColumns[] = {
    kNameColumn,
    {.name = "Role", .description = "Role that is granted.", .cell = &role_cell},
    kAgeColumn,
    {.name = "Users", .description = "Users it is granted to.", .priority = 1, .cell = &users_cell},
    {.name = "Groups",
     .description = "Groups it is granted to.",
     .priority = 1,
     .cell = &groups_cell},
    {.name = "ServiceAccounts",
     .description = "Service accounts it is granted to.",
     .priority = 1,
     .cell = &accounts_cell},
};

void binding_defaults(json::Node binding) {
  if (json::Node role = binding["roleRef"];
      role.is_object() && role["apiGroup"].as_string().empty()) {
    role.set("apiGroup", kGroup);
  }
  for (json::Node subject : binding["subjects"].items()) {
    if (!subject["apiGroup"].as_string().empty()) continue;
    std::string_view kind = subject["kind"].as_string();
    if (kind == "User" || kind == "Group") subject.set("apiGroup", kGroup);
  }
}

void validate_rule(json::Value rule, bool namespaced, const Path& path, FieldErrors& errors) {
  if (rule["verbs"].empty())
    errors.required(path.child("verbs"), "verbs must contain at least one value");
  if (!rule["nonResourceURLs"].empty()) {
    if (namespaced) {
      errors.invalid(path.child("nonResourceURLs"), rule["nonResourceURLs"],
                     "namespaced rules cannot apply to non-resource URLs");
    }
    if (!rule["apiGroups"].empty() || !rule["resources"].empty() ||
        !rule["resourceNames"].empty()) {
      errors.invalid(path.child("nonResourceURLs"), rule["nonResourceURLs"],
                     "rules cannot apply to both regular resources and non-resource URLs");
    }
    return;
  }
  if (rule["apiGroups"].empty()) {
    errors.required(path.child("apiGroups"), "resource rules must supply at least one api group");
  }
  if (rule["resources"].empty()) {
    errors.required(path.child("resources"), "resource rules must supply at least one resource");
  }
}

void validate_rules(json::Value role, bool namespaced, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value rule : role["rules"].items()) {
    validate_rule(rule, namespaced, Path("rules").index(at++), errors);
  }
}
void validate_role(json::Value role, FieldErrors& errors) { validate_rules(role, true, errors); }
void validate_cluster_role(json::Value role, FieldErrors& errors) {
  validate_rules(role, false, errors);
  json::Value aggregation = role["aggregationRule"];
  if (!aggregation) return;
  Path path = Path("aggregationRule").child("clusterRoleSelectors");
  if (aggregation["clusterRoleSelectors"].empty()) {
    errors.required(path,
                    "at least one clusterRoleSelector required if aggregationRule is non-nil");
  }
  size_t at = 0;
  for (json::Value selector : aggregation["clusterRoleSelectors"].items()) {
    Path item = path.index(at++);
    size_t before = errors.causes().size();
    validate_label_selector(selector, item, errors);
    if (errors.causes().size() > before)
      errors.invalid(item, json::Value(), "invalid label selector.");
  }
}

void validate_subject(json::Value subject, bool namespaced, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kNoGroup[] = {""};
  static constexpr std::string_view kRbacGroup[] = {kGroup};
  static constexpr std::string_view kKinds[] = {"ServiceAccount", "User", "Group"};
  std::string_view kind = subject["kind"].as_string();
  std::string_view name = subject["name"].as_string();
  std::string_view group = subject["apiGroup"].as_string();
  if (name.empty()) errors.required(path.child("name"), "");
  if (kind == "ServiceAccount") {
    if (!name.empty()) report(dns_subdomain_problems(name), path.child("name"), name, errors);
    if (!group.empty()) errors.not_supported(path.child("apiGroup"), group, kNoGroup);
    if (!namespaced && subject["namespace"].as_string().empty())
      errors.required(path.child("namespace"), "");
  } else if (kind == "User" || kind == "Group") {
    if (group != kGroup) errors.not_supported(path.child("apiGroup"), group, kRbacGroup);
  } else {
    errors.not_supported(path.child("kind"), kind, kKinds);
  }
}

void validate_binding_of(json::Value binding, bool namespaced, FieldErrors& errors) {
  static constexpr std::string_view kGroups[] = {kGroup};
  static constexpr std::string_view kBoth[] = {"Role", "ClusterRole"};
  static constexpr std::string_view kCluster[] = {"ClusterRole"};
  json::Value role = binding["roleRef"];
  Path path("roleRef");
  if (role["apiGroup"].as_string() != kGroup) {
    errors.not_supported(path.child("apiGroup"), role["apiGroup"].as_string(), kGroups);
  }
  std::span<const std::string_view> kinds =
      namespaced ? std::span<const std::string_view>(kBoth) : kCluster;
  check_enum(role["kind"].as_string(), kinds, path.child("kind"), errors);
  std::string_view name = role["name"].as_string();
  if (name.empty()) {
    errors.required(path.child("name"), "");
  } else {
    report(path_segment_problems(name), path.child("name"), name, errors);
  }
  size_t at = 0;
  for (json::Value subject : binding["subjects"].items()) {
    validate_subject(subject, namespaced, Path("subjects").index(at++), errors);
  }
}
void validate_binding(json::Value binding, FieldErrors& errors) {
  validate_binding_of(binding, true, errors);
}
void validate_cluster_binding(json::Value binding, FieldErrors& errors) {
  validate_binding_of(binding, false, errors);
}

void validate_binding_update(json::Value before, json::Value after, FieldErrors& errors) {
  if (!json::equal(before["roleRef"], after["roleRef"])) {
    // As upstream shows it: by the names of its own fields.
    json::Draft shown;
    json::Value role = after["roleRef"];
    shown.root().set("APIGroup", role["apiGroup"].as_string());
    shown.root().set("Kind", role["kind"].as_string());
    shown.root().set("Name", role["name"].as_string());
    errors.invalid(Path("roleRef"), shown.freeze().root(), "cannot change roleRef");
  }
}

}  // namespace

constinit const Resource kRoles = {
    .group = kGroup,
    .version = "v1",
    .kind = "Role",
    .plural = "roles",
    .singular = "role",
    .schema = &schema::rbac_v1::kRole,
    .columns = kRoleColumns,
    .create_on_update = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_role,
    .valid_name = &valid_path_segment_name,
};

constinit const Resource kClusterRoles = {
    .group = kGroup,
    .version = "v1",
    .kind = "ClusterRole",
    .plural = "clusterroles",
    .singular = "clusterrole",
    .scope = Scope::kCluster,
    .schema = &schema::rbac_v1::kClusterRole,
    .columns = kRoleColumns,
    .create_on_update = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_cluster_role,
    .valid_name = &valid_path_segment_name,
};

constinit const Resource kRoleBindings = {
    .group = kGroup,
    .version = "v1",
    .kind = "RoleBinding",
    .plural = "rolebindings",
    .singular = "rolebinding",
    .schema = &schema::rbac_v1::kRoleBinding,
    .columns = kBindingColumns,
    .create_on_update = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &binding_defaults,
    .validate = &validate_binding,
    .validate_update = &validate_binding_update,
    .valid_name = &valid_path_segment_name,
};

constinit const Resource kClusterRoleBindings = {
    .group = kGroup,
    .version = "v1",
    .kind = "ClusterRoleBinding",
    .plural = "clusterrolebindings",
    .singular = "clusterrolebinding",
    .scope = Scope::kCluster,
    .schema = &schema::rbac_v1::kClusterRoleBinding,
    .columns = kBindingColumns,
    .create_on_update = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &binding_defaults,
    .validate = &validate_cluster_binding,
    .validate_update = &validate_binding_update,
    .valid_name = &valid_path_segment_name,
};

}  // namespace wherry::api
