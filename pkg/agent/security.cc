#include "agent/security.h"

#include "base/strings.h"

namespace wherry::agent {
namespace {

json::Value either(json::Value container, json::Value pod, std::string_view name) {
  json::Value own = container[name];
  return own ? own : pod[name];
}

void add_names(json::Value list, std::vector<std::string>* out) {
  for (json::Value item : list.items()) out->emplace_back(item.as_string());
}

Result<void> set_seccomp(json::Value profile, bool privileged, const std::string& seccomp_dir,
                         container::Security* out) {
  // Privileged containers run unconfined whatever they ask for; without a wish the default profile
  // holds (design: on by default).
  std::string_view type = profile["type"].as_string("RuntimeDefault");
  out->seccomp = container::SeccompKind::kRuntimeDefault;
  if (privileged || type == "Unconfined") out->seccomp = container::SeccompKind::kUnconfined;
  if (type != "Localhost" || privileged) return {};
  std::string_view file = profile["localhostProfile"].as_string();
  if (file.empty()) {
    return Error::invalid("localhostProfile must be set if seccompProfile type is Localhost.");
  }
  out->seccomp = container::SeccompKind::kLocalhost;
  out->seccomp_file = seccomp_dir + "/" + std::string(file);
  return {};
}

// A number decides; a name can only be looked up in the image, so that is refused.
Result<void> check_non_root(const Pod& pod, json::Value container, const container::Image& image,
                            json::Value run_as_user) {
  std::string where = "(pod: \"" + pod.label() +
                      "\", container: " + std::string(container["name"].as_string()) + ")";
  if (run_as_user) {
    if (run_as_user.as_int() != 0) return {};
    return Error::invalid("container's runAsUser breaks non-root policy {}", where);
  }
  std::string user = image.config.user.substr(0, image.config.user.find(':'));
  if (user.empty() || user == "0") {
    return Error::invalid("container has runAsNonRoot and image will run as root {}", where);
  }
  if (!parse_uint(user)) {
    return Error::invalid(
        "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is "
        "non-root {}",
        user, where);
  }
  return {};
}

}  // namespace

Result<SecuritySettings> security_settings(const Pod& pod, json::Value container,
                                           const container::Image& image,
                                           const std::string& seccomp_dir) {
  json::Value shared = pod.spec()["securityContext"];
  json::Value own = container["securityContext"];
  SecuritySettings out;
  json::Value user = either(own, shared, "runAsUser");
  if (either(own, shared, "runAsNonRoot").as_bool()) {
    TRY(check_non_root(pod, container, image, user));
  }
  if (user) out.user = std::to_string(user.as_int());
  if (json::Value group = either(own, shared, "runAsGroup")) {
    out.group = static_cast<uint32_t>(group.as_int());
  }
  for (json::Value group : shared["supplementalGroups"].items()) {
    out.supplemental_groups.push_back(static_cast<uint32_t>(group.as_int()));
  }
  if (json::Value group = shared["fsGroup"]) {
    out.supplemental_groups.push_back(static_cast<uint32_t>(group.as_int()));
  }
  out.security.privileged = own["privileged"].as_bool();
  out.security.read_only_root = own["readOnlyRootFilesystem"].as_bool();
  json::Value escalation = own["allowPrivilegeEscalation"];
  out.security.no_new_privileges = escalation && !escalation.as_bool();
  add_names(own["capabilities"]["add"], &out.security.add_capabilities);
  add_names(own["capabilities"]["drop"], &out.security.drop_capabilities);
  out.security.unmasked_proc = own["procMount"].as_string() == "Unmasked";
  TRY(set_seccomp(either(own, shared, "seccompProfile"), out.security.privileged, seccomp_dir,
                  &out.security));
  return out;
}

}  // namespace wherry::agent
