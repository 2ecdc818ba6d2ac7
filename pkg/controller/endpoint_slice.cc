// Writes EndpointSlices for Services with a selector. Slices made by hand, or by anybody else, are
// left alone: ours carry the label endpointslice.kubernetes.io/managed-by. Spec: Kubernetes
// documentation, "EndpointSlices"; API reference, discovery.k8s.io/v1.

#include <algorithm>
#include <map>

#include "controller/all.h"
#include "controller/owners.h"
#include "controller/service_endpoints.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view kManager = "endpointslice-controller.k8s.io";
constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kHeadless = "service.kubernetes.io/headless";
constexpr size_t kEndpointsMax = 100;  // In one slice.

void add_endpoint(json::Node list, const Backend& backend) {
  json::Node endpoint = list.push_object();
  endpoint.set_array("addresses").push(backend.ip);
  json::Node conditions = endpoint.set_object("conditions");
  conditions.set("ready", backend.ready);
  conditions.set("serving", backend.serving || backend.ready);
  conditions.set("terminating", backend.terminating);
  if (!backend.hostname.empty()) endpoint.set("hostname", backend.hostname);
  json::Node target = endpoint.set_object("targetRef");
  target.set("kind", "Pod");
  target.set("namespace", backend.pod->ns());
  target.set("name", backend.pod->name());
  target.set("uid", backend.pod->uid());
  if (!backend.node.empty()) endpoint.set("nodeName", backend.node);
}

void add_ports(json::Node slice, const std::vector<ServicePort>& ports) {
  json::Node list = slice.set_array("ports");
  for (const ServicePort& port : ports) {
    json::Node one = list.push_object();
    one.set("name", port.name);
    one.set("port", port.port);
    one.set("protocol", port.protocol);
    if (!port.app_protocol.empty()) one.set("appProtocol", port.app_protocol);
  }
}

class EndpointSliceController final : public Reconciler {
 public:
  explicit EndpointSliceController(const Context& context)
      : context_(context),
        services_(context.lister("services")),
        pods_(context.lister("pods")),
        resource_(api::resource("endpointslices.discovery.k8s.io")),
        slices_(context.cache.lister(resource_)) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr service = services_.find(key.ns, key.name);
    std::vector<ObjectPtr> mine = slices_of(key);
    if (service == nullptr || service->deleting()) {
      if (service != nullptr) return Requeue::never();  // Goes with its owner.
      for (const ObjectPtr& slice : mine) TRY(remove(*slice));
      return Requeue::never();
    }
    json::Document document = service->document();
    if (!is_selecting(document.root()["spec"])) {
      if (document.root()["spec"]["type"].as_string() == "ExternalName") {
        for (const ObjectPtr& slice : mine) TRY(remove(*slice));
      }
      return Requeue::never();
    }
    std::vector<json::Draft> wanted = make_slices(*service, document.root());
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (i < mine.size()) {
        TRY(update(*mine[i], wanted[i]));
      } else {
        json::Document made = wanted[i].freeze();
        TRY(context_.client.create(resource_, key.ns, made.root()));
      }
    }
    for (size_t i = wanted.size(); i < mine.size(); ++i) TRY(remove(*mine[i]));
    return Requeue::never();
  }

 private:
  std::vector<ObjectPtr> slices_of(const ObjectKey& key) const {
    std::vector<ObjectPtr> out;
    for (const ObjectPtr& slice : slices_.list(key.ns)) {
      if (slice->label(kServiceName) == key.name && slice->label(kManagedBy) == kManager &&
          !slice->deleting()) {
        out.push_back(slice);
      }
    }
    return out;
  }

  std::vector<json::Draft> make_slices(const api::Object& service, json::Value root) const {
    std::vector<Backend> backends = backends_of(root, pods_, service.ns());
    std::vector<json::Draft> out;
    for (size_t from = 0; from < backends.size();) {
      size_t to = from;
      while (to < backends.size() && to - from < kEndpointsMax &&
             backends[to].ports == backends[from].ports) {
        ++to;
      }
      json::Draft slice = skeleton(service, root);
      json::Node endpoints = slice.root().set_array("endpoints");
      for (size_t i = from; i < to; ++i) add_endpoint(endpoints, backends[i]);
      add_ports(slice.root(), backends[from].ports);
      out.push_back(std::move(slice));
      from = to;
    }
    if (out.empty()) {  // Shows that there is a Service, and nobody behind it.
      json::Draft slice = skeleton(service, root);
      slice.root().set_array("endpoints");
      slice.root().set_array("ports");
      out.push_back(std::move(slice));
    }
    return out;
  }

  static json::Draft skeleton(const api::Object& service, json::Value root) {
    json::Draft draft;
    json::Node slice = draft.root();
    slice.set("kind", "EndpointSlice");
    slice.set("apiVersion", "discovery.k8s.io/v1");
    json::Node metadata = slice.set_object("metadata");
    metadata.set("generateName", std::string(service.name()) + "-");
    metadata.set("namespace", service.ns());
    json::Node labels = metadata.set_object("labels");
    for (auto [key, value] : root["metadata"]["labels"].members()) labels.set(key, value);
    labels.set(kServiceName, service.name());
    labels.set(kManagedBy, kManager);
    if (is_headless(root["spec"])) {
      labels.set(kHeadless, "");
    } else {
      labels.remove(kHeadless);
    }
    set_controller(metadata, service);
    slice.set("addressType", "IPv4");
    return draft;
  }

  Result<void> update(const api::Object& slice, const json::Draft& wanted) {
    json::Document document = slice.document();
    json::Draft draft(document.root());
    json::Node root = draft.root();
    root.set("endpoints", wanted.root()["endpoints"]);
    root.set("ports", wanted.root()["ports"]);
    root["metadata"].set("labels", wanted.root()["metadata"]["labels"]);
    json::Document after = draft.freeze();
    bool same = true;
    for (std::string_view part : {"endpoints", "ports"}) {
      json::Value before = document.root()[part];
      json::Value now = after.root()[part];
      same &= json::equal(before, now) || (before.empty() && now.empty());
    }
    same &= json::equal(document.root()["metadata"]["labels"], after.root()["metadata"]["labels"]);
    if (same) return {};
    TRY(context_.client.update(resource_, slice.ns(), slice.name(), after.root()));
    return {};
  }

  Result<void> remove(const api::Object& slice) {
    return ignore_not_found(context_.client.remove(resource_, slice.ns(), slice.name(),
                                                   {.uid = std::string(slice.uid())}));
  }

  const Context& context_;
  const Lister& services_;
  const Lister& pods_;
  const api::Resource& resource_;
  const Lister& slices_;
};

void slice_service(const Change& change, const Context&, Keys& out) {
  const ObjectPtr& slice = change.after != nullptr ? change.after : change.before;
  if (slice->label(kManagedBy) != kManager) return;
  out.push_back({std::string(slice->ns()), std::string(slice->label(kServiceName))});
}

constexpr Watch kWatches[] = {
    {.resource = "services"},
    {.resource = "pods", .map = &services_of_pod},
    {.resource = "endpointslices.discovery.k8s.io", .map = &slice_service}};

}  // namespace

constinit const ControllerSpec kEndpointSlice = {
    .name = "endpointslice-controller",
    .watches = kWatches,
    .make = &make<EndpointSliceController>,
    .workers = 2,
};

}  // namespace wherry::controller
