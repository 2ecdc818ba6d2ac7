#include "apiserver/node_authoriser.h"

#include <array>

#include "api/selector.h"
#include "apiserver/authorise.h"
#include "apiserver/builtin_roles.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kNodeUser = "system:node:";
constexpr std::string_view kNodes = "system:nodes";
constexpr std::string_view kLeaseNamespace = "kube-node-lease";

// One question of a node. Each rule below answers it: empty for yes, else why not.
struct Question {
  const Attributes& asked;
  std::string_view node;
  const store::Store& store;
  NodeGraph& graph;
  const Rules& rules;

  bool verb_is(std::string_view a, std::string_view b, std::string_view c = {},
               std::string_view d = {}, std::string_view e = {}) const {
    std::string_view verb = asked.verb;
    return verb == a || verb == b || (!verb.empty() && (verb == c || verb == d || verb == e));
  }
};

using Answer = std::optional<std::string>;  // Why not; absent for yes.

// Not a yes, and nothing to say about it.
Answer silence() { return std::string(); }

Answer related(const Question& question) {
  const Attributes& asked = question.asked;
  if (asked.name.empty()) return "No Object name found";
  Result<bool> concerns =
      question.graph.concerns(question.node, asked.resource, asked.ns, asked.name);
  if (!concerns.ok()) return concerns.error().message();
  if (*concerns) return std::nullopt;
  return fmt::format("no relationship found between node '{}' and this object", question.node);
}

Answer by_rules(const Question& question) {
  for (const Rule& rule : question.rules) {
    if (rule_allows(rule, question.asked)) return std::nullopt;
  }
  return silence();
}

Answer may_read_named(const Question& question) {
  if (!question.verb_is("get", "list", "watch")) return "can only read resources of this type";
  if (!question.asked.subresource.empty()) return "cannot read subresource";
  if (question.asked.ns.empty()) return "can only read namespaced object of this type";
  return related(question);
}

Answer may_get(const Question& question) {
  if (question.asked.verb != "get" || question.asked.name.empty()) {
    return "can only get individual resources of this type";
  }
  if (!question.asked.subresource.empty()) return "cannot get subresource";
  return related(question);
}

Answer claim(const Question& question) {
  if (question.asked.subresource != "status") return may_get(question);
  if (!question.verb_is("update", "patch")) return "can only get/update/patch this type";
  return related(question);
}

Answer account(const Question& question) {
  const Attributes& asked = question.asked;
  if (asked.verb == "get" && asked.subresource.empty()) return related(question);
  if (asked.verb != "create" || asked.name.empty()) {
    return "can only create tokens for individual service accounts";
  }
  if (asked.subresource != "token") return "can only create token subresource of serviceaccount";
  return related(question);
}

Answer node(const Question& question) {
  const Attributes& asked = question.asked;
  bool reads = asked.subresource.empty() && question.verb_is("get", "list", "watch");
  if (!reads) return by_rules(question);
  if (asked.name == question.node) return std::nullopt;
  if (asked.name.empty()) {
    return fmt::format("node '{}' cannot read all nodes, only its own Node object", question.node);
  }
  return fmt::format("node '{}' cannot read '{}', only its own Node object", question.node,
                     asked.name);
}

bool selects_node(const Question& question, std::string_view field) {
  Result<std::vector<api::FieldRequirement>> fields =
      api::parse_field_selector(question.asked.fields);
  if (!fields.ok()) return false;
  for (const api::FieldRequirement& one : *fields) {
    if (one.path == field && one.equals) return one.value == question.node;
  }
  return false;
}

Answer pod(const Question& question) {
  const Attributes& asked = question.asked;
  if (!asked.subresource.empty()) return by_rules(question);
  if (asked.verb == "get") return related(question);
  if (!question.verb_is("list", "watch")) return by_rules(question);
  if (!asked.name.empty()) return related(question);
  if (selects_node(question, "spec.nodeName")) return std::nullopt;
  return "can only list/watch pods with spec.nodeName field selector";
}

