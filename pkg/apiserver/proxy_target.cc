#include "apiserver/proxy_target.h"

#include <vector>

#include "api/status.h"
#include "base/random.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

struct Name {
  std::string scheme;
  std::string name;
  std::string port;
};

// name, name:port or scheme:name:port.
std::optional<Name> split_name(std::string_view text) {
  std::vector<std::string_view> parts = split(text, ':');
  Name out;
  if (parts.size() == 1) {
    out.name = parts[0];
  } else if (parts.size() == 2) {
    out.name = parts[0];
    out.port = parts[1];
  } else if (parts.size() == 3) {
    out.scheme = parts[0];
    out.name = parts[1];
    out.port = parts[2];
    if (!out.scheme.empty() && out.scheme != "http" && out.scheme != "https") return std::nullopt;
  } else {
    return std::nullopt;
  }
  if (out.name.empty()) return std::nullopt;
  return out;
}

// Addresses that mean this machine or nobody: a pod's status may not send us there.
bool is_proxyable(std::string_view address) {
  return !address.starts_with("127.") && !address.starts_with("169.254.") &&
         !address.starts_with("0.") && address != "::1" && address != "::" &&
         !address.starts_with("fe80:") && !address.starts_with("ff") &&
         !(address.size() > 3 && address[3] == '.' && address >= "224." && address < "240.");
}

Result<ProxyTarget> join_host(const Name& name, std::string_view address, std::string_view port) {
  if (!is_proxyable(address)) return Error::bad_request("address not allowed");
  ProxyTarget out;
  if (!name.scheme.empty()) out.scheme = name.scheme;
  bool v6 = address.find(':') != std::string_view::npos;
  out.host = v6 ? fmt::format("[{}]", address) : std::string(address);
  if (!port.empty()) out.host += ":" + std::string(port);
  return out;
}

Result<ProxyTarget> find_pod(const store::Store& store, const Target& target, const Name& name) {
  ObjectPtr pod = store.get("pods", target.ns, name.name);
  if (pod == nullptr) return api::not_found("pods", name.name);
  json::Document document = pod->document();
  json::Value root = document.root();
  std::string port = name.port;
  for (json::Value container : root["spec"]["containers"].items()) {
    if (!port.empty()) break;
    if (json::Value first = container["ports"].at(0)) {
      port = std::to_string(first["containerPort"].as_int());
    }
  }
  return join_host(name, root["status"]["podIP"].as_string(), port);
}

Error no_endpoints(std::string_view service) {
  return Error::unavailable("no endpoints available for service \"{}\"", service);
}

// A port given as a number is a port of the Service; endpoints know it by name.
Result<std::string> port_name(json::Value service, const Name& name) {
  std::optional<uint64_t> number = parse_uint(name.port);
  if (!number) return name.port;
  for (json::Value port : service["spec"]["ports"].items()) {
    if (port["port"].as_int() == static_cast<int64_t>(*number)) {
      return std::string(port["name"].as_string());
    }
  }
  return Error::unavailable("no service port {} found for service \"{}\"", *number, name.name);
}

Result<ProxyTarget> find_service(const store::Store& store, const Target& target,
                                 const Name& name) {
  ObjectPtr service = store.get("services", target.ns, name.name);
  if (service == nullptr) return api::not_found("services", name.name);
  json::Document document = service->document();
  std::string wanted = TRY(port_name(document.root(), name));
  std::vector<std::pair<std::string, std::string>> found;
  auto look = [&](const ObjectPtr& object) {
    json::Document slice_document = object->document();
    json::Value slice = slice_document.root();
    if (slice["metadata"]["labels"]["kubernetes.io/service-name"].as_string() != name.name)
      return true;
    if (slice["addressType"].as_string() == "FQDN") return true;
    std::string number;
    for (json::Value port : slice["ports"].items()) {
      if (port["name"].as_string() == wanted) number = std::to_string(port["port"].as_int());
    }
    if (number.empty()) return true;
    for (json::Value endpoint : slice["endpoints"].items()) {
      json::Value ready = endpoint["conditions"]["ready"];
      if (ready && !ready.as_bool()) continue;
      if (json::Value address = endpoint["addresses"].at(0)) {
        found.emplace_back(address.as_string(), number);
      }
    }
    return true;
  };
  store.snapshot("endpointslices.discovery.k8s.io")->scan(target.ns, {}, {}, look);
  if (found.empty()) return no_endpoints(name.name);
  const auto& [address, port] = found[random_u64() % found.size()];
  return join_host(name, address, port);
}

}  // namespace

Result<ProxyTarget> find_proxy_target(const store::Store& store, const Target& target) {
  if (target.resource->plural == "nodes") {
    return Error::unsupported("nodes/proxy is not built in: a node has no server of its own");
  }
  bool pods = target.resource->plural == "pods";
  std::optional<Name> name = split_name(target.name);
  if (!name) {
    return Error::bad_request("invalid {} request \"{}\"", pods ? "pod" : "service", target.name);
  }
  return pods ? find_pod(store, target, *name) : find_service(store, target, *name);
}

}  // namespace wherry::apiserver
