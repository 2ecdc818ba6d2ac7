// Writes the older Endpoints object of a Service with a selector.
// Spec: Kubernetes API reference, core/v1 Endpoints.

#include <algorithm>
#include <map>

#include "controller/all.h"
#include "controller/service_endpoints.h"

namespace wherry::controller {
namespace {

constexpr size_t kAddressesMax = 1000;
constexpr std::string_view kManagedBy = "endpoints.kubernetes.io/managed-by";
constexpr std::string_view kManager = "endpoint-controller";
constexpr std::string_view kHeadless = "service.kubernetes.io/headless";

void add_address(json::Node list, const Backend& backend) {
  json::Node address = list.push_object();
  address.set("ip", backend.ip);
  if (!backend.hostname.empty()) address.set("hostname", backend.hostname);
  if (!backend.node.empty()) address.set("nodeName", backend.node);
  json::Node target = address.set_object("targetRef");
  target.set("kind", "Pod");
  target.set("namespace", backend.pod->ns());
  target.set("name", backend.pod->name());
  target.set("uid", backend.pod->uid());
}

class EndpointsController final : public Reconciler {
 public:
  explicit EndpointsController(const Context& context)
      : context_(context),
        services_(context.lister("services")),
        pods_(context.lister("pods")),
        resource_(api::resource("endpoints")),
        endpoints_(context.cache.lister(resource_)) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr service = services_.find(key.ns, key.name);
    ObjectPtr there = endpoints_.find(key.ns, key.name);
    if (service == nullptr) {
      // Endpoints that were made for a Service go with it; there is no owner reference.
      if (there == nullptr) return Requeue::never();
      TRY(ignore_not_found(
          context_.client.remove(resource_, key.ns, key.name, {.uid = std::string(there->uid())})));
      return Requeue::never();
    }
    json::Document document = service->document();
    if (!is_selecting(document.root()["spec"])) return Requeue::never();

    json::Draft draft;
    json::Document old;
    if (there != nullptr) {
      old = there->document();
      draft = json::Draft(old.root());
    }
    fill(draft.root(), *service, document.root());
    json::Document after = draft.freeze();
    if (there == nullptr) {
      TRY(context_.client.create(resource_, key.ns, after.root()));
      return Requeue::never();
    }
    if (!json::equal(old.root(), after.root())) {
      TRY(context_.client.update(resource_, key.ns, key.name, after.root()));
    }
    return Requeue::never();
  }

 private:
  void fill(json::Node root, const api::Object& service, json::Value service_root) const {
    root.set("kind", "Endpoints");
    root.set("apiVersion", "v1");
    json::Node metadata = root.ensure_object("metadata");
    metadata.set("name", service.name());
    metadata.set("namespace", service.ns());
    json::Node labels = metadata.set_object("labels");
    for (auto [key, value] : service_root["metadata"]["labels"].members()) labels.set(key, value);
    labels.set(kManagedBy, kManager);
    if (is_headless(service_root["spec"])) {
      labels.set(kHeadless, "");
    } else {
      labels.remove(kHeadless);
    }
    root.remove("subsets");
    std::vector<Backend> backends = backends_of(service_root, pods_, service.ns());
    // Pods that are leaving are no endpoints here.
    std::erase_if(backends,
                  [](const Backend& backend) { return backend.terminating && !backend.ready; });
    if (backends.size() > kAddressesMax) backends.resize(kAddressesMax);
    for (size_t from = 0; from < backends.size();) {
      size_t to = from;
      while (to < backends.size() && backends[to].ports == backends[from].ports) ++to;
      add_subset(root.ensure_array("subsets").push_object(), backends, from, to);
      from = to;
    }
  }

  static void add_subset(json::Node subset, const std::vector<Backend>& backends, size_t from,
                         size_t to) {
    for (size_t i = from; i < to; ++i) {
      add_address(subset.ensure_array(backends[i].ready ? "addresses" : "notReadyAddresses"),
                  backends[i]);
    }
    if (backends[from].ports.empty()) return;
    json::Node ports = subset.set_array("ports");
    for (const ServicePort& port : backends[from].ports) {
      json::Node one = ports.push_object();
      if (!port.name.empty()) one.set("name", port.name);
      one.set("port", port.port);
      one.set("protocol", port.protocol);
      if (!port.app_protocol.empty()) one.set("appProtocol", port.app_protocol);
    }
  }

  const Context& context_;
  const Lister& services_;
  const Lister& pods_;
  const api::Resource& resource_;
  const Lister& endpoints_;
};

// Only a Service's own Endpoints: those made by hand have a Service without selector, or none.
void endpoints_service(const Change& change, const Context& context, Keys& out) {
  const ObjectPtr& object = change.after != nullptr ? change.after : change.before;
  if (context.lister("services").find(object->ns(), object->name()) != nullptr)
    self(change, context, out);
}

constexpr Watch kWatches[] = {{.resource = "services"},
                              {.resource = "pods", .map = &services_of_pod},
                              {.resource = "endpoints", .map = &endpoints_service}};

}  // namespace

constinit const ControllerSpec kEndpoints = {
    .name = "endpoint-controller",
    .watches = kWatches,
    .make = &make<EndpointsController>,
};

}  // namespace wherry::controller
