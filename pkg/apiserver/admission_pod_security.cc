// PodSecurity: a namespace's labels say which level its pods must keep to, which their makers are
// warned about, and which the audit log is told of. Wording: Kubernetes, PodSecurity admission.

#include <map>

#include "api/field_error.h"
#include "api/pod_policy.h"
#include "api/status.h"
#include "apiserver/admission.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

using api::PodLevel;
using api::PodPolicy;

constexpr std::string_view kPrefix = "pod-security.kubernetes.io/";

std::string label_of(std::string_view mode, bool version = false) {
  return fmt::format("{}{}{}", kPrefix, mode, version ? "-version" : "");
}

constexpr api::PodPolicy kNothing;  // Privileged, as in the latest version.

// What the labels say in one mode ("enforce", "audit"), and what is left of `policy` otherwise.
void set_policy(json::Value labels, std::string_view mode, PodPolicy& policy) {
  if (json::Value level = labels[label_of(mode)]) {
    policy.level = api::parse_pod_level(level.as_string()).value_or(PodLevel::kRestricted);
  }
  if (json::Value version = labels[label_of(mode, true)]) {
    policy.minor = api::parse_pod_policy_version(version.as_string()).value_or(PodPolicy::kLatest);
  }
}

PodPolicies policies_of(json::Value ns, const PodPolicies& defaults) {
  json::Value labels = ns["metadata"]["labels"];
  PodPolicies out = defaults;
  set_policy(labels, "enforce", out.enforce);
  set_policy(labels, "audit", out.audit);
  set_policy(labels, "warn", out.warn);
  // Who enforces more than is warned about, and says nothing of that, warns about it too.
  bool silent = labels[label_of("enforce")] && !labels[label_of("warn")];
  if (silent && out.enforce.level > out.warn.level) {
    out.warn.level = out.enforce.level;
    if (!labels[label_of("warn", true)]) out.warn.minor = out.enforce.minor;
  }
  return out;
}

// What is said of labels that an exempt namespace bears in vain; empty for nothing.
std::string vain_policies(json::Value ns, const PodPolicies& defaults) {
  PodPolicies policies = policies_of(ns, defaults);
  if (policies.asks_nothing() || policies == defaults) return {};
  json::Value labels = ns["metadata"]["labels"];
  std::vector<std::string> parts;
  auto add = [&](std::string_view mode, const PodPolicy& policy) {
    bool named = labels[label_of(mode)] || labels[label_of(mode, true)];
    if (!named || policy.level == PodLevel::kPrivileged) return;
    parts.push_back(fmt::format("{}={}", mode, policy.text()));
  };
  add("enforce", policies.enforce);
  add("audit", policies.audit);
  add("warn", policies.warn);
  return fmt::format(
      "namespace {} is exempt from Pod Security, and the policy ({}) will be ignored",
      quote(ns["metadata"]["name"].as_string()), join(parts, ", "));
}

api::FieldErrors label_errors(json::Value ns) {
  api::FieldErrors errors;
  json::Value labels = ns["metadata"]["labels"];
  api::Path path = api::Path("metadata").child("labels");
  for (const char* mode : {"enforce", "audit", "warn"}) {
    std::string key = label_of(mode);
    json::Value level = labels[key];
    if (level && !api::parse_pod_level(level.as_string())) {
      errors.invalid(path.key(key), level.as_string(),
                     "must be one of privileged, baseline, restricted");
    }
    key = label_of(mode, true);
    json::Value version = labels[key];
    if (version && !api::parse_pod_policy_version(version.as_string())) {
      errors.invalid(path.key(key), version.as_string(), "must be \"latest\" or \"v1.x\"");
    }
  }
  return errors;
}

json::Value at_path(json::Value value, std::string_view path) {
  for (std::string_view part : split(path, '.')) value = value[part];
  return value;
}

// Only the images can make an update of a pod matter.
bool same_images(json::Value before, json::Value after) {
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    json::Value old_list = before[list];
    json::Value new_list = after[list];
    if (old_list.size() != new_list.size()) return false;
    for (size_t i = 0; i < new_list.size(); ++i) {
      if (old_list.at(i)["image"].as_string() != new_list.at(i)["image"].as_string()) return false;
    }
  }
  return true;
}

// Pods of a namespace whose level becomes stricter, by what they violate.
using Offenders = std::map<std::string, std::vector<std::string>>;

