#include "apiserver/rbac_index.h"

#include <algorithm>
#include <array>

#include "apiserver/authorise.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kRbacSuffix = ".rbac.authorization.k8s.io";
constexpr std::string_view kClusterRoles = "clusterroles.rbac.authorization.k8s.io";
constexpr std::string_view kRoles = "roles.rbac.authorization.k8s.io";
constexpr std::array<std::string_view, 4> kFollowed = {
    kClusterRoles, kRoles, "clusterrolebindings.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io"};

bool is_role(std::string_view resource) { return resource == kRoles || resource == kClusterRoles; }

// The user name that a subject of kind ServiceAccount means; in a RoleBinding it may leave its
// namespace out.
std::string account_user(json::Value subject, std::string_view ns) {
  std::string_view own = subject["namespace"].as_string();
  if (own.empty()) own = ns;
  if (own.empty()) return {};
  return fmt::format("system:serviceaccount:{}:{}", own, subject["name"].as_string());
}

bool is_for(json::Value subject, std::string_view ns, const User& user) {
  std::string_view kind = subject["kind"].as_string();
  std::string_view name = subject["name"].as_string();
  if (kind == "Group") return user.in_group(name);  // tidy: allow(kind): of a subject
  if (kind == "User") return user.name == name;     // tidy: allow(kind): of a subject
  bool account = kind == "ServiceAccount";          // tidy: allow(kind): of a subject
  return account && user.name == account_user(subject, ns);
}

// 'ClusterRoleBinding "b" of ClusterRole "r" to Group "g"', as upstream words it.
std::string describe_binding(const api::Object& binding, const User& user) {
  json::Document document = binding.document();
  json::Value root = document.root();
  std::string_view ns = binding.ns();
  std::string to;
  for (json::Value subject : root["subjects"].items()) {
    if (!is_for(subject, ns, user)) continue;
    std::string name(subject["name"].as_string());
    if (subject["kind"].as_string() == "ServiceAccount") {
      std::string_view own = subject["namespace"].as_string();
      name += fmt::format("/{}", own.empty() ? ns : own);
    }
    to = fmt::format("{} {}", subject["kind"].as_string(), quote(name));
    break;
  }
  std::string name(binding.name());
  if (!ns.empty()) name += fmt::format("/{}", ns);
  return fmt::format("{} {} of {} {} to {}", root["kind"].as_string(), quote(name),
                     root["roleRef"]["kind"].as_string(),
                     quote(root["roleRef"]["name"].as_string()), to);
}

// One plain, several in brackets, as Go prints them.
std::string problem_of(const std::vector<RbacIndex::RoleName>& missing) {
  std::vector<std::string> texts;
  for (const RbacIndex::RoleName& role : missing) {
    texts.push_back(fmt::format("{}role.rbac.authorization.k8s.io {} not found",
                                role.ns.empty() ? "cluster" : "", quote(role.name)));
  }
  return texts.size() > 1 ? "[" + join(texts, ", ") + "]" : join(texts, "");
}

}  // namespace

Rules RbacIndex::Held::rules() const {
  Rules out;
  for (const auto& set : sets) out.insert(out.end(), set->rules.begin(), set->rules.end());
  return out;
}

std::string RbacIndex::Held::problem() const { return problem_of(missing); }

Result<void> RbacIndex::start() {
  Revision from = store_.revision();
  for (std::string_view resource : kFollowed) {
    // May be newer than `from`: what happened in between is then told again, to the same end.
    store_.snapshot(resource)->scan("", "", "", [this, resource](const ObjectPtr& object) {
      MutexLock lock(mutex_);
      note(resource, object, false);
      return true;
    });
  }
  subscription_ = TRY(store_.watch("", from, *this));
  return {};
}

void RbacIndex::on_events(std::span<const store::EventPtr> events) {
  for (const store::EventPtr& event : events) {
    if (!event->resource.ends_with(kRbacSuffix)) continue;
    MutexLock lock(mutex_);
    note(event->resource, event->object, event->type == store::EventType::kDeleted);
  }
}

void RbacIndex::note(std::string_view resource, const ObjectPtr& object, bool gone) {
  if (is_role(resource)) {
    note_role(object->ns(), object->name(), gone ? nullptr : object);
  } else {
    note_binding(object->ns(), object->name(), gone ? nullptr : object);
  }
}

void RbacIndex::note_role(std::string_view ns, std::string_view name, ObjectPtr now) {
  ByName<Role>& roles = roles_[std::string(ns)];
  if (now == nullptr) {
    roles.erase(std::string(name));
  } else {
    roles[std::string(name)] = {std::move(now), nullptr};
  }
  if (roles.empty()) roles_.erase(std::string(ns));
}

