// Ingress as extensions/v1beta1 and networking.k8s.io/v1beta1 had it, IngressClass and
// NetworkPolicy, which have not changed since. Rules from the Kubernetes API reference of 1.21.

#include "api/retired.h"
#include "api/rows.h"
#include "api/schema_extensions_v1beta1.h"
#include "api/schema_networking_v1.h"

namespace wherry::api {
namespace {

constexpr std::string_view kAnyPath = "ImplementationSpecific";
constexpr Subresource kIngressParts[] = {status_of("Ingress")};

// {serviceName, servicePort} is {service: {name, port: {number or name}}} now.
void backend_to_stored(json::Node backend) {
  json::Node name = backend["serviceName"];
  json::Node port = backend["servicePort"];
  bool names_service = !name.as_string().empty() || port.as_int() != 0 || port.is_string();
  if (names_service) {
    json::Node service = backend.set_object("service");
    service.set("name", name.as_string());
    if (port.is_string()) {
      service.set_object("port").set("name", port.as_string());
    } else {
      service.set_object("port").set("number", port.as_int());
    }
  }
  backend.remove("serviceName");
  backend.remove("servicePort");
}

void backend_from_stored(json::Node backend) {
  json::Node service = backend["service"];
  if (!service) return;
  backend.set("serviceName", service["name"]);
  json::Node port = service["port"];
  backend.set("servicePort", port["name"].as_string().empty() ? port["number"] : port["name"]);
  backend.remove("service");
}

void move_member(json::Node from, const char* name, const char* to) {
  if (json::Node value = from[name]) {
    from.set(to, value);
    from.remove(name);
  }
}

void each_path(json::Node ingress, void (*visit)(json::Node path)) {
  for (json::Node rule : ingress["spec"]["rules"].items()) {
    for (json::Node path : rule["http"]["paths"].items()) visit(path);
  }
}

void ingress_to_stored(json::Node ingress) {
  json::Node spec = ingress["spec"];
  if (json::Node backend = spec["backend"]) backend_to_stored(backend);
  move_member(spec, "backend", "defaultBackend");
  each_path(ingress, [](json::Node path) {
    backend_to_stored(path["backend"]);
    if (!path["pathType"]) path.set("pathType", kAnyPath);
  });
}

void ingress_from_stored(json::Node ingress) {
  json::Node spec = ingress["spec"];
  if (json::Node backend = spec["defaultBackend"]) backend_from_stored(backend);
  move_member(spec, "defaultBackend", "backend");
  each_path(ingress, [](json::Node path) {
    backend_from_stored(path["backend"]);
    // Old manifests do not know the field; showing what they meant would look like a change.
    if (path["pathType"].as_string() == kAnyPath) path.remove("pathType");
  });
}

constexpr RetiredKind kIngressKind = {"Ingress", "ingresses", "ingress", &kIngresses,
                                      kIngressParts};
constexpr RetiredKind kIngressClassKind = {"IngressClass", "ingressclasses", "ingressclass",
                                           &kIngressClasses};
constexpr RetiredKind kNetworkPolicyKind = {"NetworkPolicy", "networkpolicies", "networkpolicy",
                                            &kNetworkPolicies};

}  // namespace

constinit const Resource kIngressesExtensions =
    retired(kIngressKind, {.group = "extensions",
                           .version = "v1beta1",
                           .schema = &schema::extensions_v1beta1::kIngress,
                           .meta_checks = MetaChecks::kChangeAndWhole,
                           .to_stored = &ingress_to_stored,
                           .from_stored = &ingress_from_stored});

constinit const Resource kIngressesV1beta1 =
    retired(kIngressKind, {.group = "networking.k8s.io",
                           .version = "v1beta1",
                           .schema = &schema::extensions_v1beta1::kIngress,
                           .meta_checks = MetaChecks::kChangeAndWhole,
                           .to_stored = &ingress_to_stored,
                           .from_stored = &ingress_from_stored});

constinit const Resource kIngressClassesV1beta1 =
    retired(kIngressClassKind, {.group = "networking.k8s.io",
                                .version = "v1beta1",
                                .scope = Scope::kCluster,
                                .schema = &schema::networking_v1::kIngressClass,
                                .meta_checks = MetaChecks::kChangeAndWhole});

constinit const Resource kNetworkPoliciesExtensions =
    retired(kNetworkPolicyKind, {.group = "extensions",
                                 .version = "v1beta1",
                                 .schema = &schema::networking_v1::kNetworkPolicy});

}  // namespace wherry::api
