// The baseline level: known ways out of a container are closed.

#include <algorithm>
#include <array>
#include <set>

#include "api/pod_policy.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

using Found = std::optional<PodViolation>;
using Names = std::vector<std::string_view>;
using Sorted = std::set<std::string>;

std::string_view plural(size_t count, std::string_view one, std::string_view many) {
  return count == 1 ? one : many;
}
std::vector<std::string> list(const Sorted& items) { return {items.begin(), items.end()}; }
std::string_view name_of(json::Value container) { return container["name"].as_string(); }

// "pod", "containers ..." and more, as those who set something.
std::string setters_text(bool pod, const Names& containers, std::string_view more = {}) {
  std::vector<std::string> out;
  if (pod) out.emplace_back("pod");
  if (!containers.empty()) out.push_back(containers_text(containers));
  if (!more.empty()) out.emplace_back(more);
  return join(out, " and ");
}

Found app_armor(const PolicyPod& pod) {
  constexpr std::string_view kAnnotation = "container.apparmor.security.beta.kubernetes.io/";
  Sorted values;
  auto bad = [&values](json::Value context) {
    json::Value profile = context["appArmorProfile"];
    std::string_view type = profile["type"].as_string();
    if (!profile || type == "RuntimeDefault" || type == "Localhost") return false;
    values.emplace(type);
    return true;
  };
  bool whole = bad(pod.spec["securityContext"]);
  Names names;
  for (json::Value container : pod.containers()) {
    if (bad(container["securityContext"])) names.push_back(name_of(container));
  }
  size_t annotations = 0;
  for (auto [key, value] : pod.metadata["annotations"].members()) {
    std::string_view text = value.as_string();
    if (!key.starts_with(kAnnotation) || text.empty() || text == "runtime/default" ||
        text.starts_with("localhost/")) {
      continue;
    }
    ++annotations;
    values.insert(fmt::format("{}=\"{}\"", key, text));
  }
  if (values.empty()) return {};
  std::string_view noted = annotations == 0 ? "" : plural(annotations, "annotation", "annotations");
  return PodViolation{std::string(plural(values.size(), "forbidden AppArmor profile",
                                         "forbidden AppArmor profiles")),
                      fmt::format("{} must not set AppArmor profile type to {}",
                                  setters_text(whole, names, noted), quoted_list(list(values)))};
}

Found capabilities(const PolicyPod& pod) {
  static constexpr std::array<std::string_view, 13> kDefault = {
      "AUDIT_WRITE",      "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",      "MKNOD",
      "NET_BIND_SERVICE", "SETFCAP", "SETGID",       "SETPCAP", "SETUID", "SYS_CHROOT"};
  Names names;
  Sorted added;
  for (json::Value container : pod.containers()) {
    bool bad = false;
    for (json::Value one : container["securityContext"]["capabilities"]["add"].items()) {
      if (std::find(kDefault.begin(), kDefault.end(), one.as_string()) != kDefault.end()) continue;
      bad = true;
      added.emplace(one.as_string());
    }
    if (bad) names.push_back(name_of(container));
  }
  if (names.empty()) return {};
  return PodViolation{"non-default capabilities",
                      fmt::format("{} must not include {} in securityContext.capabilities.add",
                                  containers_text(names), quoted_list(list(added)))};
}

Found host_namespaces(const PolicyPod& pod) {
  std::vector<std::string> shared;
  for (const char* field : {"hostNetwork", "hostPID", "hostIPC"}) {
    if (pod.spec[field].as_bool()) shared.push_back(fmt::format("{}=true", field));
  }
  if (shared.empty()) return {};
  return PodViolation{"host namespaces", join(shared, ", ")};
}

Found host_path_volumes(const PolicyPod& pod) {
  std::vector<std::string> names;
  for (json::Value volume : pod.spec["volumes"].items()) {
    if (volume["hostPath"]) names.emplace_back(volume["name"].as_string());
  }
  if (names.empty()) return {};
  return PodViolation{
      "hostPath volumes",
      fmt::format("{} {}", plural(names.size(), "volume", "volumes"), quoted_list(names))};
}

