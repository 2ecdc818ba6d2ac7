// What Pods, Services and PersistentVolumeClaims use of a ResourceQuota. Rules from the Kubernetes
// documentation, resource quotas.

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "api/pod_rules.h"
#include "api/quota.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

// ---- Pods

// What a container asks for under its plain name: "cpu" stands for "requests.cpu".
constexpr std::array<std::string_view, 3> kComputes = {"cpu", "memory", "ephemeral-storage"};
constexpr std::string_view kHugePages = "hugepages-";
constexpr std::string_view kRequests = "requests.";
constexpr std::string_view kLimits = "limits.";

bool is_compute(std::string_view name) {
  return std::find(kComputes.begin(), kComputes.end(), name) != kComputes.end();
}

bool pod_limits(std::string_view name) {
  if (name == "pods" || is_compute(name) || name.starts_with(kHugePages)) return true;
  if (name.starts_with(kLimits)) return is_compute(name.substr(kLimits.size()));
  if (!name.starts_with(kRequests)) return false;
  name = name.substr(kRequests.size());
  return is_compute(name) || name.starts_with(kHugePages) || is_extended_resource(name);
}

// Under the names by which a quota limits them.
void add_compute(const Resources& requests, const Resources& limits, Resources& usage) {
  for (const auto& [name, amount] : requests) {
    if (is_compute(name) || name.starts_with(kHugePages)) usage[name] = amount;
    if (is_compute(name) || name.starts_with(kHugePages) || is_extended_resource(name)) {
      usage[std::string(kRequests) + name] = amount;
    }
  }
  for (const auto& [name, amount] : limits) {
    if (is_compute(name)) usage[std::string(kLimits) + name] = amount;
  }
}

// Neither ended nor left behind by a node that did not end it in time.
bool holds_resources(json::Value pod, Time now) {
  std::string_view phase = pod["status"]["phase"].as_string();
  if (phase == "Succeeded" || phase == "Failed") return false;
  json::Value meta = pod["metadata"];
  if (!meta["deletionTimestamp"] || !meta["deletionGracePeriodSeconds"]) return true;
  std::optional<Time> going = parse_time(meta["deletionTimestamp"].as_string());
  std::chrono::seconds grace(meta["deletionGracePeriodSeconds"].as_int());
  return !going || now <= *going + grace;
}

void pod_usage(json::Value pod, Time now, Resources& usage) {
  if (!holds_resources(pod, now)) return;
  usage["pods"] = Quantity::of(1);
  add_compute(effective_requests(pod["spec"]), effective_limits(pod["spec"]), usage);
}

bool names_other_namespaces(json::Value affinity) {
  auto names = [](json::Value term) {
    return !term["namespaces"].empty() || term["namespaceSelector"].is_object();
  };
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    json::Value rules = affinity[kind];
    for (json::Value term : rules["requiredDuringSchedulingIgnoredDuringExecution"].items()) {
      if (names(term)) return true;
    }
    for (json::Value item : rules["preferredDuringSchedulingIgnoredDuringExecution"].items()) {
      if (names(item["podAffinityTerm"])) return true;
    }
  }
  return false;
}

bool pod_in_scope(json::Value pod, const QuotaScope& scope) {
  json::Value spec = pod["spec"];
  bool bounded = spec["activeDeadlineSeconds"].is_int();
  if (scope.name == "Terminating") return bounded;
  if (scope.name == "NotTerminating") return !bounded;
  if (scope.name == "BestEffort") return qos_class(spec) == "BestEffort";
  if (scope.name == "NotBestEffort") return qos_class(spec) != "BestEffort";
  if (scope.name == "CrossNamespacePodAffinity") return names_other_namespaces(spec["affinity"]);
  if (scope.name != "PriorityClass") return false;
  std::string_view priority = spec["priorityClassName"].as_string();
  return scope.selects(priority.empty() ? std::vector<std::string_view>()
                                        : std::vector<std::string_view>{priority});
}

Resources amounts_in(json::Value resources, std::string_view list) {
  Resources out;
  for (auto [name, amount] : resources[list].members()) {
    out[std::string(name)] = Quantity::from(amount);
  }
  return out;
}

