// Endpoints, core/v1, and EndpointSlice, discovery.k8s.io/v1: the addresses behind a Service. Rules
// from the Kubernetes API reference.

#include <set>

#include "api/cells.h"
#include "api/names.h"
#include "api/network_rules.h"
#include "api/pod_rules.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "api/schema_discovery_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"ep"};
constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
constexpr std::string_view kAddressTypes[] = {"FQDN", "IPv4", "IPv6"};
constexpr size_t kShown = 3;  // Places a cell names before it counts.
constexpr size_t kEndpointsMax = 1000;
constexpr size_t kAddressesMax = 100;
constexpr size_t kPortsMax = 20000;
constexpr const char* kPortRange = "must be between 1 and 65535, inclusive";

std::string join_host_port(std::string_view host, int64_t port) {
  bool v6 = host.find(':') != std::string_view::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::string shorten(const std::vector<std::string>& parts, std::string_view empty) {
  if (parts.empty()) return std::string(empty);
  if (parts.size() <= kShown) return join(parts, ",");
  std::vector<std::string> first(parts.begin(), parts.begin() + kShown);
  return fmt::format("{} + {} more...", join(first, ","), parts.size() - kShown);
}

void endpoints_cell(json::Value object, Time, json::Node cells) {
  std::vector<std::string> places;
  for (json::Value subset : object["subsets"].items()) {
    if (subset["ports"].empty()) {
      for (json::Value address : subset["addresses"].items()) {
        places.emplace_back(address["ip"].as_string());
      }
    }
    for (json::Value port : subset["ports"].items()) {
      for (json::Value address : subset["addresses"].items()) {
        places.push_back(join_host_port(address["ip"].as_string(), port["port"].as_int()));
      }
    }
  }
  cells.push(shorten(places, "<none>"));
}

void address_type_cell(json::Value slice, Time, json::Node cells) {
  cells.push(slice["addressType"].as_string());
}
void slice_ports_cell(json::Value slice, Time, json::Node cells) {
  std::vector<std::string> ports;
  for (json::Value port : slice["ports"].items()) {
    ports.push_back(port["port"] ? std::to_string(port["port"].as_int())
                                 : text_or(port["name"], "*"));
  }
  cells.push(shorten(ports, "<unset>"));
}
void slice_endpoints_cell(json::Value slice, Time, json::Node cells) {
  std::vector<std::string> places;
  for (json::Value endpoint : slice["endpoints"].items()) {
    for (json::Value address : endpoint["addresses"].items())
      places.emplace_back(address.as_string());
  }
  cells.push(shorten(places, "<unset>"));
}

constexpr Column kEndpointsColumns[] = {
    kNameColumn,
    {.name = "Endpoints", .description = "Addresses with their ports.", .cell = &endpoints_cell},
    kAgeColumn,
};
constexpr Column kSliceColumns[] = {
    kNameColumn,
    {.name = "AddressType", .description = "Kind of the addresses.", .cell = &address_type_cell},
    {.name = "Ports", .description = "Ports of every endpoint.", .cell = &slice_ports_cell},
    {.name = "Endpoints",
     .description = "Addresses of the endpoints.",
     .cell = &slice_endpoints_cell},
    kAgeColumn,
};

void validate_address(json::Value address, const Path& path, FieldErrors& errors) {
  std::string_view ip = address["ip"].as_string();
  report(ip_problems(ip), path.child("ip"), ip, errors);
  if (!is_ipv4(ip) && !is_ipv6(ip))
    errors.invalid(path.child("ip"), ip, "must be a valid IP address");
  report(special_ip_problems(ip), path.child("ip"), ip, errors);
  if (std::string_view host = address["hostname"].as_string(); !host.empty()) {
    report(dns_label_problems(host), path.child("hostname"), host, errors);
  }
  if (std::string_view node = address["nodeName"].as_string(); !node.empty()) {
    report(dns_subdomain_problems(node), path.child("nodeName"), node, errors);
  }
}

void validate_endpoint_port(json::Value port, bool named, const Path& path, FieldErrors& errors) {
  std::string_view name = port["name"].as_string();
  if (named && name.empty()) {
    errors.required(path.child("name"), "");
  } else if (!name.empty()) {
    report(dns_label_problems(name), path.child("name"), name, errors);
  }
  if (!is_port(port["port"].as_int()))
    errors.invalid(path.child("port"), port["port"].as_int(), kPortRange);
  check_enum(port["protocol"].as_string(), kProtocols, path.child("protocol"), errors);
}

void validate_endpoints(json::Value object, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value subset : object["subsets"].items()) {
    Path item = Path("subsets").index(at++);
    if (subset["addresses"].empty() && subset["notReadyAddresses"].empty()) {
      errors.required(item, "must specify `addresses` or `notReadyAddresses`");
    }
    for (const char* list : {"addresses", "notReadyAddresses"}) {
      size_t index = 0;
      for (json::Value address : subset[list].items()) {
        validate_address(address, item.child(list).index(index++), errors);
      }
    }
    size_t index = 0;
    bool named = subset["ports"].size() > 1;
    for (json::Value port : subset["ports"].items()) {
      validate_endpoint_port(port, named, item.child("ports").index(index++), errors);
    }
  }
}

