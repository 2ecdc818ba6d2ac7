// networking.k8s.io/v1: Ingress, IngressClass, NetworkPolicy, IPAddress, ServiceCIDR. Rules from
// the Kubernetes API reference.

#include <set>

#include "api/cells.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/network_rules.h"
#include "api/pod_rules.h"
#include "api/rows.h"
#include "api/schema_networking_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kIngressShortNames[] = {"ing"};
constexpr std::string_view kPolicyShortNames[] = {"netpol"};
constexpr std::string_view kAddressShortNames[] = {"ip"};
constexpr Subresource kIngressSubresources[] = {status_of("Ingress")};
constexpr Subresource kCidrSubresources[] = {status_of("ServiceCIDR")};
constexpr std::string_view kOldClass = "kubernetes.io/ingress.class";

// ---- Ingress

void class_cell(json::Value ingress, Time, json::Node cells) {
  std::string old = text_or(ingress["metadata"]["annotations"][kOldClass], "<none>");
  cells.push(text_or(ingress["spec"]["ingressClassName"], old));
}

void hosts_cell(json::Value ingress, Time, json::Node cells) {
  constexpr size_t kShown = 3;
  std::vector<std::string_view> hosts;
  size_t more = 0;
  for (json::Value rule : ingress["spec"]["rules"].items()) {
    std::string_view host = rule["host"].as_string();
    if (host.empty()) continue;
    if (hosts.size() < kShown) {
      hosts.push_back(host);
    } else {
      ++more;
    }
  }
  std::string text = hosts.empty() ? "*" : join(hosts, ",");
  if (more > 0) text += fmt::format(" + {} more...", more);
  cells.push(text);
}

void address_cell(json::Value ingress, Time, json::Node cells) {
  std::vector<std::string> places;
  for (json::Value point : ingress["status"]["loadBalancer"]["ingress"].items()) {
    places.push_back(text_or(point["ip"], point["hostname"].as_string()));
  }
  cells.push(join(places, ","));
}
void ingress_ports_cell(json::Value ingress, Time, json::Node cells) {
  cells.push(ingress["spec"]["tls"].empty() ? "80" : "80, 443");
}

constexpr Column kIngressColumns[] = {
    kNameColumn,
    {.name = "Class", .description = "Class that serves it.", .cell = &class_cell},
    {.name = "Hosts", .description = "Host names it answers for.", .cell = &hosts_cell},
    {.name = "Address", .description = "Where it can be reached.", .cell = &address_cell},
    {.name = "Ports", .description = "Ports it listens on.", .cell = &ingress_ports_cell},
    kAgeColumn,
};

// A name that may stand in a path; empty names are told as missing.
void validate_segment(json::Value name, const Path& path, FieldErrors& errors) {
  if (name.as_string().empty()) {
    errors.required(path, "");
  } else {
    report(path_segment_problems(name.as_string()), path, name.as_string(), errors);
  }
}

void validate_resource_backend(json::Value resource, const Path& path, FieldErrors& errors) {
  if (json::Value group = resource["apiGroup"]; group && !group.is_null()) {
    report(dns_subdomain_problems(group.as_string()), path.child("apiGroup"), group.as_string(),
           errors);
  }
  validate_segment(resource["kind"], path.child("kind"), errors);
  validate_segment(resource["name"], path.child("name"), errors);
}

void validate_backend(json::Value backend, const Path& path, FieldErrors& errors) {
  json::Value service = backend["service"];
  json::Value resource = backend["resource"];
  if (service && resource) {
    errors.invalid(path, "", "cannot set both resource and service backends");
    return;
  }
  if (resource) {
    validate_resource_backend(resource, path.child("resource"), errors);
    return;
  }
  if (!service) {
    errors.invalid(path, "", "resource or service backend is required");
    return;
  }
  Path at = path.child("service");
  std::string_view name = service["name"].as_string();
  if (name.empty()) {
    errors.required(at.child("name"), "");
  } else {
    report(dns_label_problems(name), at.child("name"), name, errors);
  }
  std::string_view port_name = service["port"]["name"].as_string();
  int64_t number = service["port"]["number"].as_int();
  if (!port_name.empty() && number != 0) {
    errors.invalid(path, "", "cannot set both port name & port number");
  } else if (!port_name.empty()) {
    report(port_name_problems(port_name), at.child("port").child("name"), port_name, errors);
  } else if (number != 0) {
    if (!is_port(number)) {
      errors.invalid(at.child("port").child("number"), number,
                     "must be between 1 and 65535, inclusive");
    }
  } else {
    errors.required(path, "port name or number is required");
  }
}

