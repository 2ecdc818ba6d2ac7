// Containers of a pod: names, images, ports, mounts, probes, hooks, resources.

#include <algorithm>
#include <set>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
constexpr std::string_view kPullPolicies[] = {"Always", "IfNotPresent", "Never"};
constexpr std::string_view kMessagePolicies[] = {"File", "FallbackToLogsOnError"};
constexpr std::string_view kSchemes[] = {"HTTP", "HTTPS"};
constexpr std::string_view kPropagations[] = {"Bidirectional", "HostToContainer", "None"};
constexpr std::string_view kRestarts[] = {"Always", "Never", "OnFailure"};
constexpr std::string_view kRestartActions[] = {"Restart", "RestartAllContainers"};
constexpr std::string_view kExitOperators[] = {"In", "NotIn"};
constexpr std::string_view kResizable[] = {"cpu", "memory"};
constexpr std::string_view kResizeRestarts[] = {"NotRequired", "RestartContainer"};
constexpr const char* kPortRange = "must be between 1 and 65535, inclusive";
constexpr const char* kNotEphemeral = "cannot be set for an Ephemeral Container";

void validate_ports(json::Value ports, bool host_network, const Path& path, FieldErrors& errors) {
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value port : ports.items()) {
    Path item = path.index(at++);
    std::string_view name = port["name"].as_string();
    if (!name.empty()) {
      Problems problems = port_name_problems(name);
      report(problems, item.child("name"), name, errors);
      if (problems.empty() && !names.insert(name).second)
        errors.duplicate(item.child("name"), name);
    }
    int64_t number = port["containerPort"].as_int();
    if (number == 0) {
      errors.required(item.child("containerPort"), "");
    } else if (!is_port(number)) {
      errors.invalid(item.child("containerPort"), number, kPortRange);
    }
    int64_t host_port = port["hostPort"].as_int();
    if (host_port != 0 && !is_port(host_port)) {
      errors.invalid(item.child("hostPort"), host_port, kPortRange);
    } else if (host_network && host_port != 0 && host_port != number) {
      errors.invalid(item.child("hostPort"), host_port,
                     "must match `containerPort` when `hostNetwork` is true");
    }
    std::string_view protocol = port["protocol"].as_string();
    if (protocol.empty()) {
      errors.required(item.child("protocol"), "");
    } else {
      check_enum(protocol, kProtocols, item.child("protocol"), errors);
    }
  }
}

// Ports of the host that all containers together claim, each only once.
void validate_host_ports(json::Value containers, const Path& path, std::set<std::string>& seen,
                         FieldErrors& errors) {
  size_t at = 0;
  for (json::Value container : containers.items()) {
    Path ports = path.index(at++).child("ports");
    size_t port_at = 0;
    for (json::Value port : container["ports"].items()) {
      Path item = ports.index(port_at++).child("hostPort");
      int64_t number = port["hostPort"].as_int();
      if (number == 0) continue;
      std::string key =
          fmt::format("{}/{}/{}", port["protocol"].as_string(), port["hostIP"].as_string(), number);
      if (!seen.insert(key).second) errors.duplicate(item, key);
    }
  }
}

bool has_member(json::Value list, std::string_view member, std::string_view value) {
  for (json::Value item : list.items()) {
    if (item[member].as_string() == value) return true;
  }
  return false;
}

void validate_recursive(json::Value mount, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kKnown[] = {"Disabled", "Enabled", "IfPossible"};
  json::Value recursive = mount["recursiveReadOnly"];
  if (!recursive || !check_enum(recursive.as_string(), kKnown, path, errors)) return;
  if (recursive.as_string() == "Disabled") return;
  if (!mount["readOnly"].as_bool())
    errors.forbidden(path, "may only be specified when readOnly is true");
  std::string_view propagation = mount["mountPropagation"].as_string();
  if (!propagation.empty() && propagation != "None") {
    errors.forbidden(path, "may only be specified when mountPropagation is None or not specified");
  }
}

