#pragma once
// Which pods stand behind a Service, and on which ports: the part that Endpoints and EndpointSlices
// share. Pure, but for reading listers.

#include <string>
#include <vector>

#include "api/object.h"
#include "controller/runtime.h"

namespace wherry::controller {

struct ServicePort {
  std::string name;
  std::string protocol;
  int64_t port = 0;  // On the pod; 0 for a headless Service without ports.
  std::string app_protocol;
  auto operator<=>(const ServicePort&) const = default;
};

struct Backend {
  ObjectPtr pod;
  std::string ip;
  std::string node;
  std::string hostname;  // Only where the pod's subdomain is the Service.
  bool ready = false;
  bool serving = false;
  bool terminating = false;
  std::vector<ServicePort> ports;
};

// Of a Service with a selector. Pods that share a set of resolved ports are neighbours in the
// result.
std::vector<Backend> backends_of(json::Value service, const Lister& pods, std::string_view ns);

bool is_headless(json::Value service_spec);
// Has a selector and is not an ExternalName: its endpoints are ours to write.
bool is_selecting(json::Value service_spec);

// Keys of the Services that select a changed pod, before or after.
void services_of_pod(const Change& change, const Context& context, Keys& out);

}  // namespace wherry::controller