void validate_path(json::Value item, const Path& at, FieldErrors& errors) {
  static constexpr std::string_view kTypes[] = {"Exact", "ImplementationSpecific", "Prefix"};
  static constexpr std::string_view kBadParts[] = {"//", "/./", "/../", "%2f", "%2F"};
  static constexpr std::string_view kBadEnds[] = {"/..", "/."};
  std::string_view text = item["path"].as_string();
  json::Value type = item["pathType"];
  if (!type || type.is_null()) {
    errors.required(at.child("pathType"), "pathType must be specified");
  } else if (type.as_string() == "Exact" || type.as_string() == "Prefix") {
    if (!text.starts_with('/')) errors.invalid(at.child("path"), text, "must be an absolute path");
    for (std::string_view part : kBadParts) {
      if (text.find(part) != std::string_view::npos) {
        errors.invalid(at.child("path"), text, fmt::format("must not contain '{}'", part));
      }
    }
    for (std::string_view end : kBadEnds) {
      if (text.ends_with(end)) {
        errors.invalid(at.child("path"), text, fmt::format("cannot end with '{}'", end));
      }
    }
  } else if (type.as_string() == "ImplementationSpecific") {
    if (!text.empty() && !text.starts_with('/')) {
      errors.invalid(at.child("path"), text, "must be an absolute path");
    }
  } else {
    errors.not_supported(at.child("pathType"), type.as_string(), kTypes);
  }
  validate_backend(item["backend"], at.child("backend"), errors);
}

void validate_ingress(json::Value ingress, FieldErrors& errors) {
  json::Value spec = ingress["spec"];
  Path path("spec");
  if (spec["rules"].empty() && !spec["defaultBackend"]) {
    errors.invalid(path, spec["rules"], "either `defaultBackend` or `rules` must be specified");
  }
  if (spec["defaultBackend"])
    validate_backend(spec["defaultBackend"], path.child("defaultBackend"), errors);
  size_t at = 0;
  for (json::Value rule : spec["rules"].items()) {
    Path item = path.child("rules").index(at++);
    std::string_view host = rule["host"].as_string();
    if (is_ipv4(host) || is_ipv6(host)) {
      errors.invalid(item.child("host"), host, "must be a DNS name, not an IP address");
    } else if (host.find('*') != std::string_view::npos) {
      report(wildcard_subdomain_problems(host), item.child("host"), host, errors);
    } else if (!host.empty()) {
      report(dns_subdomain_problems(host), item.child("host"), host, errors);
    }
    if (rule["http"] && rule["http"]["paths"].empty()) {
      errors.required(item.child("http").child("paths"), "");
    }
    size_t path_at = 0;
    for (json::Value one : rule["http"]["paths"].items()) {
      validate_path(one, item.child("http").child("paths").index(path_at++), errors);
    }
  }
  at = 0;
  for (json::Value tls : spec["tls"].items()) {
    Path item = path.child("tls").index(at++);
    size_t host_at = 0;
    for (json::Value host : tls["hosts"].items()) {
      std::string_view text = host.as_string();
      Path place = item.child("hosts").index(host_at++);
      bool wild = text.find('*') != std::string_view::npos;
      report(wild ? wildcard_subdomain_problems(text) : dns_subdomain_problems(text), place, text,
             errors);
    }
    if (std::string_view name = tls["secretName"].as_string(); !name.empty())
      report(dns_subdomain_problems(name), item.child("secretName"), name, errors);
  }
  json::Value name = spec["ingressClassName"];
  if (name) {
    report(dns_subdomain_problems(name.as_string()), path.child("ingressClassName"),
           name.as_string(), errors);
  }
  json::Value old = ingress["metadata"]["annotations"][kOldClass];
  if (name && old && name.as_string() != old.as_string()) {
    errors.invalid(Path("annotations").child(kOldClass), old.as_string(),
                   "must match `ingressClassName` when both are specified");
  }
}