Answer lease(const Question& question) {
  const Attributes& asked = question.asked;
  if (!question.verb_is("get", "create", "update", "patch", "delete")) {
    return "can only get, create, update, patch, or delete a node lease";
  }
  if (asked.ns != kLeaseNamespace) {
    return fmt::format("can only access leases in the \"{}\" system namespace", kLeaseNamespace);
  }
  // The name of a new one is not known here; admission looks at it.
  if (asked.verb != "create" && asked.name != question.node) {
    return "can only access node lease with the same name as the requesting node";
  }
  return std::nullopt;
}

Answer csi_node(const Question& question) {
  const Attributes& asked = question.asked;
  if (!question.verb_is("get", "create", "update", "patch", "delete")) {
    return "can only get, create, update, patch, or delete a CSINode";
  }
  if (!asked.subresource.empty()) return "cannot authorize CSINode subresources";
  if (asked.verb != "create" && asked.name != question.node) {
    return "can only access CSINode with the same name as the requesting node";
  }
  return std::nullopt;
}

// Objects that name the node themselves.
Answer names_node(const Question& question, std::string_view group_resource) {
  if (question.asked.name.empty()) return "No Object name found";
  ObjectPtr object = question.store.get(group_resource, "", question.asked.name);
  if (object != nullptr && question.asked.ns.empty()) {
    json::Document document = object->document();
    if (document.root()["spec"]["nodeName"].as_string() == question.node) return std::nullopt;
  }
  return fmt::format("no relationship found between node '{}' and this object", question.node);
}

Answer attachment(const Question& question) {
  if (question.asked.verb != "get" || question.asked.name.empty()) {
    return "can only get individual resources of this type";
  }
  if (!question.asked.subresource.empty()) return "cannot get subresource";
  return names_node(question, "volumeattachments.storage.k8s.io");
}

Answer slice(const Question& question) {
  const Attributes& asked = question.asked;
  if (!asked.subresource.empty()) return "cannot authorize ResourceSlice subresources";
  if (asked.verb == "create") return std::nullopt;  // Admission looks at its node.
  if (question.verb_is("get", "update", "patch", "delete")) {
    return names_node(question, "resourceslices.resource.k8s.io");
  }
  if (question.verb_is("list", "watch", "deletecollection")) {
    if (selects_node(question, "spec.nodeName")) return std::nullopt;
    return "can only list/watch/deletecollection resourceslices with nodeName field selector";
  }
  return "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, "
         "update, patch, delete, deletecollection";
}

struct Special {
  std::string_view group;
  std::string_view resource;
  Answer (*answer)(const Question&);
};

constexpr std::array<Special, 12> kSpecial = {{
    {"", "secrets", &may_read_named},
    {"", "configmaps", &may_read_named},
    {"", "persistentvolumeclaims", &claim},
    {"", "persistentvolumes", &may_get},
    {"", "serviceaccounts", &account},
    {"", "nodes", &node},
    {"", "pods", &pod},
    {"resource.k8s.io", "resourceclaims", &may_get},
    {"resource.k8s.io", "resourceslices", &slice},
    {"storage.k8s.io", "volumeattachments", &attachment},
    {"storage.k8s.io", "csinodes", &csi_node},
    {"coordination.k8s.io", "leases", &lease},
}};

}  // namespace

std::string_view node_of(const User& user) {
  if (!user.name.starts_with(kNodeUser) || !user.in_group(kNodes)) return {};
  return std::string_view(user.name).substr(kNodeUser.size());
}

NodeAuthoriser::NodeAuthoriser(store::Store& store)
    : store_(store), graph_(store), rules_(builtin_rules("system:node")) {}

bool NodeAuthoriser::allows(const Attributes& asked, std::string* reason) const {
  std::string_view node = node_of(asked.user);
  if (node.empty()) {
    bool nameless = asked.user.name == kNodeUser && asked.user.in_group(kNodes);
    if (nameless && reason != nullptr) {
      *reason = fmt::format("unknown node for user {}", quote(asked.user.name));
    }
    return false;
  }
  Question question{asked, node, store_, graph_, rules_};
  auto rule = &by_rules;
  for (const Special& special : kSpecial) {
    bool fits =
        asked.is_resource && special.group == asked.group && special.resource == asked.resource;
    if (fits) rule = special.answer;
  }
  Answer refusal = rule(question);
  if (refusal && reason != nullptr) *reason = std::move(*refusal);
  return !refusal;
}

}  // namespace wherry::apiserver
