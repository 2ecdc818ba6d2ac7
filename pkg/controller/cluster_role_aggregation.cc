// A ClusterRole with an aggregationRule gets the rules of all ClusterRoles that its selectors
// match. Spec: Kubernetes documentation, RBAC, "aggregated ClusterRoles".
//
// A change of one role may change what any aggregate holds, and the queue makes one pass of many
// changes, so there is one key for all of them.

#include "api/selector.h"
#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kRoles = "clusterroles.rbac.authorization.k8s.io";
constexpr const char* kManager = "clusterrole-aggregation-controller";

struct Role {
  ObjectPtr object;
  json::Document document;
};

// The selectors of an aggregate; empty for every other role.
std::vector<api::Selector> selectors_of(json::Value role) {
  std::vector<api::Selector> out;
  for (json::Value item : role["aggregationRule"]["clusterRoleSelectors"].items()) {
    Result<api::Selector> selector = api::Selector::from_label_selector(item);
    if (selector.ok()) out.push_back(std::move(*selector));  // Validation knows no others.
  }
  return out;
}

bool picks(const std::vector<api::Selector>& selectors, const api::Object& role) {
  for (const api::Selector& selector : selectors) {
    if (selector.matches(role)) return true;
  }
  return false;
}

// The rules of the roles that are picked, by the roles' names, each rule once.
json::Document gathered(const std::vector<ObjectPtr>& roles, const api::Object& aggregate,
                        const std::vector<api::Selector>& selectors) {
  json::Draft draft;
  json::Node rules = draft.root().set_array("rules");
  std::vector<json::Document> kept;
  std::vector<json::Value> taken;
  for (const ObjectPtr& role : roles) {
    if (role->name() == aggregate.name() || !picks(selectors, *role)) continue;
    kept.push_back(role->document());
    for (json::Value rule : kept.back().root()["rules"].items()) {
      bool known = false;
      for (json::Value other : taken) known = known || json::equal(other, rule);
      if (known) continue;
      taken.push_back(rule);
      rules.push(rule);
    }
  }
  return draft.freeze();
}

class ClusterRoleAggregation final : public Reconciler {
 public:
  explicit ClusterRoleAggregation(const Context& context)
      : context_(context), roles_(context.lister(kRoles)) {}

  Result<Requeue> reconcile(const ObjectKey&) override {
    std::vector<ObjectPtr> roles = roles_.list("");
    for (const ObjectPtr& role : roles) {
      // Most roles are no aggregates; do not parse them to find that out.
      if (role->json().find("\"aggregationRule\"") == std::string::npos) continue;
      json::Document document = role->document();
      std::vector<api::Selector> selectors = selectors_of(document.root());
      if (!selectors.empty()) TRY(refresh(roles, *role, document.root(), selectors));
    }
    return Requeue::never();
  }

 private:
  // What it writes comes back as a change, for the aggregates that take from this one.
  Result<void> refresh(const std::vector<ObjectPtr>& roles, const api::Object& role,
                       json::Value live, const std::vector<api::Selector>& selectors) {
    json::Document wanted = gathered(roles, role, selectors);
    json::Value rules = wanted.root()["rules"];
    bool same = rules.empty() ? live["rules"].empty() : json::equal(live["rules"], rules);
    if (same) return {};
    client::PatchOptions options;
    options.field_manager = kManager;
    Result<ObjectPtr> written = context_.client.patch(
        api::resource(kRoles), "", role.name(), client::PatchType::kMerge, wanted.root(), options);
    if (!written.ok() && !written.error().is(Code::kNotFound)) return std::move(written).error();
    return {};
  }

  const Context& context_;
  const Lister& roles_;
};

void all_aggregates(const Change&, const Context&, Keys& out) { out.push_back({"", "all"}); }

constexpr Watch kWatches[] = {{.resource = kRoles, .map = &all_aggregates}};

}  // namespace

constinit const ControllerSpec kClusterRoleAggregation = {
    .name = kManager,
    .watches = kWatches,
    .make = &make<ClusterRoleAggregation>,
};

}  // namespace wherry::controller
