// Mirrors Endpoints that somebody wrote for a Service without a selector into EndpointSlices, which
// the proxy and the name server read. Spec: Kubernetes documentation, "EndpointSlice mirroring".

#include <algorithm>

#include "controller/all.h"
#include "controller/owners.h"
#include "controller/service_endpoints.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view kManager = "endpointslicemirroring-controller.k8s.io";
constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kSkip = "endpointslice.kubernetes.io/skip-mirror";
constexpr size_t kEndpointsMax = 1000;  // Of one subset; the rest is not mirrored, as upstream.

void add_endpoints(json::Node list, json::Value addresses, bool ready) {
  for (json::Value address : addresses.items()) {
    if (list.size() >= kEndpointsMax) return;
    json::Node endpoint = list.push_object();
    endpoint.set_array("addresses").push(address["ip"].as_string());
    endpoint.set_object("conditions").set("ready", ready);
    for (std::string_view key : {"hostname", "nodeName", "targetRef"}) {
      if (address[key]) endpoint.set(key, address[key]);
    }
  }
}

class EndpointSliceMirroring final : public Reconciler {
 public:
  explicit EndpointSliceMirroring(const Context& context)
      : context_(context),
        endpoints_(context.lister("endpoints")),
        services_(context.lister("services")),
        resource_(api::resource("endpointslices.discovery.k8s.io")),
        slices_(context.cache.lister(resource_)) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    std::vector<ObjectPtr> mine;
    for (const ObjectPtr& slice : slices_.list(key.ns)) {
      if (slice->label(kServiceName) == key.name && slice->label(kManagedBy) == kManager) {
        mine.push_back(slice);
      }
    }
    std::vector<json::Draft> wanted = make_slices(key);
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (i < mine.size()) {
        TRY(update(*mine[i], wanted[i]));
      } else {
        json::Document made = wanted[i].freeze();
        TRY(context_.client.create(resource_, key.ns, made.root()));
      }
    }
    for (size_t i = wanted.size(); i < mine.size(); ++i) {
      TRY(ignore_not_found(context_.client.remove(resource_, key.ns, mine[i]->name(),
                                                  {.uid = std::string(mine[i]->uid())})));
    }
    return Requeue::never();
  }

 private:
  std::vector<json::Draft> make_slices(const ObjectKey& key) const {
    std::vector<json::Draft> out;
    ObjectPtr endpoints = endpoints_.find(key.ns, key.name);
    ObjectPtr service = services_.find(key.ns, key.name);
    if (endpoints == nullptr || service == nullptr || endpoints->deleting()) return out;
    if (endpoints->label(kSkip) == "true") return out;
    json::Document service_text = service->document();
    json::Value spec = service_text.root()["spec"];
    if (is_selecting(spec) || !spec["selector"].empty()) return out;
    json::Document document = endpoints->document();
    if (document.root()["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"]) {
      return out;
    }
    for (json::Value subset : document.root()["subsets"].items()) {
      json::Draft draft;
      json::Node slice = draft.root();
      slice.set("kind", "EndpointSlice");
      slice.set("apiVersion", "discovery.k8s.io/v1");
      json::Node metadata = slice.set_object("metadata");
      metadata.set("generateName", key.name + "-");
      metadata.set("namespace", key.ns);
      json::Node labels = metadata.set_object("labels");
      for (auto [name, value] : document.root()["metadata"]["labels"].members()) {
        labels.set(name, value);
      }
      labels.set(kServiceName, key.name);
      labels.set(kManagedBy, kManager);
      set_controller(metadata, *endpoints);
      slice.set("addressType", "IPv4");
      json::Node list = slice.set_array("endpoints");
      add_endpoints(list, subset["addresses"], true);
      add_endpoints(list, subset["notReadyAddresses"], false);
      json::Node ports = slice.set_array("ports");
      for (json::Value port : subset["ports"].items()) {
        json::Node one = ports.push_object();
        one.set("name", port["name"].as_string());
        one.set("port", port["port"]);
        one.set("protocol", port["protocol"].as_string("TCP"));
        if (port["appProtocol"]) one.set("appProtocol", port["appProtocol"]);
      }
      out.push_back(std::move(draft));
    }
    return out;
  }

  Result<void> update(const api::Object& slice, const json::Draft& wanted) {
    json::Document before = slice.document();
    json::Draft draft(before.root());
    for (std::string_view part : {"endpoints", "ports"})
      draft.root().set(part, wanted.root()[part]);
    draft.root()["metadata"].set("labels", wanted.root()["metadata"]["labels"]);
    json::Document after = draft.freeze();
    if (json::equal(before.root(), after.root())) return {};
    TRY(context_.client.update(resource_, slice.ns(), slice.name(), after.root()));
    return {};
  }

  const Context& context_;
  const Lister& endpoints_;
  const Lister& services_;
  const api::Resource& resource_;
  const Lister& slices_;
};

void mirrored_service(const Change& change, const Context&, Keys& out) {
  const ObjectPtr& slice = change.after != nullptr ? change.after : change.before;
  if (slice->label(kManagedBy) != kManager) return;
  out.push_back({std::string(slice->ns()), std::string(slice->label(kServiceName))});
}

constexpr Watch kWatches[] = {
    {.resource = "endpoints"},
    {.resource = "services"},
    {.resource = "endpointslices.discovery.k8s.io", .map = &mirrored_service}};

}  // namespace

constinit const ControllerSpec kEndpointSliceMirroring = {
    .name = "endpointslicemirroring-controller",
    .watches = kWatches,
    .make = &make<EndpointSliceMirroring>,
};

}  // namespace wherry::controller