// An address of the slice's type. Where the family is wrong, the list is at fault.
void validate_slice_address(std::string_view type, std::string_view address, const Path& list,
                            size_t index, FieldErrors& errors) {
  Path item = list.index(index);
  if (type == "FQDN") {
    report(dns_subdomain_problems(address), item, address, errors);
    return;
  }
  if (type != "IPv4" && type != "IPv6") return;
  Problems problems = ip_problems(address);
  report(problems, item, address, errors);
  bool v4 = type == "IPv4";
  bool other = v4 ? is_ipv6(address) : is_ipv4(address);
  if (other)
    errors.invalid(list, address, v4 ? "must be an IPv4 address" : "must be an IPv6 address");
  report(special_ip_problems(address), item, address, errors);
}

void validate_hints(json::Value hints, const Path& path, FieldErrors& errors) {
  constexpr size_t kZonesMax = 8;
  for (const char* field : {"forZones", "forNodes"}) {
    bool zones = std::string_view(field) == "forZones";
    Path list = path.child(field);
    if (hints[field].size() > kZonesMax) errors.too_many(list, hints[field].size(), kZonesMax);
    std::set<std::string_view> names;
    size_t at = 0;
    for (json::Value hint : hints[field].items()) {
      Path item = list.index(at++).child("name");
      std::string_view name = hint["name"].as_string();
      if (!names.insert(name).second) errors.duplicate(item, name);
      report(zones ? label_value_problems(name) : dns_subdomain_problems(name), item, name, errors);
    }
  }
}

void validate_slice_endpoint(json::Value endpoint, std::string_view type, const Path& item,
                             FieldErrors& errors) {
  json::Value addresses = endpoint["addresses"];
  Path at = item.child("addresses");
  if (addresses.empty()) errors.required(at, "must contain at least 1 address");
  if (addresses.size() > kAddressesMax) errors.too_many(at, addresses.size(), kAddressesMax);
  size_t index = 0;
  for (json::Value address : addresses.items()) {
    validate_slice_address(type, address.as_string(), at, index++, errors);
  }
  if (std::string_view node = endpoint["nodeName"].as_string(); !node.empty()) {
    report(dns_subdomain_problems(node), item.child("nodeName"), node, errors);
  }
  if (std::string_view host = endpoint["hostname"].as_string(); !host.empty()) {
    report(dns_label_problems(host), item.child("hostname"), host, errors);
  }
  validate_hints(endpoint["hints"], item.child("hints"), errors);
}

std::vector<std::string> endpoints_warnings(json::Value endpoints) {
  std::vector<std::string> out;
  size_t subset_at = 0;
  for (json::Value subset : endpoints["subsets"].items()) {
    Path path = Path("subsets").index(subset_at++);
    for (const char* list : {"addresses", "notReadyAddresses"}) {
      size_t at = 0;
      for (json::Value address : subset[list].items())
        warn_of_form(address["ip"].as_string(), path.child(list).index(at++).child("ip"), out);
    }
  }
  return out;
}

