#include "apiserver/bootstrap_roles.h"

#include "apiserver/builtin_roles.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";
constexpr std::string_view kAutoUpdate = "rbac.authorization.kubernetes.io/autoupdate";
constexpr std::string_view kBootstrapping = "kubernetes.io/bootstrapping";
constexpr std::string_view kAggregateTo = "rbac.authorization.k8s.io/aggregate-to-";

// A new object with what all built-in ones have.
json::Draft begin(const Target& target) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", target.resource->kind);
  root.set("apiVersion", target.resource->api_version());
  json::Node meta = root.set_object("metadata");
  meta.set("name", target.name);
  meta.set_object("labels").set(kBootstrapping, "rbac-defaults");
  meta.set_object("annotations").set(kAutoUpdate, "true");
  return draft;
}

// Adds what `object` lacks of the labels and annotations of `wanted`; one with another value stays.
bool add_missing_meta(json::Node object, json::Value wanted) {
  bool added = false;
  for (const char* map : {"labels", "annotations"}) {
    for (auto [key, value] : wanted["metadata"][map].members()) {
      if (object["metadata"][map][key]) continue;
      object["metadata"].ensure_object(map).set(key, value);
      added = true;
    }
  }
  return added;
}

bool add_missing_rules(json::Node object, json::Value live, const Rules& wanted) {
  Rules missing = lacking(parse_rules(live["rules"]), wanted);
  for (const Rule& rule : missing) push_rule(object.ensure_array("rules"), rule);
  return !missing.empty();
}

// Adds the items of the list `wanted` that `live` has not. The list is `field` of `object`.
bool add_missing_items(json::Node object, const char* field, json::Value live, json::Value wanted) {
  bool added = false;
  for (json::Value item : wanted.items()) {
    bool there = false;
    for (json::Value one : live.items()) there = there || json::equal(one, item);
    if (there) continue;
    object.ensure_array(field).push(item);
    added = true;
  }
  return added;
}

json::Draft role_object(const Target& target, const BuiltinRole& role) {
  json::Draft draft = begin(target);
  json::Node root = draft.root();
  if (!role.to.empty()) {
    root["metadata"]["labels"].set(fmt::format("{}{}", kAggregateTo, role.to), "true");
  }
  if (role.from.empty()) {
    json::Node rules = root.set_array("rules");
    for (const Rule& rule : role.rules) push_rule(rules, rule);
    return draft;
  }
  root.set_null("rules");
  root.set_object("aggregationRule")
      .set_array("clusterRoleSelectors")
      .push_object()
      .set_object("matchLabels")
      .set(fmt::format("{}{}", kAggregateTo, role.from), "true");
  return draft;
}

json::Draft binding_object(const Target& target, const BuiltinBinding& binding) {
  json::Draft draft = begin(target);
  json::Node root = draft.root();
  for (const BuiltinSubject& subject : binding.subjects) {
    json::Node node = root.ensure_array("subjects").push_object();
    node.set("kind", subject.kind);
    if (subject.ns.empty()) node.set("apiGroup", kGroup);
    node.set("name", subject.name);
    if (!subject.ns.empty()) node.set("namespace", subject.ns);
  }
  json::Node role = root.set_object("roleRef");
  role.set("apiGroup", kGroup);
  role.set("kind", binding.ns.empty() ? "ClusterRole" : "Role");
  role.set("name", binding.role);
  return draft;
}

// One pass over all of them: what is not there is collected and made in one transaction.
class Pass {
 public:
  Pass(Machinery& machinery, Context& context) : machinery_(machinery), context_(context) {}

  Result<void> role(const BuiltinRole& role) {
    Target target = target_of(role.ns.empty() ? "clusterroles" : "roles", role.ns, role.name);
    return ensure(target, role_object(target, role),
                  [&role](json::Value live, json::Value wanted, json::Node object) {
                    constexpr const char* kField = "aggregationRule";
                    constexpr const char* kSelectors = "clusterRoleSelectors";
                    bool changed = add_missing_rules(object, live, role.rules);
                    if (!wanted[kField]) return changed;
                    return add_missing_items(object.ensure_object(kField), kSelectors,
                                             live[kField][kSelectors],
                                             wanted[kField][kSelectors]) ||
                           changed;
                  });
  }

  Result<void> binding(const BuiltinBinding& binding) {
    Target target = target_of(binding.ns.empty() ? "clusterrolebindings" : "rolebindings",
                              binding.ns, binding.name);
    json::Draft wanted = binding_object(target, binding);
    ObjectPtr live = find(target);
    if (live != nullptr) {
      json::Document document = live->document();
      json::Document other = wanted.freeze();
      bool keeps = json::equal(document.root()["roleRef"], other.root()["roleRef"]);
      // What a binding is to cannot change: it is made anew.
      if (!keeps && !is_protected(document.root())) {
        TRY(machinery_.remove(context_, target));
      }
    }
    return ensure(
        target, std::move(wanted), [](json::Value before, json::Value after, json::Node object) {
          return add_missing_items(object, "subjects", before["subjects"], after["subjects"]);
        });
  }

  Result<void> finish() { return machinery_.create_all(context_, missing_); }

 private:
  static Target target_of(std::string_view plural, const std::string& ns, const std::string& name) {
    return {&api::resource(fmt::format("{}.{}", plural, kGroup)), ns, name, {}};
  }
  ObjectPtr find(const Target& target) const {
    return machinery_.store().get(target.resource->group_resource(), target.ns, target.name);
  }
  static bool is_protected(json::Value live) {
    return live["metadata"]["annotations"][kAutoUpdate].as_string() == "false";
  }

  template <typename Repair>  // repair(live, wanted, object) returns whether it changed `object`.
  Result<void> ensure(Target target, json::Draft wanted, const Repair& repair) {
    ObjectPtr live = find(target);
    if (live == nullptr) {
      missing_.push_back({std::move(target), std::move(wanted)});
      return {};
    }
    json::Document document = live->document();
    if (is_protected(document.root())) return {};
    json::Document full = wanted.freeze();
    json::Draft object(document.root());
    bool repaired = repair(document.root(), full.root(), object.root());
    repaired = add_missing_meta(object.root(), full.root()) || repaired;
    if (!repaired) return {};
    json::Document changed = object.freeze();
    TRY(machinery_.update(context_, target, changed.root()));
    return {};
  }

  Machinery& machinery_;
  Context& context_;
  std::vector<Machinery::New> missing_;
};

}  // namespace

Result<void> make_bootstrap_roles(Machinery& machinery, Context& context) {
  BuiltinRbac all = builtin_rbac();
  Pass pass(machinery, context);
  for (const BuiltinRole& role : all.roles) TRY(pass.role(role));
  for (const BuiltinBinding& binding : all.bindings) TRY(pass.binding(binding));
  return pass.finish();
}

}  // namespace wherry::apiserver