std::vector<std::string> ingress_warnings(json::Value ingress) {
  if (!ingress["metadata"]["annotations"][kOldClass]) return {};
  return {fmt::format("annotation {} is deprecated, please use 'spec.ingressClassName' instead",
                      quote(kOldClass))};
}

void warn_of_blocks(json::Value rules, const char* peers, const Path& path,
                    std::vector<std::string>& out) {
  size_t rule_at = 0;
  for (json::Value rule : rules.items()) {
    Path list = path.index(rule_at++).child(peers);
    size_t at = 0;
    for (json::Value peer : rule[peers].items()) {
      Path block = list.index(at++).child("ipBlock");
      warn_of_form(peer["ipBlock"]["cidr"].as_string(), block.child("cidr"), out);
      size_t index = 0;
      for (json::Value range : peer["ipBlock"]["except"].items())
        warn_of_form(range.as_string(), block.child("except").index(index++), out);
    }
  }
}

std::vector<std::string> policy_warnings(json::Value policy) {
  std::vector<std::string> out;
  json::Value spec = policy["spec"];
  warn_of_blocks(spec["ingress"], "from", Path("spec").child("ingress"), out);
  warn_of_blocks(spec["egress"], "to", Path("spec").child("egress"), out);
  return out;
}

void validate_ingress_status(json::Value, json::Value after, FieldErrors& errors) {
  Path path = Path("status").child("loadBalancer").child("ingress");
  size_t at = 0;
  for (json::Value point : after["status"]["loadBalancer"]["ingress"].items()) {
    Path item = path.index(at++);
    if (std::string_view ip = point["ip"].as_string(); !ip.empty())
      report(ip_problems(ip), item.child("ip"), ip, errors);
    std::string_view host = point["hostname"].as_string();
    if (host.empty()) continue;
    report(dns_subdomain_problems(host), item.child("hostname"), host, errors);
    if (is_ipv4(host) || is_ipv6(host))
      errors.invalid(item.child("hostname"), host, "must be a DNS name, not an IP address");
  }
}

// ---- IngressClass

void class_controller_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["controller"].as_string());
}
void class_parameters_cell(json::Value object, Time, json::Node cells) {
  json::Value parameters = object["spec"]["parameters"];
  if (!parameters) {
    cells.push("<none>");
    return;
  }
  std::string text(parameters["kind"].as_string());
  if (std::string_view group = parameters["apiGroup"].as_string(); !group.empty()) {
    text += "." + std::string(group);
  }
  cells.push(text + "/" + std::string(parameters["name"].as_string()));
}

constexpr Column kClassColumns[] = {
    kNameColumn,
    {.name = "Controller", .description = "Who serves the class.", .cell = &class_controller_cell},
    {.name = "Parameters", .description = "More of its settings.", .cell = &class_parameters_cell},
    kAgeColumn,
};

void class_defaults(json::Node object) {
  json::Node parameters = object["spec"]["parameters"];
  if (parameters.is_object() && !parameters["scope"]) parameters.set("scope", "Cluster");
}

void validate_class_parameters(json::Value parameters, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kScopes[] = {"Cluster", "Namespace"};
  validate_resource_backend(parameters, path, errors);
  json::Value ns = parameters["namespace"];
  Path at = path.child("namespace");
  std::string_view scope = parameters["scope"].as_string();
  if (!check_enum(scope, kScopes, path.child("scope"), errors)) return;
  if (scope == "Namespace" && !ns) {
    errors.required(at, "`parameters.scope` is set to 'Namespace'");
  } else if (scope == "Namespace") {
    report(dns_label_problems(ns.as_string()), at, ns.as_string(), errors);
  } else if (ns) {
    errors.forbidden(at, "`parameters.scope` is set to 'Cluster'");
  }
}

