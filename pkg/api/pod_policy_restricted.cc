// The restricted level: what a well hardened pod has to say, beside the baseline.

#include <algorithm>
#include <array>
#include <set>

#include "api/pod_policy.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

using Found = std::optional<PodViolation>;
using Names = std::vector<std::string_view>;

// Since then Windows pods are spared what only Linux has, and pods with users of their own may have
// any user.
constexpr int kWindowsSince = 25;
constexpr int kOwnUsersSince = 35;

bool spared_on_windows(const PolicyPod& pod) {
  return pod.minor >= kWindowsSince && pod.is_windows();
}
bool spared_for_users(const PolicyPod& pod) {
  return pod.minor >= kOwnUsersSince && pod.has_own_users();
}
std::string_view name_of(json::Value container) { return container["name"].as_string(); }

Found allow_privilege_escalation(const PolicyPod& pod) {
  if (spared_on_windows(pod)) return {};
  Names names;
  for (json::Value container : pod.containers()) {
    json::Value allowed = container["securityContext"]["allowPrivilegeEscalation"];
    if (allowed.as_bool(true)) names.push_back(name_of(container));
  }
  if (names.empty()) return {};
  return PodViolation{
      "allowPrivilegeEscalation != false",
      containers_text(names) + " must set securityContext.allowPrivilegeEscalation=false"};
}

Found capabilities(const PolicyPod& pod) {
  if (spared_on_windows(pod)) return {};
  Names keeping;
  Names adding;
  std::set<std::string> added;
  for (json::Value container : pod.containers()) {
    json::Value capabilities = container["securityContext"]["capabilities"];
    bool drops_all = false;
    for (json::Value one : capabilities["drop"].items()) drops_all |= one.as_string() == "ALL";
    if (!drops_all) keeping.push_back(name_of(container));
    bool adds = false;
    for (json::Value one : capabilities["add"].items()) {
      if (one.as_string() == "NET_BIND_SERVICE") continue;
      adds = true;
      added.emplace(one.as_string());
    }
    if (adds) adding.push_back(name_of(container));
  }
  std::vector<std::string> faults;
  if (!keeping.empty()) {
    faults.push_back(containers_text(keeping) +
                     " must set securityContext.capabilities.drop=[\"ALL\"]");
  }
  if (!adding.empty()) {
    faults.push_back(fmt::format("{} must not include {} in securityContext.capabilities.add",
                                 containers_text(adding),
                                 quoted_list({added.begin(), added.end()})));
  }
  if (faults.empty()) return {};
  return PodViolation{"unrestricted capabilities", join(faults, "; ")};
}

Found restricted_volumes(const PolicyPod& pod) {
  static constexpr std::array<std::string_view, 9> kAllowed = {
      "configMap", "csi",   "downwardAPI",           "emptyDir",
      "ephemeral", "image", "persistentVolumeClaim", "projected",
      "secret"};
  std::vector<std::string> names;
  std::set<std::string> types;
  for (json::Value volume : pod.spec["volumes"].items()) {
    bool bad = false;
    for (auto [key, source] : volume.members()) {
      if (key == "name" || std::find(kAllowed.begin(), kAllowed.end(), key) != kAllowed.end()) {
        continue;
      }
      bad = true;
      types.emplace(key);
    }
    if (bad) names.emplace_back(volume["name"].as_string());
  }
  if (names.empty()) return {};
  bool one = names.size() == 1;
  return PodViolation{
      "restricted volume types",
      fmt::format("{} {} {} restricted volume {} {}", one ? "volume" : "volumes",
                  quoted_list(names), one ? "uses" : "use", types.size() == 1 ? "type" : "types",
                  quoted_list({types.begin(), types.end()}))};
}

// Who says the wrong thing, and who says nothing although the pod does not say it for them.
struct Said {
  std::vector<std::string> wrong;
  Names silent;
};
enum class Word { kNothing, kRight, kWrong };

template <typename Judge>
Said ask(const PolicyPod& pod, const Judge& judge) {
  Said said;
  Word whole = judge(pod.spec["securityContext"]);
  if (whole == Word::kWrong) said.wrong.emplace_back("pod");
  Names wrong;
  for (json::Value container : pod.containers()) {
    Word word = judge(container["securityContext"]);
    if (word == Word::kWrong) wrong.push_back(name_of(container));
    if (word == Word::kNothing && whole != Word::kRight) said.silent.push_back(name_of(container));
  }
  if (!wrong.empty()) said.wrong.push_back(containers_text(wrong));
  return said;
}

Found run_as_non_root(const PolicyPod& pod) {
  if (spared_for_users(pod)) return {};
  Said said = ask(pod, [](json::Value context) {
    json::Value value = context["runAsNonRoot"];
    if (!value.is_bool()) return Word::kNothing;
    return value.as_bool() ? Word::kRight : Word::kWrong;
  });
  const char* const what = "runAsNonRoot != true";
  if (!said.wrong.empty()) {
    return PodViolation{
        what, join(said.wrong, " and ") + " must not set securityContext.runAsNonRoot=false"};
  }
  if (said.silent.empty()) return {};
  return PodViolation{what, fmt::format("pod or {} must set securityContext.runAsNonRoot=true",
                                        containers_text(said.silent))};
}

Found run_as_user(const PolicyPod& pod) {
  if (spared_for_users(pod)) return {};
  Said said = ask(pod, [](json::Value context) {
    json::Value user = context["runAsUser"];
    return user.is_int() && user.as_int() == 0 ? Word::kWrong : Word::kNothing;
  });
  if (said.wrong.empty()) return {};
  return PodViolation{"runAsUser=0", join(said.wrong, " and ") + " must not set runAsUser=0"};
}

Found seccomp(const PolicyPod& pod) {
  if (spared_on_windows(pod)) return {};
  std::set<std::string> types;
  Said said = ask(pod, [&types](json::Value context) {
    json::Value profile = context["seccompProfile"];
    if (!profile) return Word::kNothing;
    std::string_view type = profile["type"].as_string();
    if (type == "RuntimeDefault" || type == "Localhost") return Word::kRight;
    types.emplace(type);
    return Word::kWrong;
  });
  if (!said.wrong.empty()) {
    return PodViolation{
        "seccompProfile",
        fmt::format("{} must not set securityContext.seccompProfile.type to {}",
                    join(said.wrong, " and "), quoted_list({types.begin(), types.end()}))};
  }
  if (said.silent.empty()) return {};
  return PodViolation{"seccompProfile",
                      fmt::format("pod or {} must set securityContext.seccompProfile.type to "
                                  "\"RuntimeDefault\" or \"Localhost\"",
                                  containers_text(said.silent))};
}

}  // namespace

std::vector<PodRuleRow> restricted_pod_rules() {
  return {{.rule = &allow_privilege_escalation, .since = 8},
          {.rule = &capabilities, .since = 22},
          {.rule = &proc_mount_violation, .since = 35},
          {.rule = &restricted_volumes},
          {.rule = &run_as_non_root},
          {.rule = &run_as_user, .since = 23},
          {.rule = &seccomp, .since = 19}};
}

}  // namespace wherry::api
