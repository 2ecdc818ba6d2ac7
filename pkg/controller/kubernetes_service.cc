// Keeps the Service "kubernetes" in "default", with Endpoints and an EndpointSlice that point to the API
// server. The Service has no selector, so nobody else writes them.

#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kName = "kubernetes";
constexpr std::string_view kNamespace = "default";

class KubernetesService final : public Reconciler {
 public:
  explicit KubernetesService(const Context& context) : context_(context) {}

  Result<Requeue> reconcile(const ObjectKey&) override {
    ObjectPtr ns = context_.lister("namespaces").find("", kNamespace);
    if (ns == nullptr) return Requeue::never();  // Its creation comes as an event.
    TRY(ensure("services", service(), false));
    TRY(ensure("endpoints", endpoints(), true));
    TRY(ensure("endpointslices.discovery.k8s.io", slice(), true));
    return Requeue::never();
  }

 private:
  static json::Draft object(std::string_view kind, std::string_view api_version) {
    json::Draft draft;
    draft.root().set("kind", kind);
    draft.root().set("apiVersion", api_version);
    json::Node metadata = draft.root().set_object("metadata");
    metadata.set("name", kName);
    metadata.set("namespace", kNamespace);
    return draft;
  }

  static json::Draft service() {
    json::Draft draft = object("Service", "v1");
    json::Node labels = draft.root()["metadata"].set_object("labels");
    labels.set("component", "apiserver");
    labels.set("provider", "kubernetes");
    json::Node spec = draft.root().set_object("spec");
    spec.set("type", "ClusterIP");
    spec.set("sessionAffinity", "None");
    json::Node port = spec.set_array("ports").push_object();
    port.set("name", "https");
    port.set("port", 443);
    port.set("protocol", "TCP");
    port.set("targetPort", 6443);
    return draft;
  }

  json::Draft endpoints() const {
    json::Draft draft = object("Endpoints", "v1");
    draft.root()["metadata"].set_object("labels").set("endpointslice.kubernetes.io/skip-mirror", "true");
    json::Node subset = draft.root().set_array("subsets").push_object();
    subset.set_array("addresses").push_object().set("ip", context_.facts.api_address);
    json::Node port = subset.set_array("ports").push_object();
    port.set("name", "https");
    port.set("port", static_cast<int64_t>(context_.facts.api_port));
    port.set("protocol", "TCP");
    return draft;
  }

  json::Draft slice() const {
    json::Draft draft = object("EndpointSlice", "discovery.k8s.io/v1");
    draft.root()["metadata"].set_object("labels").set("kubernetes.io/service-name", kName);
    draft.root().set("addressType", "IPv4");
    json::Node endpoint = draft.root().set_array("endpoints").push_object();
    endpoint.set_array("addresses").push(context_.facts.api_address);
    endpoint.set_object("conditions").set("ready", true);
    json::Node port = draft.root().set_array("ports").push_object();
    port.set("name", "https");
    port.set("port", static_cast<int64_t>(context_.facts.api_port));
    port.set("protocol", "TCP");
    return draft;
  }

  // Creates it, or with `repair` puts back everything that is ours in it.
  Result<void> ensure(std::string_view resource_name, const json::Draft& wanted, bool repair) {
    const api::Resource& resource = api::resource(resource_name);
    ObjectPtr there = context_.cache.lister(resource).find(kNamespace, kName);
    json::Document document = wanted.freeze();
    if (there == nullptr) {
      Result<ObjectPtr> made = context_.client.create(resource, kNamespace, document.root());
      if (!made.ok() && !made.error().is(Code::kAlreadyExists)) return std::move(made).error();
      return {};
    }
    if (!repair) return {};
    json::Document now = there->document();
    json::Draft draft(now.root());
    for (std::string_view part : {"subsets", "endpoints", "ports"}) {
      if (document.root()[part]) draft.root().set(part, document.root()[part]);
    }
    json::Document after = draft.freeze();
    if (json::equal(after.root(), now.root())) return {};
    TRY(context_.client.update(resource, kNamespace, kName, after.root()));
    return {};
  }

  const Context& context_;
};

void ours(const Change& change, const Context&, Keys& out) {
  const ObjectPtr& object = change.after != nullptr ? change.after : change.before;
  bool is_namespace = object->ns().empty() && object->name() == kNamespace;
  if (is_namespace || (object->ns() == kNamespace && object->name() == kName)) {
    out.push_back({std::string(kNamespace), std::string(kName)});
  }
}

constexpr Watch kWatches[] = {{.resource = "namespaces", .map = &ours},
                              {.resource = "services", .map = &ours},
                              {.resource = "endpoints", .map = &ours},
                              {.resource = "endpointslices.discovery.k8s.io", .map = &ours}};

}  // namespace

constinit const ControllerSpec kKubernetesService = {
    .name = "kubernetes-service",
    .watches = kWatches,
    .make = &make<KubernetesService>,
};

}  // namespace wherry::controller