// A quota on cpu or memory makes every container say how much of it, unless the pod as a whole says
// anything; the other limits do not.
std::string pod_unstated(json::Value pod, const std::vector<std::string_view>& hard) {
  static constexpr std::string_view kMustState[] = {"cpu",    "limits.cpu",   "limits.memory",
                                                    "memory", "requests.cpu", "requests.memory"};
  json::Value spec = pod["spec"];
  std::map<std::string_view, std::set<std::string_view>> missing;
  json::Value whole = spec["resources"];
  if (!whole["requests"].empty() || !whole["limits"].empty()) return {};
  for (const char* list : {"initContainers", "containers"}) {
    for (json::Value container : spec[list].items()) {
      Resources stated;
      add_compute(amounts_in(container["resources"], "requests"),
                  amounts_in(container["resources"], "limits"), stated);
      for (std::string_view name : kMustState) {
        bool limited = std::find(hard.begin(), hard.end(), name) != hard.end();
        if (limited && stated.find(name) == stated.end()) {
          missing[name].insert(container["name"].as_string());
        }
      }
    }
  }
  std::vector<std::string> parts;
  for (const auto& [name, containers] : missing) {
    parts.push_back(fmt::format("{} for: {}", name, join(containers, ",")));
  }
  return join(parts, "; ");
}

// ---- Services

bool service_limits(std::string_view name) {
  return name == "services" || name == "services.nodeports" || name == "services.loadbalancers";
}

void service_usage(json::Value service, Time, Resources& usage) {
  json::Value spec = service["spec"];
  std::string_view type = spec["type"].as_string();
  auto ports = static_cast<int64_t>(spec["ports"].size());
  int64_t node_ports = 0;
  if (type == "NodePort") node_ports = ports;
  if (type == "LoadBalancer") {
    node_ports = ports;
    if (!spec["allocateLoadBalancerNodePorts"].as_bool(true)) {
      node_ports = 0;
      for (json::Value port : spec["ports"].items()) node_ports += port["nodePort"].as_int() != 0;
    }
  }
  usage["services"] = Quantity::of(1);
  usage["services.nodeports"] = Quantity::of(node_ports);
  usage["services.loadbalancers"] = Quantity::of(type == "LoadBalancer" ? 1 : 0);
}

// ---- PersistentVolumeClaims

constexpr std::string_view kOfClass = ".storageclass.storage.k8s.io/";

bool claim_limits(std::string_view name) {
  size_t at = name.find(kOfClass);
  if (at != std::string_view::npos) name = name.substr(at + kOfClass.size());
  return name == "persistentvolumeclaims" || name == "requests.storage";
}

std::string_view class_of(json::Value claim) {
  json::Value old = claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
  return old ? old.as_string() : claim["spec"]["storageClassName"].as_string();
}

void claim_usage(json::Value claim, Time, Resources& usage) {
  usage["persistentvolumeclaims"] = Quantity::of(1);
  std::string_view name = class_of(claim);
  std::string of_class = name.empty() ? std::string() : std::string(name) + std::string(kOfClass);
  if (!name.empty()) usage[of_class + "persistentvolumeclaims"] = Quantity::of(1);
  json::Value asked = claim["spec"]["resources"]["requests"]["storage"];
  if (!asked) return;
  // A volume that was being grown keeps what it may have got.
  Quantity storage = std::max(Quantity::from(asked),
                              Quantity::from(claim["status"]["allocatedResources"]["storage"]));
  usage["requests.storage"] = storage;
  if (!name.empty()) usage[of_class + "requests.storage"] = storage;
}

bool claim_in_scope(json::Value claim, const QuotaScope& scope) {
  if (scope.name != "VolumeAttributesClass") return false;
  std::vector<std::string_view> names;
  json::Value status = claim["status"];
  for (json::Value name :
       {claim["spec"]["volumeAttributesClassName"], status["currentVolumeAttributesClassName"],
        status["modifyVolumeStatus"]["targetVolumeAttributesClassName"]}) {
    if (!name.as_string().empty()) names.push_back(name.as_string());
  }
  return scope.selects(names);
}

}  // namespace

constinit const QuotaRules kPodQuota = {
    .limits = &pod_limits,
    .usage = &pod_usage,
    .in_scope = &pod_in_scope,
    .unstated = &pod_unstated,
    .updates = true,
    .update_subresource = "resize",
};

constinit const QuotaRules kServiceQuota = {
    .limits = &service_limits,
    .usage = &service_usage,
    .updates = true,
};

constinit const QuotaRules kClaimQuota = {
    .limits = &claim_limits,
    .usage = &claim_usage,
    .in_scope = &claim_in_scope,
    .updates = true,
};

}  // namespace wherry::api
