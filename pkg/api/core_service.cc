// Service, core/v1. Rules from the Kubernetes API reference, Service v1 core. Cluster IPs and node
// ports are given out by the API server, not here.

#include <algorithm>
#include <set>

#include "api/cells.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/network_rules.h"
#include "api/pod_rules.h"
#include "api/quota.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"svc"};
constexpr std::string_view kProxyVerbs[] = {"create", "delete", "get", "patch", "update"};
constexpr Subresource kSubresources[] = {
    {.name = "proxy", .kind = "ServiceProxyOptions", .verbs = kProxyVerbs},
    status_of("Service"),
};
constexpr SelectableField kFields[] = {{.path = "spec.clusterIP"}, {.path = "spec.type"}};

constexpr std::string_view kTypes[] = {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"};
constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
constexpr std::string_view kAffinities[] = {"ClientIP", "None"};
constexpr std::string_view kPolicies[] = {"Cluster", "Local"};
constexpr std::string_view kFamilies[] = {"IPv4", "IPv6"};
constexpr std::string_view kFamilyPolicies[] = {"PreferDualStack", "RequireDualStack",
                                                "SingleStack"};
constexpr std::string_view kDistributions[] = {"PreferClose", "PreferSameZone", "PreferSameNode"};
constexpr const char* kPortRange = "must be between 1 and 65535, inclusive";
constexpr int64_t kAffinitySecondsMax = 86400;

void type_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["type"].as_string());
}
void cluster_ip_cell(json::Value object, Time, json::Node cells) {
  json::Value ips = object["spec"]["clusterIPs"];
  cells.push(text_or(ips.empty() ? object["spec"]["clusterIP"] : ips.at(0), "<none>"));
}

void external_ip_cell(json::Value object, Time, json::Node cells) {
  json::Value spec = object["spec"];
  std::string_view type = spec["type"].as_string();
  if (type == "ExternalName") {
    cells.push(spec["externalName"].as_string());
    return;
  }
  if (type != "LoadBalancer") {
    cells.push(joined(spec["externalIPs"], "<none>"));
    return;
  }
  std::vector<std::string> places;
  for (json::Value point : object["status"]["loadBalancer"]["ingress"].items()) {
    std::string place = text_or(point["ip"], point["hostname"].as_string());
    if (!place.empty()) places.push_back(std::move(place));
  }
  for (json::Value ip : spec["externalIPs"].items()) places.emplace_back(ip.as_string());
  cells.push(places.empty() ? std::string("<pending>") : join(places, ","));
}

void ports_cell(json::Value object, Time, json::Node cells) {
  std::vector<std::string> parts;
  for (json::Value port : object["spec"]["ports"].items()) {
    std::string text = std::to_string(port["port"].as_int());
    if (int64_t node_port = port["nodePort"].as_int(); node_port > 0) {
      text += ":" + std::to_string(node_port);
    }
    parts.push_back(text + "/" + std::string(port["protocol"].as_string()));
  }
  cells.push(parts.empty() ? std::string("<none>") : join(parts, ","));
}
void selector_map_cell(json::Value object, Time, json::Node cells) {
  cells.push(labels_text(object["spec"]["selector"]));
}

constexpr Column kColumns[] = {
    kNameColumn,
    {.name = "Type", .description = "How the service can be reached.", .cell = &type_cell},
    {.name = "Cluster-IP", .description = "Address inside the cluster.", .cell = &cluster_ip_cell},
    {.name = "External-IP", .description = "Addresses from outside.", .cell = &external_ip_cell},
    {.name = "Port(s)",
     .description = "Ports, with node ports after a colon.",
     .cell = &ports_cell},
    kAgeColumn,
    {.name = "Selector",
     .description = "Which pods stand behind it.",
     .priority = 1,
     .cell = &selector_map_cell},
};

bool external(std::string_view type) { return type == "NodePort" || type == "LoadBalancer"; }

// Traffic may come from outside: by ports of the nodes, or to addresses routed to them.
bool reachable(json::Value spec) {
  std::string_view type = spec["type"].as_string();
  return external(type) || (type == "ClusterIP" && !spec["externalIPs"].empty());
}

// Addresses of a balancer are of use to the Service's own node ports unless it says otherwise.
void default_balancer(json::Node object) {
  for (json::Node ingress : object["status"]["loadBalancer"]["ingress"].items()) {
    bool open = !ingress["ip"].as_string().empty() && ingress["ipMode"].as_string().empty();
    if (open) ingress.set("ipMode", "VIP");
  }
}