void validate_mounts(const PodContext& pod, json::Value container, const Path& path,
                     FieldErrors& errors) {
  Path mounts = path.child("volumeMounts");
  std::set<std::string_view> targets;
  size_t at = 0;
  for (json::Value mount : container["volumeMounts"].items()) {
    Path item = mounts.index(at++);
    std::string_view name = mount["name"].as_string();
    std::string_view target = mount["mountPath"].as_string();
    if (name.empty()) errors.required(item.child("name"), "");
    if (name.empty() || !find_named(pod.spec["volumes"], name))
      errors.not_found(item.child("name"), name);
    if (target.empty()) errors.required(item.child("mountPath"), "");
    if (!targets.insert(target).second)
      errors.invalid(item.child("mountPath"), target, "must be unique");
    if (has_member(container["volumeDevices"], "name", name)) {
      errors.invalid(item.child("name"), name, "must not already exist in volumeDevices");
    }
    if (has_member(container["volumeDevices"], "devicePath", target)) {
      errors.invalid(item.child("mountPath"), target,
                     "must not already exist as a path in volumeDevices");
    }
    std::string_view sub_path = mount["subPath"].as_string();
    std::string_view expression = mount["subPathExpr"].as_string();
    if (!sub_path.empty())
      validate_local_descending_path(sub_path, mounts.child("subPath"), errors);
    if (!expression.empty()) {
      if (!sub_path.empty()) {
        errors.invalid(item.child("subPathExpr"), expression,
                       "subPathExpr and subPath are mutually exclusive");
      }
      validate_local_descending_path(expression, mounts.child("subPathExpr"), errors);
    }
    std::string_view propagation = mount["mountPropagation"].as_string();
    if (!propagation.empty()) {
      bool privileged = container["securityContext"]["privileged"].as_bool();
      if (check_enum(propagation, kPropagations, mounts.child("mountPropagation"), errors) &&
          propagation == "Bidirectional" && !privileged) {
        errors.forbidden(
            mounts.child("mountPropagation"),
            "Bidirectional mount propagation is available only to privileged containers");
      }
    }
    validate_recursive(mount, mounts.child("recursiveReadOnly"), errors);
  }
}