Found host_ports(const PolicyPod& pod) {
  Names names;
  Sorted ports;
  for (json::Value container : pod.containers()) {
    bool bad = false;
    for (json::Value port : container["ports"].items()) {
      if (port["hostPort"].as_int() == 0) continue;
      bad = true;
      ports.insert(std::to_string(port["hostPort"].as_int()));
    }
    if (bad) names.push_back(name_of(container));
  }
  if (names.empty()) return {};
  return PodViolation{
      "hostPort",
      fmt::format("{} {} {} {}", containers_text(names), plural(names.size(), "uses", "use"),
                  plural(ports.size(), "hostPort", "hostPorts"), join(ports, ", "))};
}

// Probes and hooks that speak to another host than the pod.
Found probe_hosts(const PolicyPod& pod) {
  std::set<std::string_view> names;
  Sorted hosts;
  for (json::Value container : pod.containers()) {
    json::Value lifecycle = container["lifecycle"];
    for (json::Value handler :
         {container["livenessProbe"], container["readinessProbe"], container["startupProbe"],
          lifecycle["postStart"], lifecycle["preStop"]}) {
      for (const char* way : {"httpGet", "tcpSocket"}) {
        std::string_view host = handler[way]["host"].as_string();
        if (host.empty()) continue;
        names.insert(name_of(container));
        hosts.emplace(host);
      }
    }
  }
  if (names.empty()) return {};
  return PodViolation{
      "probe or lifecycle host",
      fmt::format("{} {} probe or lifecycle {} {}", containers_text({names.begin(), names.end()}),
                  plural(names.size(), "uses", "use"), plural(hosts.size(), "host", "hosts"),
                  quoted_list(list(hosts)))};
}

Found privileged(const PolicyPod& pod) {
  Names names;
  for (json::Value container : pod.containers()) {
    if (container["securityContext"]["privileged"].as_bool()) names.push_back(name_of(container));
  }
  if (names.empty()) return {};
  return PodViolation{"privileged",
                      containers_text(names) + " must not set securityContext.privileged=true"};
}

Found se_linux(const PolicyPod& pod) {
  constexpr int kEngineSince = 31;
  Sorted types;
  bool user = false;
  bool role = false;
  auto bad = [&](json::Value context) {
    json::Value options = context["seLinuxOptions"];
    std::string_view type = options["type"].as_string();
    bool known = type.empty() || type == "container_t" || type == "container_init_t" ||
                 type == "container_kvm_t" ||
                 (type == "container_engine_t" && pod.minor >= kEngineSince);
    if (!known) types.emplace(type);
    bool has_user = !options["user"].as_string().empty();
    bool has_role = !options["role"].as_string().empty();
    user |= has_user;
    role |= has_role;
    return !known || has_user || has_role;
  };
  bool whole = bad(pod.spec["securityContext"]);
  Names names;
  for (json::Value container : pod.containers()) {
    if (bad(container["securityContext"])) names.push_back(name_of(container));
  }
  if (!whole && names.empty()) return {};
  std::vector<std::string> faults;
  if (!types.empty()) {
    faults.push_back(
        fmt::format("{} {}", plural(types.size(), "type", "types"), quoted_list(list(types))));
  }
  if (user) faults.emplace_back("user may not be set");
  if (role) faults.emplace_back("role may not be set");
  return PodViolation{"seLinuxOptions",
                      fmt::format("{} set forbidden securityContext.seLinuxOptions: {}",
                                  setters_text(whole, names), join(faults, "; "))};
}