void apply_defaults(json::Node object) {
  json::Node spec = object.ensure_object("spec");
  if (spec["type"].as_string().empty()) spec.set("type", "ClusterIP");
  if (spec["sessionAffinity"].as_string().empty()) spec.set("sessionAffinity", "None");
  std::string type(spec["type"].as_string());
  if (spec["sessionAffinity"].as_string() == "ClientIP") {
    json::Node client = spec.ensure_object("sessionAffinityConfig").ensure_object("clientIP");
    if (!client["timeoutSeconds"]) client.set("timeoutSeconds", 10800);
  } else {
    spec.remove("sessionAffinityConfig");
  }
  for (json::Node port : spec["ports"].items()) {
    if (port["protocol"].as_string().empty()) port.set("protocol", "TCP");
    json::Node target = port["targetPort"];
    bool missing = !target || (target.is_int() && target.as_int() == 0) ||
                   (target.is_string() && target.as_string().empty());
    if (missing) port.set("targetPort", port["port"].as_int());
  }
  bool outside = external(type) || (type == "ClusterIP" && !spec["externalIPs"].empty());
  if (outside && spec["externalTrafficPolicy"].as_string().empty()) {
    spec.set("externalTrafficPolicy", "Cluster");
  }
  if (type != "ExternalName" && spec["internalTrafficPolicy"].as_string().empty()) {
    spec.set("internalTrafficPolicy", "Cluster");
  }
  if (type == "LoadBalancer" && !spec["allocateLoadBalancerNodePorts"]) {
    spec.set("allocateLoadBalancerNodePorts", true);
  }
  default_balancer(object);
}

void prepare_create(json::Node object, Time) {
  object.set_object("status").set_object("loadBalancer");
}

// A type without ports on the nodes lets go of what only that needed, unless the caller changed it.
void drop_external(json::Value old_spec, json::Node spec) {
  spec.remove("allocateLoadBalancerNodePorts");
  for (json::Node port : spec["ports"].items()) {
    for (json::Value old_port : old_spec["ports"].items()) {
      if (old_port["nodePort"].as_int() == port["nodePort"].as_int()) {
        port.remove("nodePort");
        break;
      }
    }
  }
}

bool same_list(json::Node now, json::Value before) {
  json::Draft copy(now);
  json::Document frozen = copy.freeze();
  return json::equal(frozen.root(), before);
}

// An update keeps what was given out where the client leaves it open, and gives up what the new
// type has no use for.
void prepare_update(json::Value before, json::Node after, Time) {
  json::Value old_spec = before["spec"];
  json::Node spec = after["spec"];
  std::string type(spec["type"].as_string());
  bool gives_up_balancer = old_spec["type"].as_string() == "LoadBalancer" && type != "LoadBalancer";
  if (gives_up_balancer) after.ensure_object("status").set_object("loadBalancer");
  bool outside = external(type) || (type == "ClusterIP" && !spec["externalIPs"].empty());
  if (!outside && reachable(old_spec)) spec.remove("externalTrafficPolicy");
  if (!external(type) && external(old_spec["type"].as_string())) drop_external(old_spec, spec);
  if (type == "ExternalName") {
    if (old_spec["type"].as_string() != "ExternalName") {
      bool same = spec["clusterIP"].as_string() == old_spec["clusterIP"].as_string();
      if (same) {
        for (const char* field : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
          spec.remove(field);
        }
      }
      spec.remove("internalTrafficPolicy");
    }
    return;
  }
  // The one address of old clients and the list of new ones say the same: who changes the first
  // alone means both.
  std::string sent(spec["clusterIP"].as_string());
  bool moved = !sent.empty() && sent != old_spec["clusterIP"].as_string();
  if (moved &&
      (spec["clusterIPs"].empty() || same_list(spec["clusterIPs"], old_spec["clusterIPs"])))
    spec.set_array("clusterIPs").push(sent);
  for (const char* field : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
    json::Node now = spec[field];
    bool open =
        !now || (now.is_string() && now.as_string().empty()) || (now.is_array() && now.empty());
    if (open) spec.set(field, old_spec[field]);
  }
  if (!external(type)) return;
  for (json::Node port : spec["ports"].items()) {
    if (port["nodePort"].as_int() != 0) continue;
    for (json::Value old_port : old_spec["ports"].items()) {
      bool same = old_port["port"].as_int() == port["port"].as_int() &&
                  old_port["protocol"].as_string() == port["protocol"].as_string();
      if (same && old_port["nodePort"].as_int() != 0)
        port.set("nodePort", old_port["nodePort"].as_int());
    }
  }
  bool local = type == "LoadBalancer" && spec["externalTrafficPolicy"].as_string() == "Local";
  if (local && spec["healthCheckNodePort"].as_int() == 0) {
    spec.set("healthCheckNodePort", old_spec["healthCheckNodePort"]);
  }
}