// Endpoints that were there `before` (absent: none were) are not judged again.
void check_slice(json::Value before, json::Value slice, FieldErrors& errors) {
  std::string_view type = slice["addressType"].as_string();
  if (type.empty()) {
    errors.required(Path("addressType"), "");
  } else {
    check_enum(type, kAddressTypes, Path("addressType"), errors);
  }
  json::Value endpoints = slice["endpoints"];
  if (before && json::equal(before["endpoints"], endpoints)) endpoints = json::Value();
  if (endpoints.size() > kEndpointsMax)
    errors.too_many(Path("endpoints"), endpoints.size(), kEndpointsMax);
  size_t at = 0;
  for (json::Value endpoint : endpoints.items()) {
    validate_slice_endpoint(endpoint, type, Path("endpoints").index(at++), errors);
  }
  if (slice["ports"].size() > kPortsMax)
    errors.too_many(Path("ports"), slice["ports"].size(), kPortsMax);
  at = 0;
  std::set<std::string_view> names;
  for (json::Value port : slice["ports"].items()) {
    Path item = Path("ports").index(at++);
    std::string_view name = port["name"].as_string();
    if (!name.empty()) report(dns_label_problems(name), item.child("name"), name, errors);
    if (!names.insert(name).second) errors.duplicate(item.child("name"), name);
    check_enum(port["protocol"].as_string(), kProtocols, item.child("protocol"), errors);
    if (std::string_view application = port["appProtocol"].as_string(); !application.empty()) {
      report(qualified_name_problems(application), item.child("appProtocol"), application, errors);
    }
  }
}

void slice_defaults(json::Node slice) {
  for (json::Node port : slice["ports"].items()) {
    if (!port["name"]) port.set("name", "");
    if (!port["protocol"]) port.set("protocol", "TCP");
  }
}

// Lists that hold nothing are none, and the topology of the beta versions is gone.
void tidy_slice(json::Node slice) {
  for (const char* list : {"endpoints", "ports"}) {
    if (slice[list].empty()) slice.set_null(list);
  }
  for (json::Node endpoint : slice["endpoints"].items()) endpoint.remove("deprecatedTopology");
}

void slice_prepare_create(json::Node slice, Time) { tidy_slice(slice); }

// Labels count as a change of the slice: its users are chosen by them.
void slice_prepare_update(json::Value before, json::Node after, Time) {
  tidy_slice(after);
  json::Draft old(before);
  json::Node old_labels = old.root()["metadata"]["labels"];
  json::Node labels = after["metadata"]["labels"];
  bool none = old_labels.empty() && labels.empty();
  if (!none && !json::equal(old_labels, labels))
    after["metadata"].set("generation", before["metadata"]["generation"].as_int() + 1);
}

void validate_slice(json::Value slice, FieldErrors& errors) {
  check_slice(json::Value(), slice, errors);
}

void validate_slice_update(json::Value before, json::Value after, FieldErrors& errors) {
  check_slice(before, after, errors);
  if (before["addressType"].as_string() != after["addressType"].as_string()) {
    errors.invalid(Path("addressType"), after["addressType"].as_string(), "field is immutable");
  }
}

}  // namespace

constinit const Resource kEndpoints = {
    .group = "",
    .version = "v1",
    .kind = "Endpoints",
    .plural = "endpoints",
    .singular = "endpoints",
    .short_names = kShortNames,
    .schema = &schema::core_v1::kEndpoints,
    .columns = kEndpointsColumns,
    .create_on_update = true,
    .validate = &validate_endpoints,
    .warnings = &endpoints_warnings,
};

constinit const Resource kEndpointSlices = {
    .group = "discovery.k8s.io",
    .version = "v1",
    .kind = "EndpointSlice",
    .plural = "endpointslices",
    .singular = "endpointslice",
    .schema = &schema::discovery_v1::kEndpointSlice,
    .columns = kSliceColumns,
    .generation = true,
    .update_rules = UpdateRules::kChangeOnly,
    .apply_defaults = &slice_defaults,
    .prepare_create = &slice_prepare_create,
    .prepare_update = &slice_prepare_update,
    .validate = &validate_slice,
    .validate_update = &validate_slice_update,
};

}  // namespace wherry::api