void validate_class(json::Value object, FieldErrors& errors) {
  std::string_view controller = object["spec"]["controller"].as_string();
  Path at = Path("spec").child("controller");
  constexpr size_t kBytesMax = 250;
  if (controller.size() > kBytesMax) errors.too_long(at, kBytesMax);
  if (controller.empty()) {
    errors.required(at, "");
  } else {
    validate_domain_prefixed_path(controller, at, errors);
  }
  if (json::Value parameters = object["spec"]["parameters"])
    validate_class_parameters(parameters, Path("spec").child("parameters"), errors);
}

void validate_class_update(json::Value before, json::Value after, FieldErrors& errors) {
  std::string_view controller = after["spec"]["controller"].as_string();
  if (controller == before["spec"]["controller"].as_string()) return;
  errors.invalid(Path("spec").child("controller"), controller, "field is immutable");
}

// ---- NetworkPolicy

void pod_selector_cell(json::Value policy, Time, json::Node cells) {
  cells.push(label_selector_text(policy["spec"]["podSelector"]));
}
constexpr Column kPolicyColumns[] = {
    kNameColumn,
    {.name = "Pod-Selector", .description = "Pods it is for.", .cell = &pod_selector_cell},
    kAgeColumn,
};

// A policy with egress rules is also about egress.
void policy_defaults(json::Node policy) {
  json::Node spec = policy.ensure_object("spec");
  if (spec["policyTypes"].empty()) {
    json::Node types = spec.set_array("policyTypes");
    types.push("Ingress");
    if (!spec["egress"].empty()) types.push("Egress");
  }
  for (const char* direction : {"ingress", "egress"}) {
    for (json::Node rule : spec[direction].items()) {
      for (json::Node port : rule["ports"].items()) {
        if (!port["protocol"]) port.set("protocol", "TCP");
      }
    }
  }
}

void validate_peer(json::Value peer, const Path& path, FieldErrors& errors) {
  int parts = 0;
  for (const char* selector : {"podSelector", "namespaceSelector"}) {
    if (!peer[selector]) continue;
    ++parts;
    validate_label_selector(peer[selector], path.child(selector), errors);
  }
  if (json::Value block = peer["ipBlock"]) {
    bool alone = parts++ == 0;
    std::string_view cidr = block["cidr"].as_string();
    Path at = path.child("ipBlock");
    bool sound = false;
    if (cidr.empty()) {
      errors.required(at.child("cidr"), "");
    } else {
      Problems problems = cidr_problems(cidr);
      sound = problems.empty();
      report(problems, at.child("cidr"), cidr, errors);
    }
    size_t index = 0;
    for (json::Value hole : block["except"].items()) {
      std::string_view text = hole.as_string();
      Path item = at.child("except").index(index++);
      Problems problems = cidr_problems(text);
      report(problems, item, text, errors);
      if (sound && problems.empty() && !lies_within(text, cidr))
        errors.invalid(item, text, "must be a strict subset of `cidr`");
    }
    if (!alone) errors.forbidden(path, "may not specify both ipBlock and another peer");
  }
  if (parts == 0) errors.required(path, "must specify a peer");
}

void validate_policy_port(json::Value port, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kProtocols[] = {"TCP", "UDP", "SCTP"};
  check_enum(port["protocol"].as_string("TCP"), kProtocols, path.child("protocol"), errors);
  json::Value number = port["port"];
  if (number.is_string()) {
    report(port_name_problems(number.as_string()), path.child("port"), number.as_string(), errors);
  } else if (number && !is_port(number.as_int())) {
    errors.invalid(path.child("port"), number.as_int(), "must be between 1 and 65535, inclusive");
  }
  if (json::Value end = port["endPort"]) {
    Path at = path.child("endPort");
    if (!number) {
      errors.invalid(at, end.as_int(), "may not be specified when `port` is not specified");
    } else if (number.is_string()) {
      errors.invalid(at, end.as_int(), "may not be specified when `port` is non-numeric");
    } else {
      if (end.as_int() < number.as_int())
        errors.invalid(at, number.as_int(), "must be greater than or equal to `port`");
      if (!is_port(end.as_int()))
        errors.invalid(at, end.as_int(), "must be between 1 and 65535, inclusive");
    }
  }
}