void validate_port(json::Value port, bool named, std::string_view type, const Path& item,
                   std::set<std::string_view>& names, FieldErrors& errors) {
  std::string_view name = port["name"].as_string();
  if (name.empty()) {
    if (named) errors.required(item.child("name"), "");
  } else {
    Problems problems = dns_label_problems(name);
    report(problems, item.child("name"), name, errors);
    if (problems.empty() && !names.insert(name).second) errors.duplicate(item.child("name"), name);
  }
  if (!is_port(port["port"].as_int()))
    errors.invalid(item.child("port"), port["port"].as_int(), kPortRange);
  check_enum(port["protocol"].as_string(), kProtocols, item.child("protocol"), errors);
  json::Value target = port["targetPort"];
  if (target.is_string()) {
    report(port_name_problems(target.as_string()), item.child("targetPort"), target.as_string(),
           errors);
  } else if (!is_port(target.as_int())) {
    errors.invalid(item.child("targetPort"), target.as_int(), kPortRange);
  }
  if (std::string_view protocol = port["appProtocol"].as_string(); !protocol.empty()) {
    report(qualified_name_problems(protocol), item.child("appProtocol"), protocol, errors);
  }
  if (port["nodePort"].as_int() != 0 && !external(type)) {
    errors.forbidden(item.child("nodePort"),
                     fmt::format("may not be used when `type` is '{}'", type));
  }
}

void validate_ports(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value ports = spec["ports"];
  std::string_view type = spec["type"].as_string();
  bool headless = spec["clusterIP"].as_string() == "None";
  if (ports.empty() && type != "ExternalName" && !headless) errors.required(path, "");
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value port : ports.items())
    validate_port(port, ports.size() > 1, type, path.index(at++), names, errors);
  std::set<std::pair<int64_t, std::string_view>> seen;
  at = 0;
  for (json::Value port : ports.items()) {
    Path item = path.index(at++);
    const auto [number, protocol] = std::pair(port["port"].as_int(), port["protocol"].as_string());
    if (seen.emplace(number, protocol).second) continue;
    json::Draft pair;
    pair.root().set("port", number);
    pair.root().set("protocol", protocol);
    json::Document key = pair.freeze();
    json::Document shown = go_struct(schema::core_v1::kServicePort, key.root());
    errors.duplicate(item, shown.root());
  }
}

void validate_cluster_ips(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value ips = spec["clusterIPs"];
  std::string_view first = spec["clusterIP"].as_string();
  std::string_view type = spec["type"].as_string();
  Path at = path.child("clusterIPs");
  if (type == "ExternalName") {
    if (!ips.empty() || !first.empty())
      errors.forbidden(at, "may not be set for ExternalName services");
    return;
  }
  if (!ips.empty() && ips.at(0).as_string() != first) {
    errors.invalid(at, ips, "first value must match `clusterIP`");
  }
  if (first == "None" && external(type)) {
    errors.invalid(at.index(0), "None",
                   fmt::format("may not be set to 'None' for {} services", type));
  }
  size_t index = 0;
  for (json::Value ip : ips.items()) {
    Path item = at.index(index++);
    if (ip.as_string() == "None" || ip.as_string().empty()) continue;
    report(ip_problems(ip.as_string()), item, ip.as_string(), errors);
  }
  index = 0;
  for (json::Value family : spec["ipFamilies"].items()) {
    Path item = path.child("ipFamilies").index(index++);
    check_enum(family.as_string(), kFamilies, item, errors);
    for (size_t i = 0; i + 1 < index; ++i) {
      if (spec["ipFamilies"].at(i).as_string() == family.as_string()) {
        errors.duplicate(item, family.as_string());
      }
    }
  }
  if (ips.size() > 1 && std::all_of(ips.items().begin(), ips.items().end(),
                                    [](json::Value ip) { return is_ipv4(ip.as_string()); })) {
    errors.invalid(at, ips, "may specify no more than one IP for each IP family");
  }
  if (json::Value policy = spec["ipFamilyPolicy"]) {
    check_enum(policy.as_string(), kFamilyPolicies, path.child("ipFamilyPolicy"), errors);
  }
}