void validate_devices(const PodContext& pod, json::Value container, const Path& path,
                      FieldErrors& errors) {
  size_t at = 0;
  std::set<std::string_view> names, targets;
  for (json::Value device : container["volumeDevices"].items()) {
    Path item = path.child("volumeDevices").index(at++);
    std::string_view name = device["name"].as_string();
    std::string_view target = device["devicePath"].as_string();
    json::Value volume = find_named(pod.spec["volumes"], name);
    if (name.empty()) errors.required(item.child("name"), "");
    if (!names.insert(name).second) errors.invalid(item.child("name"), name, "must be unique");
    if (!volume) {
      errors.not_found(item.child("name"), name);
    } else if (!volume["persistentVolumeClaim"] && !volume["ephemeral"]) {
      errors.invalid(
          item.child("name"), name,
          "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    }
    if (target.empty()) errors.required(item.child("devicePath"), "");
    if (!targets.insert(target).second)
      errors.invalid(item.child("devicePath"), target, "must be unique");
    if (has_backsteps(target)) {
      errors.invalid(item.child("devicePath"), target, "can not contain backsteps ('..')");
    }
    if (has_member(container["volumeMounts"], "name", name)) {
      errors.invalid(item.child("name"), name, "must not already exist in volumeMounts");
    }
    if (has_member(container["volumeMounts"], "mountPath", target)) {
      errors.invalid(item.child("devicePath"), target,
                     "must not already exist as a path in volumeMounts");
    }
  }
}

void validate_port_reference(json::Value port, const Path& path, FieldErrors& errors) {
  if (port.is_string()) {
    report(port_name_problems(port.as_string()), path, port.as_string(), errors);
  } else if (!is_port(port.as_int())) {
    errors.invalid(path, port.as_int(), kPortRange);
  }
}

void validate_http_get(json::Value action, const Path& path, FieldErrors& errors) {
  if (action["path"].as_string().empty()) errors.required(path.child("path"), "");
  validate_port_reference(action["port"], path.child("port"), errors);
  check_enum(action["scheme"].as_string(), kSchemes, path.child("scheme"), errors);
  for (json::Value header : action["httpHeaders"].items()) {
    std::string_view name = header["name"].as_string();
    report(http_header_problems(name), path.child("httpHeaders"), name, errors);
  }
}

// A probe's or hook's action; `grace_seconds` bounds a sleep.
void validate_handler(json::Value handler, const Path& path, int64_t grace_seconds,
                      FieldErrors& errors) {
  int handlers = 0;
  auto first = [&](const char* kind) {
    if (handlers++ == 0) return true;
    errors.forbidden(path.child(kind), "may not specify more than 1 handler type");
    return false;
  };
  if (json::Value action = handler["exec"]; action && first("exec")) {
    if (action["command"].empty()) errors.required(path.child("exec").child("command"), "");
  }
  if (json::Value action = handler["httpGet"]; action && first("httpGet")) {
    validate_http_get(action, path.child("httpGet"), errors);
  }
  if (json::Value action = handler["tcpSocket"]; action && first("tcpSocket")) {
    validate_port_reference(action["port"], path.child("tcpSocket").child("port"), errors);
  }
  if (json::Value action = handler["grpc"]; action && first("grpc")) {
    validate_port_reference(action["port"], path.child("grpc").child("port"), errors);
  }
  if (json::Value action = handler["sleep"]; action && first("sleep")) {
    int64_t seconds = action["seconds"].as_int();
    if (seconds < 0 || seconds > grace_seconds) {
      errors.invalid(
          path.child("sleep"), seconds,
          fmt::format("must be non-negative and less than terminationGracePeriodSeconds ({})",
                      grace_seconds));
    }
  }
  if (handlers == 0) errors.required(path, "must specify a handler type");
}

enum class ProbeKind { kLiveness, kReadiness, kStartup };

void validate_probe(json::Value probe, ProbeKind kind, const Path& path, FieldErrors& errors) {
  if (!probe) return;
  validate_handler(probe, path, INT64_MAX, errors);
  for (const char* field : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds",
                            "successThreshold", "failureThreshold"}) {
    check_not_negative(probe[field], path.child(field), errors);
  }
  json::Value grace = probe["terminationGracePeriodSeconds"];
  if (grace && kind == ProbeKind::kReadiness) {
    errors.invalid(path.child("terminationGracePeriodSeconds"), grace.as_int(),
                   "must not be set for readinessProbes");
  } else if (grace && grace.as_int() <= 0) {
    errors.invalid(path.child("terminationGracePeriodSeconds"), grace.as_int(),
                   "must be greater than 0");
  }
  int64_t successes = probe["successThreshold"].as_int(1);
  if (kind != ProbeKind::kReadiness && successes != 1) {
    errors.invalid(path.child("successThreshold"), successes, "must be 1");
  }
}

void validate_lifecycle(const PodContext& pod, json::Value lifecycle, const Path& path,
                        FieldErrors& errors) {
  int64_t grace = pod.spec["terminationGracePeriodSeconds"].as_int(30);
  for (const char* hook : {"postStart", "preStop"}) {
    if (lifecycle[hook]) validate_handler(lifecycle[hook], path.child(hook), grace, errors);
  }
}

// What a change of an amount does to a running container.
void validate_resize_policy(const PodContext& pod, json::Value policies, const Path& path,
                            FieldErrors& errors) {
  bool never = pod.spec["restartPolicy"].as_string() == "Never";
  std::set<std::string_view> seen;
  size_t at = 0;
  for (json::Value policy : policies.items()) {
    Path item = path.index(at++);
    std::string_view resource = policy["resourceName"].as_string();
    std::string_view restart = policy["restartPolicy"].as_string();
    if (!seen.insert(resource).second) errors.duplicate(item, resource);
    if (resource.empty()) {
      errors.required(path, "");
    } else {
      check_enum(resource, kResizable, path, errors);
    }
    if (restart.empty()) {
      errors.required(path, "");
    } else if (check_enum(restart, kResizeRestarts, path, errors) && never &&
               restart != "NotRequired") {
      errors.invalid(path, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    }
  }
}

// What holds for containers of every sort.
void validate_common(const PodContext& pod, json::Value container, const Path& path,
                     FieldErrors& errors) {
  std::string_view name = container["name"].as_string();
  std::string_view image = container["image"].as_string();
  if (name.empty()) {
    errors.required(path.child("name"), "");
  } else {
    report(dns_label_problems(name), path.child("name"), name, errors);
  }
  if (image.empty()) errors.required(path.child("image"), "");
  std::string_view policy = container["terminationMessagePolicy"].as_string();
  if (policy.empty()) {
    errors.required(path.child("terminationMessagePolicy"), "");
  } else {
    check_enum(policy, kMessagePolicies, path.child("terminationMessagePolicy"), errors);
  }
  validate_ports(container["ports"], pod.host_network, path.child("ports"), errors);
  validate_env(container, pod.spec["volumes"], path, errors);
  validate_mounts(pod, container, path, errors);
  validate_devices(pod, container, path, errors);
  std::string_view pull = container["imagePullPolicy"].as_string();
  if (pull.empty()) {
    errors.required(path.child("imagePullPolicy"), "");
  } else {
    check_enum(pull, kPullPolicies, path.child("imagePullPolicy"), errors);
  }
  validate_container_resources(container["resources"], pod.spec["resourceClaims"],
                               path.child("resources"), errors);
  validate_resize_policy(pod, container["resizePolicy"], path.child("resizePolicy"), errors);
  validate_container_security(container["securityContext"], pod.spec["hostUsers"],
                              path.child("securityContext"), errors);
}

void validate_image_text(json::Value container, const Path& path, FieldErrors& errors) {
  std::string_view image = container["image"].as_string();
  if (trim(image) != image) {
    errors.invalid(path.child("image"), image, "must not have leading or trailing whitespace");
  }
}

// When a container is restarted, apart from what its pod says.
void validate_restarts(json::Value container, const Path& path, FieldErrors& errors) {
  json::Value policy = container["restartPolicy"];
  if (policy) check_enum(policy.as_string(), kRestarts, path.child("restartPolicy"), errors);
  json::Value rules = container["restartPolicyRules"];
  if (!rules.empty() && !policy) {
    errors.required(path.child("restartPolicy"),
                    "must specify restartPolicy when restart rules are used");
  }
  size_t at = 0;
  for (json::Value rule : rules.items()) {
    Path item = path.child("restartPolicyRules").index(at++);
    check_enum(rule["action"].as_string(), kRestartActions, item.child("action"), errors);
    if (json::Value codes = rule["exitCodes"]) {
      check_enum(codes["operator"].as_string(), kExitOperators,
                 item.child("exitCodes").child("operator"), errors);
    } else {
      errors.required(item.child("exitCodes"), "must be specified");
    }
  }
}

void validate_hooks_and_probes(const PodContext& pod, json::Value container, const Path& path,
                               FieldErrors& errors) {
  validate_lifecycle(pod, container["lifecycle"], path.child("lifecycle"), errors);
  validate_probe(container["livenessProbe"], ProbeKind::kLiveness, path.child("livenessProbe"),
                 errors);
  validate_probe(container["readinessProbe"], ProbeKind::kReadiness, path.child("readinessProbe"),
                 errors);
  validate_probe(container["startupProbe"], ProbeKind::kStartup, path.child("startupProbe"),
                 errors);
}

void validate_init_container(const PodContext& pod, json::Value container, const Path& path,
                             FieldErrors& errors) {
  validate_common(pod, container, path, errors);
  validate_restarts(container, path, errors);
  if (container["restartPolicy"].as_string() == "Always") {
    validate_hooks_and_probes(pod, container, path, errors);
  } else {
    for (const char* field : {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"}) {
      if (!container[field]) continue;
      errors.forbidden(path.child(field),
                       "may not be set for init containers without restartPolicy=Always");
    }
  }
  validate_image_text(container, path, errors);
}

// What has no meaning for a container that is added while the pod runs.
void validate_ephemeral_limits(json::Value container, const Path& path, FieldErrors& errors) {
  for (const char* field : {"ports", "resources", "resizePolicy", "livenessProbe", "readinessProbe",
                            "startupProbe", "lifecycle", "restartPolicy", "restartPolicyRules"}) {
    json::Value value = container[field];
    bool resources = std::string_view(field) == "resources";
    if (!value || (value.empty() && (value.is_array() || resources))) continue;
    errors.forbidden(path.child(field), kNotEphemeral);
  }
  size_t at = 0;
  for (json::Value mount : container["volumeMounts"].items()) {
    Path item = path.child("volumeMounts").index(at++);
    for (const char* field : {"subPath", "subPathExpr"}) {
      if (!mount[field].as_string().empty()) errors.forbidden(item.child(field), kNotEphemeral);
    }
  }
}

void validate_ephemeral(const PodContext& pod, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  std::set<std::string_view> names;
  for (const char* list : {"containers", "initContainers"}) {
    for (json::Value container : pod.spec[list].items())
      names.insert(container["name"].as_string());
  }
  for (json::Value container : pod.spec["ephemeralContainers"].items()) {
    Path item = path.child("ephemeralContainers").index(at++);
    std::string_view name = container["name"].as_string();
    validate_common(pod, container, item, errors);
    validate_image_text(container, item, errors);
    if (!names.insert(name).second) errors.duplicate(item.child("name"), name);
    std::string_view target = container["targetContainerName"].as_string();
    if (!target.empty() && !find_named(pod.spec["containers"], target) &&
        !find_named(pod.spec["initContainers"], target)) {
      errors.not_found(item.child("targetContainerName"), target);
    }
    validate_ephemeral_limits(container, item, errors);
  }
}

}  // namespace

void validate_containers(const PodContext& pod, const Path& path, FieldErrors& errors) {
  Path main = path.child("containers");
  Path init = path.child("initContainers");
  if (pod.spec["containers"].empty()) errors.required(main, "");
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value container : pod.spec["containers"].items()) {
    Path item = main.index(at++);
    std::string_view name = container["name"].as_string();
    validate_common(pod, container, item, errors);
    if (!name.empty() && !names.insert(name).second) errors.duplicate(item.child("name"), name);
    validate_hooks_and_probes(pod, container, item, errors);
    validate_restarts(container, item, errors);
    validate_image_text(container, item, errors);
  }
  std::set<std::string> host_ports;
  validate_host_ports(pod.spec["containers"], main, host_ports, errors);
  at = 0;
  for (json::Value container : pod.spec["initContainers"].items()) {
    Path item = init.index(at++);
    std::string_view name = container["name"].as_string();
    if (!name.empty() && !names.insert(name).second) errors.duplicate(item.child("name"), name);
    validate_init_container(pod, container, item, errors);
  }
  validate_ephemeral(pod, path, errors);
}

}  // namespace wherry::api