Found seccomp(const PolicyPod& pod) {
  Sorted types;
  auto bad = [&types](json::Value context) {
    json::Value profile = context["seccompProfile"];
    std::string_view type = profile["type"].as_string();
    if (!profile || type == "RuntimeDefault" || type == "Localhost") return false;
    types.emplace(type);
    return true;
  };
  bool whole = bad(pod.spec["securityContext"]);
  Names names;
  for (json::Value container : pod.containers()) {
    if (bad(container["securityContext"])) names.push_back(name_of(container));
  }
  if (types.empty()) return {};
  return PodViolation{"seccompProfile",
                      fmt::format("{} must not set securityContext.seccompProfile.type to {}",
                                  setters_text(whole, names), quoted_list(list(types)))};
}

struct SafeSysctl {
  std::string_view name;
  int since;
};
constexpr SafeSysctl kSafeSysctls[] = {{"kernel.shm_rmid_forced", 0},
                                       {"net.ipv4.ip_local_port_range", 0},
                                       {"net.ipv4.tcp_syncookies", 0},
                                       {"net.ipv4.ping_group_range", 0},
                                       {"net.ipv4.ip_unprivileged_port_start", 0},
                                       {"net.ipv4.ip_local_reserved_ports", 27},
                                       {"net.ipv4.tcp_keepalive_time", 29},
                                       {"net.ipv4.tcp_fin_timeout", 29},
                                       {"net.ipv4.tcp_keepalive_intvl", 29},
                                       {"net.ipv4.tcp_keepalive_probes", 29},
                                       {"net.ipv4.tcp_rmem", 32},
                                       {"net.ipv4.tcp_wmem", 32}};

Found sysctls(const PolicyPod& pod) {
  std::vector<std::string_view> forbidden;
  for (json::Value sysctl : pod.spec["securityContext"]["sysctls"].items()) {
    std::string_view name = sysctl["name"].as_string();
    const auto* safe = std::ranges::find(kSafeSysctls, name, &SafeSysctl::name);
    if (safe == std::end(kSafeSysctls) || safe->since > pod.minor) forbidden.push_back(name);
  }
  if (forbidden.empty()) return {};
  return PodViolation{"forbidden sysctls", join(forbidden, ", ")};
}

Found host_process(const PolicyPod& pod) {
  auto bad = [](json::Value context) { return context["windowsOptions"]["hostProcess"].as_bool(); };
  bool whole = bad(pod.spec["securityContext"]);
  Names names;
  for (json::Value container : pod.containers()) {
    if (bad(container["securityContext"])) names.push_back(name_of(container));
  }
  if (!whole && names.empty()) return {};
  return PodViolation{
      "hostProcess",
      setters_text(whole, names) + " must not set securityContext.windowsOptions.hostProcess=true"};
}

// Until 1.34 whatever its users, then only of pods that share the host's.
Found proc_mount_baseline(const PolicyPod& pod) {
  constexpr int kOwnUsersSince = 35;
  if (pod.minor >= kOwnUsersSince && pod.has_own_users()) return {};
  return proc_mount_violation(pod);
}

}  // namespace

Found proc_mount_violation(const PolicyPod& pod) {
  Names names;
  Sorted values;
  for (json::Value container : pod.containers()) {
    std::string_view mount = container["securityContext"]["procMount"].as_string();
    if (mount.empty() || mount == "Default") continue;
    names.push_back(name_of(container));
    values.emplace(mount);
  }
  if (names.empty()) return {};
  return PodViolation{"procMount", fmt::format("{} must not set securityContext.procMount to {}",
                                               containers_text(names), quoted_list(list(values)))};
}

std::vector<PodRuleRow> baseline_pod_rules() {
  constexpr int kNever = -1;
  return {{.rule = &app_armor},       {.rule = &capabilities, .until_restricted = 21},
          {.rule = &host_namespaces}, {.rule = &host_path_volumes, .until_restricted = kNever},
          {.rule = &host_ports},      {.rule = &probe_hosts, .since = 34},
          {.rule = &privileged},      {.rule = &proc_mount_baseline, .until_restricted = 34},
          {.rule = &se_linux},        {.rule = &seccomp, .since = 19, .until_restricted = kNever},
          {.rule = &sysctls},         {.rule = &host_process}};
}

}  // namespace wherry::api