void validate_external_ips(json::Value ips, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value ip : ips.items()) {
    Path item = path.index(at++);
    std::string_view text = ip.as_string();
    Problems problems = ip_problems(text);
    report(problems, item, text, errors);
    if (!problems.empty()) continue;
    report(special_ip_problems(text), item, text, errors);
  }
}

void validate_affinity(json::Value spec, const Path& path, FieldErrors& errors) {
  std::string_view affinity = spec["sessionAffinity"].as_string();
  if (affinity.empty()) {
    errors.required(path.child("sessionAffinity"), "");
  } else {
    check_enum(affinity, kAffinities, path.child("sessionAffinity"), errors);
  }
  if (affinity != "ClientIP") return;
  int64_t seconds = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].as_int();
  if (seconds <= 0 || seconds > kAffinitySecondsMax) {
    errors.invalid(path.child("sessionAffinityConfig").child("clientIP").child("timeoutSeconds"),
                   seconds,
                   fmt::format("must be greater than 0 and less than {}", kAffinitySecondsMax));
  }
}

// What only services with a load balancer, or reachable from outside, may say.
void validate_outside(json::Value spec, const Path& path, FieldErrors& errors) {
  std::string_view type = spec["type"].as_string();
  constexpr const char* kBalancerOnly = "may only be used when `type` is 'LoadBalancer'";
  json::Value ranges = spec["loadBalancerSourceRanges"];
  Path at = path.child("LoadBalancerSourceRanges");
  if (!ranges.empty() && type != "LoadBalancer") errors.forbidden(at, kBalancerOnly);
  size_t index = 0;
  for (json::Value range : ranges.items()) {
    Path item = at.index(index++);
    std::string_view text = trim(range.as_string());
    report(cidr_problems(text), item, text, errors);
  }
  if (spec["allocateLoadBalancerNodePorts"] && type != "LoadBalancer") {
    errors.forbidden(path.child("allocateLoadBalancerNodePorts"), kBalancerOnly);
  }
  std::string_view klass = spec["loadBalancerClass"].as_string();
  if (!klass.empty()) {
    if (type != "LoadBalancer") {
      errors.forbidden(path.child("loadBalancerClass"), kBalancerOnly);
    } else {
      report(qualified_name_problems(klass), path.child("loadBalancerClass"), klass, errors);
    }
  }
  std::string_view policy = spec["externalTrafficPolicy"].as_string();
  if (!policy.empty()) {
    if (!reachable(spec)) {
      errors.invalid(path.child("externalTrafficPolicy"), policy,
                     "may only be set for externally-accessible services");
    } else {
      check_enum(policy, kPolicies, path.child("externalTrafficPolicy"), errors);
    }
  }
  int64_t health = spec["healthCheckNodePort"].as_int();
  if (health != 0 && (type != "LoadBalancer" || policy != "Local")) {
    errors.invalid(
        path.child("healthCheckNodePort"), health,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
  }
  if (json::Value inside = spec["internalTrafficPolicy"]) {
    check_enum(inside.as_string(), kPolicies, path.child("internalTrafficPolicy"), errors);
  }
}

// The older place of loadBalancerSourceRanges; the field stands before it.
void validate_range_annotation(json::Value annotations, json::Value spec, FieldErrors& errors) {
  constexpr std::string_view kRanges = "service.beta.kubernetes.io/load-balancer-source-ranges";
  json::Value value = annotations[kRanges];
  if (!value || !spec["loadBalancerSourceRanges"].empty()) return;
  Path path = Path("metadata").child("annotations").key(kRanges);
  if (spec["type"].as_string() != "LoadBalancer")
    errors.forbidden(path, "may only be used when `type` is 'LoadBalancer'");
  std::string_view text = trim(value.as_string());
  if (text.empty()) return;
  for (std::string_view range : split(text, ','))
    report(cidr_problems(trim(range)), path, trim(range), errors);
}

std::vector<std::string> warnings(json::Value object) {
  json::Value spec = object["spec"];
  std::vector<std::string> out;
  auto has = [&](const char* field) {
    json::Value value = spec[field];
    return value.is_string() ? !value.as_string().empty() : !value.empty();
  };
  if (object["metadata"]["annotations"]["service.kubernetes.io/topology-aware-hints"]) {
    out.emplace_back(
        "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
        "service.kubernetes.io/topology-mode instead");
  }
  const Path path("spec");
  const bool headless = spec["clusterIP"].as_string() == "None";
  if (headless) {
    if (has("loadBalancerIP"))
      out.emplace_back("spec.loadBalancerIP is ignored for headless services");
    if (has("externalIPs")) out.emplace_back("spec.externalIPs is ignored for headless services");
    if (spec["sessionAffinity"].as_string() == "ClientIP")
      out.emplace_back("spec.SessionAffinity is ignored for headless services");
  }
  auto forms = [&](const char* field) {
    size_t at = 0;
    for (json::Value item : spec[field].items())
      warn_of_form(trim(item.as_string()), path.child(field).index(at++), out);
  };
  forms("externalIPs");
  if (!headless && has("externalIPs")) {
    out.emplace_back(
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  }
  warn_of_form(spec["loadBalancerIP"].as_string(), path.child("loadBalancerIP"), out);
  forms("loadBalancerSourceRanges");
  bool named = spec["type"].as_string() == "ExternalName";
  if (!named && has("externalName"))
    out.emplace_back("spec.externalName is ignored when spec.type is not \"ExternalName\"");
  if (spec["trafficDistribution"].as_string() == "PreferClose") {
    out.emplace_back(
        "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
  }
  return out;
}

void validate(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  std::string_view type = spec["type"].as_string();
  validate_ports(spec, path.child("ports"), errors);
  validate_labels(spec["selector"], path.child("selector"), errors);
  validate_affinity(spec, path, errors);
  if (type.empty()) {
    errors.required(path.child("type"), "");
  } else {
    check_enum(type, kTypes, path.child("type"), errors);
  }
  validate_cluster_ips(spec, path, errors);
  validate_external_ips(spec["externalIPs"], path.child("externalIPs"), errors);
  if (type == "ExternalName") {
    std::string_view name = spec["externalName"].as_string();
    if (name.empty()) {
      errors.required(path.child("externalName"), "");
    } else {
      std::string_view host = name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
      report(dns_subdomain_problems(host), path.child("externalName"), name, errors);
    }
  }
  validate_outside(spec, path, errors);
  validate_range_annotation(object["metadata"]["annotations"], spec, errors);
  if (json::Value distribution = spec["trafficDistribution"]) {
    check_enum(distribution.as_string(), kDistributions, path.child("trafficDistribution"), errors);
  }
}

void validate_update(json::Value before, json::Value after, FieldErrors& errors) {
  json::Value old_spec = before["spec"];
  json::Value new_spec = after["spec"];
  bool stays = old_spec["type"].as_string() != "ExternalName" &&
               new_spec["type"].as_string() != "ExternalName";
  std::string_view old_ip = old_spec["clusterIP"].as_string();
  if (stays && !old_ip.empty() && old_ip != new_spec["clusterIP"].as_string()) {
    errors.invalid(Path("spec").child("clusterIPs").index(0), new_spec["clusterIPs"],
                   "may not change once set");
  }
  if (old_spec["type"].as_string() == "LoadBalancer" &&
      new_spec["type"].as_string() == "LoadBalancer") {
    validate_immutable(old_spec["loadBalancerClass"], new_spec["loadBalancerClass"],
                       Path("spec").child("loadBalancerClass"), errors);
  }
}

void validate_status_update(json::Value, json::Value after, FieldErrors& errors) {
  static constexpr std::string_view kModes[] = {"Proxy", "VIP"};
  size_t index = 0;
  for (json::Value ingress : after["status"]["loadBalancer"]["ingress"].items()) {
    Path item = Path("status").child("loadBalancer").child("ingress").index(index++);
    std::string_view ip = ingress["ip"].as_string(), mode = ingress["ipMode"].as_string();
    if (!ip.empty()) report(ip_problems(ip), item.child("ip"), ip, errors);
    if (!mode.empty()) check_enum(mode, kModes, item.child("ipMode"), errors);
    std::string_view host = ingress["hostname"].as_string();
    if (!host.empty()) report(dns_subdomain_problems(host), item.child("hostname"), host, errors);
  }
}

}  // namespace

constinit const Resource kServices = {
    .group = "",
    .version = "v1",
    .kind = "Service",
    .plural = "services",
    .singular = "service",
    .short_names = kShortNames,
    .categories = kAllCategory,
    .schema = &schema::core_v1::kService,
    .columns = kColumns,
    .subresources = kSubresources,
    .selectable_fields = kFields,
    .status_subresource = true,
    .create_on_update = true,
    .delete_gives_object = true,
    .apply_defaults = &apply_defaults,
    .prepare_create = &prepare_create,
    .prepare_update = &prepare_update,
    .validate = &validate,
    .validate_update = &validate_update,
    .validate_status_update = &validate_status_update,
    .valid_name = &valid_dns_label_name,
    .warnings = &warnings,
    .quota = &kServiceQuota,
};

}  // namespace wherry::api
