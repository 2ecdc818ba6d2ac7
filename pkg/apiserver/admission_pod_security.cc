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

// What a namespace asks for in one mode ("enforce", "audit"); privileged when it says nothing.
PodPolicy policy_of(json::Value ns, std::string_view mode) {
  PodPolicy policy;
  json::Value labels = ns["metadata"]["labels"];
  if (json::Value level = labels[label_of(mode)]) {
    policy.level = api::parse_pod_level(level.as_string()).value_or(PodLevel::kRestricted);
  }
  if (json::Value version = labels[label_of(mode, true)]) {
    policy.minor = api::parse_pod_policy_version(version.as_string()).value_or(PodPolicy::kLatest);
  }
  return policy;
}

// Who is not told what to warn about warns about what is enforced.
PodPolicy warning_policy(json::Value ns) {
  json::Value labels = ns["metadata"]["labels"];
  PodPolicy policy = policy_of(ns, "warn");
  if (labels[label_of("warn")]) return policy;
  PodPolicy enforced = policy_of(ns, "enforce");
  policy.level = enforced.level;
  if (!labels[label_of("warn", true)]) policy.minor = enforced.minor;
  return policy;
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
  explicit PodSecurity(const store::Store& store) : store_(store) {}

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
  Result<void> check_pod(const AdmissionRequest& request) const {
    const std::string& subresource = request.target.subresource;
    if (!subresource.empty() && subresource != "ephemeralcontainers") return {};
    if (request.before && same_images(request.before["spec"], request.after["spec"])) return {};
    ObjectPtr ns = store_.get("namespaces", "", request.target.ns);
    if (ns == nullptr) return {};
    json::Document document = ns->document();
    PodPolicy enforced = policy_of(document.root(), "enforce");
    json::Value meta = request.after["metadata"];
    json::Value spec = request.after["spec"];
    if (request.notes != nullptr) {
      request.notes->add(fmt::format("{}enforce-policy", kPrefix), enforced.text());
    }
    tell_audit(request, document.root(), meta, spec);
    std::vector<api::PodViolation> found = api::pod_violations(enforced, meta, spec);
    if (!found.empty()) {
      return api::forbidden("pods", name_of(request),
                            fmt::format("violates PodSecurity \"{}\": {}", enforced.text(),
                                        api::violations_text(found)));
    }
    warn(request, warning_policy(document.root()), meta, spec);
    return {};
  }

  // What makes pods is not refused; its pods will be.
  void warn_of_template(const AdmissionRequest& request) const {
    ObjectPtr ns = store_.get("namespaces", "", request.target.ns);
    if (ns == nullptr) return;
    json::Document document = ns->document();
    json::Value pods = at_path(request.after, request.target.resource->pod_template);
    if (!pods["spec"]) return;  // A ReplicationController may have none.
    tell_audit(request, document.root(), pods["metadata"], pods["spec"]);
    warn(request, warning_policy(document.root()), pods["metadata"], pods["spec"]);
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

  static void tell_audit(const AdmissionRequest& request, json::Value ns, json::Value meta,
                         json::Value spec) {
    if (request.notes == nullptr) return;
    std::string text = complaint(policy_of(ns, "audit"), meta, spec);
    if (text.empty()) return;
    request.notes->add(fmt::format("{}audit-violations", kPrefix), std::move(text));
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
    if (!request.before) return {};
    PodPolicy before = policy_of(request.before, "enforce");
    PodPolicy after = policy_of(request.after, "enforce");
    bool relaxed = after.minor == before.minor && after.level <= before.level;
    if (relaxed || after.level == PodLevel::kPrivileged) return {};
    warn_of_pods(request, after);
    return {};
  }

  void warn_of_pods(const AdmissionRequest& request, const PodPolicy& policy) const {
    Offenders offenders;
    store_.snapshot("pods")->scan(request.target.name, "", "", [&](const ObjectPtr& pod) {
      json::Document document = pod->document();
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
};

}  // namespace

std::unique_ptr<Admission> pod_security(const store::Store& store) {
  return std::make_unique<PodSecurity>(store);
}

}  // namespace wherry::apiserver