void validate_policy(json::Value policy, FieldErrors& errors) {
  json::Value spec = policy["spec"];
  Path path("spec");
  validate_label_selector(spec["podSelector"], path.child("podSelector"), errors);
  struct Direction {
    const char* rules;
    const char* peers;
  };
  for (const Direction& direction : {Direction{"ingress", "from"}, Direction{"egress", "to"}}) {
    size_t at = 0;
    for (json::Value rule : spec[direction.rules].items()) {
      Path item = path.child(direction.rules).index(at++);
      size_t index = 0;
      for (json::Value port : rule["ports"].items()) {
        validate_policy_port(port, item.child("ports").index(index++), errors);
      }
      index = 0;
      for (json::Value peer : rule[direction.peers].items()) {
        validate_peer(peer, item.child(direction.peers).index(index++), errors);
      }
    }
  }
  static constexpr std::string_view kTypes[] = {"Ingress", "Egress"};
  Path types = path.child("policyTypes");
  if (spec["policyTypes"].size() > std::size(kTypes)) {
    errors.invalid(types, spec["policyTypes"], "may not specify more than two policyTypes");
    return;
  }
  size_t at = 0;
  for (json::Value type : spec["policyTypes"].items()) {
    check_enum(type.as_string(), kTypes, types.index(at++), errors);
  }
}

// ---- IPAddress, ServiceCIDR

void parent_cell(json::Value object, Time, json::Node cells) {
  json::Value parent = object["spec"]["parentRef"];
  if (!parent) {
    cells.push("<none>");
    return;
  }
  std::string text(parent["resource"].as_string());
  if (std::string_view group = parent["group"].as_string(); !group.empty())
    text += "." + std::string(group);
  if (std::string_view ns = parent["namespace"].as_string(); !ns.empty())
    text += "/" + std::string(ns);
  cells.push(text + "/" + std::string(parent["name"].as_string()));
}
void cidrs_cell(json::Value object, Time, json::Node cells) {
  cells.push(joined(object["spec"]["cidrs"], ""));
}

constexpr Column kAddressColumns[] = {
    kNameColumn,
    {.name = "ParentRef", .description = "What uses the address.", .cell = &parent_cell},
};
constexpr Column kCidrColumns[] = {
    kNameColumn,
    {.name = "CIDRs", .description = "Ranges that addresses are taken from.", .cell = &cidrs_cell},
    kAgeColumn,
};

bool valid_address_name(std::string_view name, std::string* why) {
  Problems problems = ip_problems(name);
  if (problems.empty() && canonical_ip(name) != name)
    problems.push_back(fmt::format("must be in canonical form ({})", quote(canonical_ip(name))));
  *why = join(problems, "\n");
  return problems.empty();
}

void validate_address(json::Value object, FieldErrors& errors) {
  json::Value parent = object["spec"]["parentRef"];
  Path path = Path("spec").child("parentRef");
  if (!parent) {
    errors.required(path, "");
    return;
  }
  auto optional = [&](const char* field, Problems (*problems)(std::string_view)) {
    std::string_view text = parent[field].as_string();
    if (!text.empty()) report(problems(text), path.child(field), text, errors);
  };
  optional("group", &dns_subdomain_problems);
  for (const char* field : {"resource", "name"})
    validate_segment(parent[field], path.child(field), errors);
  optional("namespace", &path_segment_problems);
}
void validate_address_update(json::Value before, json::Value after, FieldErrors& errors) {
  json::Value now = after["spec"]["parentRef"];
  if (json::equal(before["spec"]["parentRef"], now)) return;
  json::Document shown = go_struct(schema::networking_v1::kParentReference, now);
  errors.invalid(Path("spec").child("parentRef"), shown.root(), "field is immutable");
}

