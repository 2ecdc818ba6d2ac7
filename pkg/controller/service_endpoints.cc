#include "controller/service_endpoints.h"

#include <algorithm>

#include "api/selector.h"
#include "controller/pods.h"

namespace wherry::controller {
namespace {

// A Service port's target on this pod; 0 when the pod has no port of that name.
int64_t target_port(json::Value service_port, json::Value pod_spec) {
  json::Value target = service_port["targetPort"];
  if (!target) return service_port["port"].as_int();
  if (target.is_int())
    return target.as_int() != 0 ? target.as_int() : service_port["port"].as_int();
  std::string_view protocol = service_port["protocol"].as_string("TCP");
  auto search = [&](json::Value containers, bool sidecars_only) -> int64_t {
    for (json::Value container : containers.items()) {
      if (sidecars_only && container["restartPolicy"].as_string() != "Always") continue;
      for (json::Value port : container["ports"].items()) {
        if (port["name"].as_string() == target.as_string() &&
            port["protocol"].as_string("TCP") == protocol) {
          return port["containerPort"].as_int();
        }
      }
    }
    return 0;
  };
  int64_t found = search(pod_spec["containers"], false);
  return found != 0 ? found : search(pod_spec["initContainers"], true);
}

std::vector<ServicePort> ports_of(json::Value service_spec, json::Value pod_spec) {
  std::vector<ServicePort> out;
  for (json::Value port : service_spec["ports"].items()) {
    int64_t number = target_port(port, pod_spec);
    if (number == 0) continue;
    out.push_back({std::string(port["name"].as_string()),
                   std::string(port["protocol"].as_string("TCP")), number,
                   std::string(port["appProtocol"].as_string())});
  }
  return out;
}

}  // namespace

bool is_headless(json::Value spec) { return spec["clusterIP"].as_string() == "None"; }

bool is_selecting(json::Value spec) {
  return !spec["selector"].empty() && spec["type"].as_string() != "ExternalName";
}

std::vector<Backend> backends_of(json::Value service, const Lister& pods, std::string_view ns) {
  std::vector<Backend> out;
  json::Value spec = service["spec"];
  api::Selector selector = api::Selector::from_map(spec["selector"], true);
  bool tolerate_unready = spec["publishNotReadyAddresses"].as_bool();
  for (const ObjectPtr& pod : pods.list(ns)) {
    if (!selector.matches(*pod)) continue;
    json::Document document = pod->document();
    json::Value root = document.root();
    std::string_view phase = root["status"]["phase"].as_string();
    std::string_view ip = root["status"]["podIP"].as_string();
    if (ip.empty() || phase == "Succeeded" || phase == "Failed") continue;
    Backend backend;
    backend.pod = pod;
    backend.ip = ip;
    backend.node = root["spec"]["nodeName"].as_string();
    backend.terminating = pod->deleting();
    backend.serving = pod_ready(root);
    backend.ready = tolerate_unready || (backend.serving && !backend.terminating);
    if (root["spec"]["subdomain"].as_string() == service["metadata"]["name"].as_string()) {
      backend.hostname = root["spec"]["hostname"].as_string();
    }
    backend.ports = ports_of(spec, root["spec"]);
    if (backend.ports.empty() && !spec["ports"].empty()) continue;
    out.push_back(std::move(backend));
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Backend& a, const Backend& b) { return a.ports < b.ports; });
  return out;
}

void services_of_pod(const Change& change, const Context& context, Keys& out) {
  const ObjectPtr& either = change.after != nullptr ? change.after : change.before;
  for (const ObjectPtr& service : context.lister("services").list(either->ns())) {
    json::Document document = service->document();
    json::Value spec = document.root()["spec"];
    if (!is_selecting(spec)) continue;
    api::Selector selector = api::Selector::from_map(spec["selector"], true);
    bool before = change.before != nullptr && selector.matches(*change.before);
    bool after = change.after != nullptr && selector.matches(*change.after);
    if (before || after) out.push_back({std::string(service->ns()), std::string(service->name())});
  }
}

}  // namespace wherry::controller