std::shared_ptr<const RbacIndex::Binding> RbacIndex::parse(const ObjectPtr& object) {
  auto binding = std::make_shared<Binding>();
  binding->object = object;
  json::Document document = object->document();
  json::Value role = document.root()["roleRef"];
  binding->role.name = role["name"].as_string();
  // tidy: allow(kind): of the role, in its binding.
  if (role["kind"].as_string() == "Role") binding->role.ns = object->ns();
  for (json::Value subject : document.root()["subjects"].items()) {
    std::string_view kind = subject["kind"].as_string();
    std::string name(subject["name"].as_string());
    bool account = kind == "ServiceAccount";  // tidy: allow(kind): of a subject
    bool group = kind == "Group";             // tidy: allow(kind): of a subject
    if (account) name = account_user(subject, object->ns());
    if (!name.empty()) binding->subjects.push_back({group, std::move(name)});
  }
  return binding;
}

void RbacIndex::note_binding(std::string_view ns, std::string_view name, const ObjectPtr& now) {
  Scope& scope = ns.empty() ? cluster_ : namespaces_[std::string(ns)];
  auto place = [&scope](const Subject& subject) -> Bindings& {
    return (subject.group ? scope.of_group : scope.of_user)[subject.name];
  };
  if (auto found = scope.bindings.find(name); found != scope.bindings.end()) {
    for (const Subject& subject : found->second->subjects) {
      Bindings& list = place(subject);
      std::erase(list, found->second);
      if (list.empty()) (subject.group ? scope.of_group : scope.of_user).erase(subject.name);
    }
    scope.bindings.erase(found);
  }
  if (now != nullptr) {
    std::shared_ptr<const Binding> binding = parse(now);
    for (const Subject& subject : binding->subjects) {
      Bindings& list = place(subject);
      auto at = std::lower_bound(
          list.begin(), list.end(), name,
          [](const auto& one, std::string_view key) { return one->object->name() < key; });
      bool twice = at != list.end() && *at == binding;
      if (!twice) list.insert(at, binding);
    }
    scope.bindings.emplace(name, std::move(binding));
  }
  if (!ns.empty() && scope.bindings.empty()) namespaces_.erase(std::string(ns));
}

std::shared_ptr<const RuleSet> RbacIndex::rules_of(std::string_view ns,
                                                   std::string_view name) const {
  auto roles = roles_.find(ns);
  if (roles == roles_.end()) return nullptr;
  auto found = roles->second.find(name);
  if (found == roles->second.end()) return nullptr;
  Role& role = found->second;
  if (role.rules == nullptr) role.rules = rules_of_role(role.object->document());
  return role.rules;
}

template <typename Visit>
bool RbacIndex::any_binding(const Scope& scope, const User& user, const Visit& visit) {
  auto any = [&visit](const ByName<Bindings>& lists, std::string_view key) {
    auto found = lists.find(key);
    return found != lists.end() && std::any_of(found->second.begin(), found->second.end(), visit);
  };
  return any(scope.of_user, user.name) ||
         std::any_of(user.groups.begin(), user.groups.end(),
                     [&](const std::string& group) { return any(scope.of_group, group); });
}

template <typename Visit>
bool RbacIndex::any_binding(const User& user, std::string_view ns, const Visit& visit) const {
  if (any_binding(cluster_, user, visit)) return true;
  if (ns.empty()) return false;
  auto scope = namespaces_.find(ns);
  return scope != namespaces_.end() && any_binding(scope->second, user, visit);
}

bool RbacIndex::allows(const Attributes& asked, std::string* reason) const {
  ObjectPtr by;
  std::vector<RoleName> missing;
  auto gives = [&](const std::shared_ptr<const Binding>& binding) NO_THREAD_SAFETY_ANALYSIS {
    const RoleName& role = binding->role;
    std::shared_ptr<const RuleSet> set = rules_of(role.ns, role.name);
    if (set == nullptr) {
      if (reason != nullptr) missing.push_back(role);
      return false;
    }
    auto fits = [&asked](const Rule& rule) { return rule_allows(rule, asked); };
    if (std::none_of(set->rules.begin(), set->rules.end(), fits)) return false;
    by = binding->object;
    return true;
  };
  {
    MutexLock lock(mutex_);
    any_binding(asked.user, asked.ns, gives);
  }
  if (reason == nullptr) return by != nullptr;
  if (by != nullptr) {
    *reason = "RBAC: allowed by " + describe_binding(*by, asked.user);
  } else if (!missing.empty()) {
    *reason = "RBAC: " + problem_of(missing);
  }
  return by != nullptr;
}

RbacIndex::Held RbacIndex::held_by(const User& user, std::string_view ns) const {
  Held held;
  std::vector<const Binding*> seen;
  auto take = [&](const std::shared_ptr<const Binding>& binding) NO_THREAD_SAFETY_ANALYSIS {
    if (std::find(seen.begin(), seen.end(), binding.get()) != seen.end()) return false;
    seen.push_back(binding.get());
    std::shared_ptr<const RuleSet> set = rules_of(binding->role.ns, binding->role.name);
    if (set == nullptr) {
      held.missing.push_back(binding->role);
    } else {
      held.sets.push_back(std::move(set));
    }
    return false;
  };
  MutexLock lock(mutex_);
  any_binding(user, ns, take);
  return held;
}

std::shared_ptr<const RuleSet> RbacIndex::role(std::string_view ns, std::string_view name) const {
  MutexLock lock(mutex_);
  return rules_of(ns, name);
}

}  // namespace wherry::apiserver