void validate_cidrs(json::Value object, FieldErrors& errors) {
  constexpr size_t kCidrsMax = 2;
  Path path = Path("spec").child("cidrs");
  json::Value cidrs = object["spec"]["cidrs"];
  if (cidrs.empty()) errors.required(path, "at least one CIDR required");
  if (cidrs.size() > kCidrsMax) {
    json::Document shown = go_struct(schema::networking_v1::kServiceCIDRSpec, object["spec"]);
    errors.invalid(path, shown.root(), fmt::format("may only hold up to {} values", kCidrsMax));
    return;
  }
  size_t at = 0;
  size_t v6 = 0;
  bool sound = true;
  for (json::Value cidr : cidrs.items()) {
    std::string_view text = cidr.as_string();
    Path item = path.index(at++);
    Problems problems = cidr_problems(text);
    report(problems, item, text, errors);
    if (text.find(':') != std::string_view::npos) ++v6;
    auto parts = split_once(text, "/");
    if (!parts) {
      sound = false;
      continue;
    }
    std::string due = fmt::format("{}/{}", canonical_ip(parts->first), parts->second);
    if (problems.empty() && due != text)
      errors.invalid(item, text, fmt::format("must be in canonical form ({})", quote(due)));
  }
  if (sound && cidrs.size() == 2 && v6 != 1) {
    errors.invalid(path, cidrs,
                   "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and "
                   "2001:db8::/64");
  }
}

// A range of the other family may be added to one that stands alone.
void validate_cidrs_update(json::Value before, json::Value after, FieldErrors& errors) {
  json::Value old = before["spec"]["cidrs"];
  json::Value now = after["spec"]["cidrs"];
  Path path = Path("spec").child("cidrs");
  if (old.size() == 1 && (now.size() == 1 || now.size() == 2)) {
    if (!json::equal(old.at(0), now.at(0)))
      errors.invalid(path.index(0), now.at(0), "field is immutable");
  } else if (!json::equal(old, now)) {
    errors.invalid(path, now, "field is immutable");
  }
}

}  // namespace

constinit const Resource kIngresses = {
    .group = "networking.k8s.io",
    .version = "v1",
    .kind = "Ingress",
    .plural = "ingresses",
    .singular = "ingress",
    .short_names = kIngressShortNames,
    .schema = &schema::networking_v1::kIngress,
    .columns = kIngressColumns,
    .subresources = kIngressSubresources,
    .status_subresource = true,
    .generation = true,
    .warns_of_updates = false,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_ingress,
    .validate_status_update = &validate_ingress_status,
    .warnings = &ingress_warnings,
};

constinit const Resource kIngressClasses = {
    .group = "networking.k8s.io",
    .version = "v1",
    .kind = "IngressClass",
    .plural = "ingressclasses",
    .singular = "ingressclass",
    .scope = Scope::kCluster,
    .schema = &schema::networking_v1::kIngressClass,
    .columns = kClassColumns,
    .generation = true,
    .update_rules = UpdateRules::kChangeFirst,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &class_defaults,
    .validate = &validate_class,
    .validate_update = &validate_class_update,
};

constinit const Resource kNetworkPolicies = {
    .group = "networking.k8s.io",
    .version = "v1",
    .kind = "NetworkPolicy",
    .plural = "networkpolicies",
    .singular = "networkpolicy",
    .short_names = kPolicyShortNames,
    .schema = &schema::networking_v1::kNetworkPolicy,
    .columns = kPolicyColumns,
    .generation = true,
    .apply_defaults = &policy_defaults,
    .validate = &validate_policy,
    .warnings = &policy_warnings,
};

constinit const Resource kIpAddresses = {
    .group = "networking.k8s.io",
    .version = "v1",
    .kind = "IPAddress",
    .plural = "ipaddresses",
    .singular = "ipaddress",
    .short_names = kAddressShortNames,
    .scope = Scope::kCluster,
    .schema = &schema::networking_v1::kIPAddress,
    .columns = kAddressColumns,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_address,
    .validate_update = &validate_address_update,
    .valid_name = &valid_address_name,
};

constinit const Resource kServiceCidrs = {
    .group = "networking.k8s.io",
    .version = "v1",
    .kind = "ServiceCIDR",
    .plural = "servicecidrs",
    .singular = "servicecidr",
    .scope = Scope::kCluster,
    .schema = &schema::networking_v1::kServiceCIDR,
    .columns = kCidrColumns,
    .subresources = kCidrSubresources,
    .status_subresource = true,
    .update_rules = UpdateRules::kChangeOnly,
    .validate = &validate_cidrs,
    .validate_update = &validate_cidrs_update,
};

}  // namespace wherry::api
