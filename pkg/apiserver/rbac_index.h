#pragma once
// RbacIndex: the stored Roles, ClusterRoles and their bindings by who they are for. Follows the
// store's feed, which tells of a commit before its writer is answered: a binding counts on the next
// request of whoever wrote it. A role is parsed when somebody first asks what it grants.
//
// Any thread; one lock, held for a few look-ups. Its watcher never blocks.

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apiserver/rbac_rules.h"
#include "apiserver/request.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/strings.h"
#include "store/store.h"

namespace wherry::apiserver {

class RbacIndex final : public store::Watcher {
 public:
  explicit RbacIndex(store::Store& store) : store_(store) {}

  // Reads what is stored and follows it from there. Once.
  Result<void> start();

  // Whether a binding allows it. `reason`, when wanted, says which one, or what was in the way.
  bool allows(const Attributes& asked, std::string* reason) const EXCLUDES(mutex_);

  // Everything that bindings give `user` in `ns` (cluster-wide when empty), each role once.
  struct RoleName {
    std::string ns;  // Empty: a ClusterRole.
    std::string name;
  };
  struct Held {
    std::vector<std::shared_ptr<const RuleSet>> sets;
    std::vector<RoleName> missing;  // What bindings name that is not there.

    Rules rules() const;
    std::string problem() const;  // In upstream's words; empty without one.
  };
  Held held_by(const User& user, std::string_view ns) const EXCLUDES(mutex_);

  // Of the ClusterRole, or with `ns` of the Role. Null when there is none.
  std::shared_ptr<const RuleSet> role(std::string_view ns, std::string_view name) const
      EXCLUDES(mutex_);

  void on_events(std::span<const store::EventPtr> events) override EXCLUDES(mutex_);

 private:
  struct Role {
    ObjectPtr object;
    std::shared_ptr<const RuleSet> rules;  // Null until asked for.
  };
  struct Subject {
    bool group;
    std::string name;  // Of a ServiceAccount the user name.
  };
  struct Binding {
    ObjectPtr object;
    RoleName role;
    std::vector<Subject> subjects;
  };
  template <typename T>
  using ByName = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;
  using Bindings = std::vector<std::shared_ptr<const Binding>>;  // Ordered by name.
  // The bindings of one namespace, or of the whole cluster.
  struct Scope {
    ByName<std::shared_ptr<const Binding>> bindings;
    ByName<Bindings> of_user;
    ByName<Bindings> of_group;
  };

  static std::shared_ptr<const Binding> parse(const ObjectPtr& object);
  void note_role(std::string_view ns, std::string_view name, ObjectPtr now) REQUIRES(mutex_);
  void note_binding(std::string_view ns, std::string_view name, const ObjectPtr& now)
      REQUIRES(mutex_);
  void note(std::string_view resource, const ObjectPtr& object, bool gone) REQUIRES(mutex_);
  std::shared_ptr<const RuleSet> rules_of(std::string_view ns, std::string_view name) const
      REQUIRES(mutex_);
  // Calls visit(binding) for those of the scope that are for `user`, until it returns true.
  template <typename Visit>
  static bool any_binding(const Scope& scope, const User& user, const Visit& visit);
  template <typename Visit>
  bool any_binding(const User& user, std::string_view ns, const Visit& visit) const
      REQUIRES(mutex_);

  store::Store& store_;
  mutable Mutex mutex_;
  mutable ByName<ByName<Role>> roles_ GUARDED_BY(mutex_);  // By namespace; "": ClusterRoles.
  Scope cluster_ GUARDED_BY(mutex_);
  ByName<Scope> namespaces_ GUARDED_BY(mutex_);

  std::unique_ptr<store::Subscription> subscription_;  // Last: ends first.
};

}  // namespace wherry::apiserver
