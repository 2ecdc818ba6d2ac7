// Nobody grants what they do not hold. Wording: Kubernetes, RBAC, privilege escalation prevention.
//
// As upstream has it, this is judged on what a client sends, before its object is validated.

#include <array>

#include "api/status.h"
#include "apiserver/admission.h"
#include "apiserver/authorise.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";
constexpr std::array<const char*, 4> kOwnersFields = {"ownerReferences", "finalizers",
                                                      "managedFields", "resourceVersion"};

// Whether an update changes nothing but what the garbage collector needs to change.
bool touches_owners_only(json::Value before, json::Node after) {
  auto without_owners = [](auto object) {
    json::Draft draft(object);
    for (const char* field : kOwnersFields) draft.root()["metadata"].remove(field);
    return draft.freeze();
  };
  return json::equal(without_owners(before).root(), without_owners(after).root());
}

std::string quoted(const std::vector<std::string>& texts) {
  std::vector<std::string> out;
  for (const std::string& text : texts) out.push_back(quote(text));
  return "[" + join(out, " ") + "]";
}

class RoleEscalation final : public Admission {
 public:
  explicit RoleEscalation(const Authoriser* authoriser) : authoriser_(authoriser) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    const Resource& resource = *request.target.resource;
    bool written = request.operation != Operation::kDelete && resource.group == kGroup;
    if (!written || authoriser_ == nullptr || request.user.in_group(kMasters)) return {};
    if (request.before && touches_owners_only(request.before, request.object)) return {};
    bool binds = static_cast<bool>(request.object["roleRef"]);
    return binds ? judge_binding(request) : judge_role(request);
  }

 private:
  Error refused(const AdmissionRequest& request, std::string_view why) const {
    return api::forbidden(request.target.resource->group_resource(),
                          request.object["metadata"]["name"].as_string(), why);
  }

  // Whether the user may do `verb` with a role without holding what it grants.
  bool may(const AdmissionRequest& request, std::string_view verb, std::string_view roles,
           std::string_view name) const {
    Attributes asked{.user = request.user, .verb = verb};
    asked.is_resource = true;
    asked.group = kGroup;
    asked.resource = roles;
    asked.ns = request.target.ns;
    asked.name = name;
    return authoriser_->allows(asked);
  }

  Result<void> holds(const AdmissionRequest& request, const Rules& wanted) const {
    RbacIndex::Held held = authoriser_->roles().held_by(request.user, request.target.ns);
    Rules missing = lacking(held.rules(), wanted);
    if (missing.empty()) return {};
    std::string text = fmt::format(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        quote(request.user.name), quoted(request.user.groups), describe(missing));
    if (!held.missing.empty()) {
      // Upstream names the resource that is written, whatever was looked for.
      std::vector<std::string> lines;
      for (const RbacIndex::RoleName& role : held.missing) {
        lines.push_back(fmt::format("{} {} not found", request.target.resource->group_resource(),
                                    quote(role.name)));
      }
      std::string all = join(lines, ", ");
      text += fmt::format("; resolution errors: [{}]", lines.size() == 1 ? all : "[" + all + "]");
    }
    return refused(request, text);
  }

  Result<void> judge_role(const AdmissionRequest& request) const {
    json::Draft sent(request.object);
    json::Document role = sent.freeze();
    std::string_view name = role.root()["metadata"]["name"].as_string();
    if (may(request, "escalate", request.target.resource->plural, name)) return {};
    TRY(holds(request, parse_rules(role.root()["rules"])));
    if (!role.root()["aggregationRule"] && !request.before["aggregationRule"]) return {};
    // It can gather anything.
    const Rules everything = {{.verbs = {"*"}, .groups = {"*"}, .resources = {"*"}},
                              {.verbs = {"*"}, .paths = {"*"}}};
    if (holds(request, everything).ok()) return {};
    return refused(request, "must have cluster-admin privileges to use the aggregationRule");
  }

  Result<void> judge_binding(const AdmissionRequest& request) const {
    json::Node role = request.object["roleRef"];
    std::string name(role["name"].as_string());
    bool cluster = role["kind"].as_string() == "ClusterRole";
    if (may(request, "bind", cluster ? "clusterroles" : "roles", name)) return {};
    std::shared_ptr<const RuleSet> rules =
        authoriser_->roles().role(cluster ? std::string() : request.target.ns, name);
    // Upstream speaks of the binding's own resource here.
    if (rules == nullptr) return api::not_found(request.target.resource->group_resource(), name);
    return holds(request, rules->rules);
  }

  const Authoriser* const authoriser_;
};

}  // namespace

std::unique_ptr<Admission> role_escalation(const Authoriser* authoriser) {
  return std::make_unique<RoleEscalation>(authoriser);
}

}  // namespace wherry::apiserver
