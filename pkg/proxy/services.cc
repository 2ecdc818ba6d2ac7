#include "proxy/services.h"

#include <algorithm>
#include <optional>
#include <span>

namespace wherry::proxy {
namespace {

constexpr std::string_view kOtherProxy = "service.kubernetes.io/service-proxy-name";
constexpr int64_t kAffinitySecondsDefault = 10800;

std::optional<Protocol> parse_protocol(std::string_view name) {
  if (name.empty() || name == "TCP") return Protocol::kTcp;
  if (name == "UDP") return Protocol::kUdp;
  if (name == "SCTP") return Protocol::kSctp;
  return std::nullopt;
}

uint16_t to_port(json::Value value) {
  int64_t number = value.as_int();
  return number > 0 && number <= 0xffff ? static_cast<uint16_t>(number) : 0;
}

struct Endpoint {
  Backend backend;
  bool local = false;
  bool ready = false;
  bool leaving = false;  // Serves still, and terminates.
};

std::vector<Endpoint> endpoints_of(const std::vector<json::Value>& slices,
                                   std::string_view port_name, Protocol protocol,
                                   std::string_view node_name) {
  std::vector<Endpoint> endpoints;
  for (json::Value slice : slices) {
    if (slice["addressType"].as_string() != "IPv4") continue;
    uint16_t port = 0;
    for (json::Value candidate : slice["ports"].items()) {
      if (candidate["name"].as_string() != port_name) continue;
      if (parse_protocol(candidate["protocol"].as_string()) != protocol) continue;
      port = to_port(candidate["port"]);
    }
    if (port == 0) continue;
    for (json::Value item : slice["endpoints"].items()) {
      // All addresses of an endpoint are the same thing; only the first counts.
      auto address = Ipv4::parse(item["addresses"].at(0).as_string());
      if (!address) continue;
      json::Value conditions = item["conditions"];
      bool ready = conditions["ready"].as_bool(true);
      bool serving = conditions["serving"].as_bool(ready);
      endpoints.push_back({{*address, port},
                           item["nodeName"].as_string() == node_name,
                           ready,
                           serving && conditions["terminating"].as_bool(false)});
    }
  }
  return endpoints;
}

enum class Where { kAnywhere, kHere };

std::vector<Backend> choose(std::span<const Endpoint> endpoints, Where where) {
  std::vector<Backend> ready, leaving;
  for (const Endpoint& endpoint : endpoints) {
    if (where == Where::kHere && !endpoint.local) continue;
    if (endpoint.ready) ready.push_back(endpoint.backend);
    if (!endpoint.ready && endpoint.leaving) leaving.push_back(endpoint.backend);
  }
  std::vector<Backend>& chosen = ready.empty() ? leaving : ready;
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

Where policy(json::Value value) {
  return value.as_string() == "Local" ? Where::kHere : Where::kAnywhere;
}

uint32_t affinity_of(json::Value spec) {
  if (spec["sessionAffinity"].as_string() != "ClientIP") return 0;
  int64_t seconds =
      spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].as_int(kAffinitySecondsDefault);
  return static_cast<uint32_t>(std::clamp<int64_t>(seconds, 1, 86400));
}

std::vector<Ipv4> cluster_addresses(json::Value spec) {
  std::vector<Ipv4> addresses;
  for (json::Value text : spec["clusterIPs"].items()) {
    if (auto address = Ipv4::parse(text.as_string())) addresses.push_back(*address);
  }
  if (addresses.empty()) {
    if (auto address = Ipv4::parse(spec["clusterIP"].as_string())) addresses.push_back(*address);
  }
  return addresses;
}

std::vector<Ipv4> external_addresses(json::Value service) {
  std::vector<Ipv4> addresses;
  for (json::Value text : service["spec"]["externalIPs"].items()) {
    if (auto address = Ipv4::parse(text.as_string())) addresses.push_back(*address);
  }
  if (service["spec"]["type"].as_string() != "LoadBalancer") return addresses;
  for (json::Value item : service["status"]["loadBalancer"]["ingress"].items()) {
    // Mode Proxy: the balancer hands connections to the nodes under another address.
    if (item["ipMode"].as_string() == "Proxy") continue;
    if (auto address = Ipv4::parse(item["ip"].as_string())) addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace

std::vector<Entry> entries_of(json::Value service, const std::vector<json::Value>& slices,
                              std::string_view node_name) {
  std::vector<Entry> entries;
  json::Value spec = service["spec"];
  if (spec["type"].as_string() == "ExternalName") return entries;
  if (service["metadata"]["labels"][kOtherProxy]) return entries;
  std::vector<Ipv4> inside = cluster_addresses(spec);
  if (inside.empty()) return entries;  // Headless, or an address family that is not programmed.

  uint32_t affinity = affinity_of(spec);
  Where internal = policy(spec["internalTrafficPolicy"]);
  Where external = policy(spec["externalTrafficPolicy"]);
  for (json::Value port : spec["ports"].items()) {
    auto protocol = parse_protocol(port["protocol"].as_string());
    uint16_t number = to_port(port["port"]);
    if (!protocol || number == 0) continue;
    auto endpoints = endpoints_of(slices, port["name"].as_string(), *protocol, node_name);
    Target within{choose(endpoints, internal), affinity, false};
    Target from_outside{choose(endpoints, external), affinity, external == Where::kAnywhere};
    for (Ipv4 address : inside) entries.push_back({{address, *protocol, number}, within});
    for (Ipv4 address : external_addresses(service)) {
      entries.push_back({{address, *protocol, number}, from_outside});
    }
    if (uint16_t node_port = to_port(port["nodePort"])) {
      entries.push_back({{Ipv4{}, *protocol, node_port}, from_outside});
    }
  }
  return entries;
}

}  // namespace wherry::proxy