class PodSecurity final : public Admission {
 public:
  PodSecurity(const store::Store& store, PodSecuritySettings settings)
      : store_(store), settings_(std::move(settings)) {}

  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    if (!request.after) return {};
    const Resource& resource = *request.target.resource;
    const bool core = resource.group.empty();
    if (core && resource.plural == "namespaces") return check_namespace(request);
    if (core && resource.plural == "pods") return check_pod(request);
    if (!resource.pod_template.empty() && request.target.subresource.empty()) {
      warn_of_template(request);
    }
    return {};
  }

 private:
  static void note(const AdmissionRequest& request, std::string_view about, std::string text) {
    if (request.notes == nullptr) return;
    request.notes->add(fmt::format("{}{}", kPrefix, about), std::move(text));
  }

  bool exempts_class(json::Value spec) const {
    return settings_.runtime_classes.contains(spec["runtimeClassName"].as_string());
  }

  // Whether the namespace or the user is exempt.
  bool exempts(const AdmissionRequest& request) const {
    bool space = settings_.namespaces.contains(request.target.ns);
    if (!space && !settings_.users.contains(request.user.name)) return false;
    note(request, "exempt", space ? "namespace" : "user");
    return true;
  }

  Result<void> check_pod(const AdmissionRequest& request) const {
    const std::string& subresource = request.target.subresource;
    if (!subresource.empty() && subresource != "ephemeralcontainers") return {};
    if (exempts(request)) return {};
    if (request.before && same_images(request.before["spec"], request.after["spec"])) return {};
    ObjectPtr ns = store_.get("namespaces", "", request.target.ns);
    if (ns == nullptr) return {};
    json::Document document = ns->document();
    const PodPolicies policies = policies_of(document.root(), settings_.defaults);
    if (policies.asks_nothing()) {
      note(request, "enforce-policy", kNothing.text());
      return {};
    }
    json::Value meta = request.after["metadata"];
    json::Value spec = request.after["spec"];
    if (exempts_class(spec)) {
      note(request, "exempt", "runtimeClass");
      return {};
    }
    note(request, "enforce-policy", policies.enforce.text());
    tell_audit(request, policies.audit, meta, spec);
    std::vector<api::PodViolation> found = api::pod_violations(policies.enforce, meta, spec);
    if (!found.empty()) {
      return api::forbidden("pods", name_of(request),
                            fmt::format("violates PodSecurity \"{}\": {}", policies.enforce.text(),
                                        api::violations_text(found)));
    }
    warn(request, policies.warn, meta, spec);
    return {};
  }

  // What makes pods is not refused; its pods will be.
  void warn_of_template(const AdmissionRequest& request) const {
    if (exempts(request)) return;
    ObjectPtr ns = store_.get("namespaces", "", request.target.ns);
    if (ns == nullptr) return;
    json::Document document = ns->document();
    json::Value pods = at_path(request.after, request.target.resource->pod_template);
    if (!pods["spec"]) return;  // A ReplicationController may have none.
    const PodPolicies policies = policies_of(document.root(), settings_.defaults);
    if (policies.asks_nothing()) return;
    if (exempts_class(pods["spec"])) {
      note(request, "exempt", "runtimeClass");
      return;
    }
    tell_audit(request, policies.audit, pods["metadata"], pods["spec"]);
    warn(request, policies.warn, pods["metadata"], pods["spec"]);
  }

  // Empty when nothing is wrong.
  static std::string complaint(const PodPolicy& policy, json::Value meta, json::Value spec) {
    std::vector<api::PodViolation> found = api::pod_violations(policy, meta, spec);
    if (found.empty()) return {};
    return fmt::format("would violate PodSecurity \"{}\": {}", policy.text(),
                       api::violations_text(found));
  }

  static void warn(const AdmissionRequest& request, const PodPolicy& policy, json::Value meta,
                   json::Value spec) {
    std::string text = complaint(policy, meta, spec);
    if (!text.empty()) request.warnings.push_back(std::move(text));
  }

  static void tell_audit(const AdmissionRequest& request, const PodPolicy& policy, json::Value meta,
                         json::Value spec) {
    if (request.notes == nullptr) return;
    std::string text = complaint(policy, meta, spec);
    if (!text.empty()) note(request, "audit-violations", std::move(text));
  }

  Result<void> check_namespace(const AdmissionRequest& request) const {
    if (!request.target.subresource.empty()) return {};
    api::FieldErrors errors = label_errors(request.after);
    bool already = request.before && !label_errors(request.before).empty();
    if (!errors.empty() && already) return {};  // It was made before the rule.
    if (!errors.empty()) {
      const Resource& resource = *request.target.resource;
      return errors.to_error(resource.group, resource.kind, name_of(request));
    }
    const PodPolicies& defaults = settings_.defaults;
    PodPolicy after = policies_of(request.after, defaults).enforce;
    if (request.before) {
      PodPolicy before = policies_of(request.before, defaults).enforce;
      bool relaxed = after.minor == before.minor && after.level <= before.level;
      if (relaxed || after.level == PodLevel::kPrivileged) return {};
    }
    if (settings_.namespaces.contains(name_of(request))) {
      std::string vain = vain_policies(request.after, defaults);
      if (!vain.empty()) request.warnings.push_back(std::move(vain));
    } else if (request.before) {
      warn_of_pods(request, after);
    }
    return {};
  }

  void warn_of_pods(const AdmissionRequest& request, const PodPolicy& policy) const {
    Offenders offenders;
    store_.snapshot("pods")->scan(request.target.name, "", "", [&](const ObjectPtr& pod) {
      json::Document document = pod->document();
      if (exempts_class(document.root()["spec"])) return true;
      std::vector<api::PodViolation> found =
          api::pod_violations(policy, document.root()["metadata"], document.root()["spec"]);
      if (!found.empty()) offenders[api::violation_names(found)].emplace_back(pod->name());
      return true;
    });
    if (offenders.empty()) return;
    request.warnings.push_back(
        fmt::format("existing pods in namespace \"{}\" violate the new PodSecurity enforce level "
                    "\"{}\"",
                    request.target.name, policy.text()));
    std::map<std::string, std::string> lines;  // By the pod each begins with.
    for (const auto& [what, pods] : offenders) {
      size_t others = pods.size() - 1;
      std::string more =
          others == 0 ? ""
                      : fmt::format(" (and {} other {})", others, others == 1 ? "pod" : "pods");
      lines[pods.front()] = fmt::format("{}{}: {}", pods.front(), more, what);
    }
    for (auto& [pod, line] : lines) request.warnings.push_back(std::move(line));
  }

  const store::Store& store_;
  const PodSecuritySettings settings_;
};

}  // namespace

bool PodPolicies::asks_nothing() const {
  auto is_nothing = [](const PodPolicy& one) { return one.level == PodLevel::kPrivileged; };
  return is_nothing(enforce) && is_nothing(audit) && is_nothing(warn);
}

std::unique_ptr<Admission> pod_security(const store::Store& store, PodSecuritySettings settings) {
  return std::make_unique<PodSecurity>(store, std::move(settings));
}

}  // namespace wherry::apiserver
