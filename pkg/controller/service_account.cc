// Every namespace has a ServiceAccount "default" and a ConfigMap "kube-root-ca.crt", made anew when
// they are deleted and repaired when they are changed. Spec: Kubernetes documentation, service
// accounts admin.

#include "controller/all.h"

namespace wherry::controller {
namespace {

bool wants_content(const ObjectPtr& ns) {
  if (ns == nullptr || ns->deleting()) return false;
  json::Document document = ns->document();
  return document.root()["status"]["phase"].as_string() != "Terminating";
}

// The namespace of a changed object of that name.
void own_namespace(const Change& change, std::string_view name, Keys& out) {
  const ObjectPtr& object = change.after != nullptr ? change.after : change.before;
  if (object->name() == name) out.push_back({"", std::string(object->ns())});
}

// A conflict, a vanished or a closing namespace: all come back as events, none is worth a retry.
Result<Requeue> settle(Result<ObjectPtr> written) {
  if (written.ok()) return Requeue::never();
  const Error& error = written.error();
  if (error.is(Code::kAlreadyExists) || error.is(Code::kNotFound)) return Requeue::never();
  return std::move(written).error();
}

class DefaultServiceAccount final : public Reconciler {
 public:
  explicit DefaultServiceAccount(const Context& context)
      : context_(context),
        namespaces_(context.lister("namespaces")),
        accounts_(context.lister("serviceaccounts")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    if (!wants_content(namespaces_.find("", key.name))) return Requeue::never();
    if (accounts_.find(key.name, "default") != nullptr) return Requeue::never();
    json::Draft draft;
    draft.root().set("kind", "ServiceAccount");
    draft.root().set("apiVersion", "v1");
    json::Node metadata = draft.root().set_object("metadata");
    metadata.set("name", "default");
    metadata.set("namespace", key.name);
    json::Document account = draft.freeze();
    return settle(
        context_.client.create(api::resource("serviceaccounts"), key.name, account.root()));
  }

 private:
  const Context& context_;
  const Lister& namespaces_;
  const Lister& accounts_;
};

constexpr std::string_view kRootCa = "kube-root-ca.crt";

class RootCaPublisher final : public Reconciler {
 public:
  explicit RootCaPublisher(const Context& context)
      : context_(context),
        namespaces_(context.lister("namespaces")),
        config_maps_(context.lister("configmaps")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    if (!wants_content(namespaces_.find("", key.name))) return Requeue::never();
    const api::Resource& resource = api::resource("configmaps");
    ObjectPtr there = config_maps_.find(key.name, kRootCa);
    if (there == nullptr) {
      json::Draft draft;
      draft.root().set("kind", "ConfigMap");
      draft.root().set("apiVersion", "v1");
      json::Node metadata = draft.root().set_object("metadata");
      metadata.set("name", kRootCa);
      metadata.set("namespace", key.name);
      fill(draft.root());
      json::Document made = draft.freeze();
      return settle(context_.client.create(resource, key.name, made.root()));
    }
    json::Document document = there->document();
    json::Value data = document.root()["data"];
    bool right = data.size() == 1 && data["ca.crt"].as_string() == context_.facts.root_ca_pem() &&
                 document.root()["metadata"]["annotations"]["kubernetes.io/description"];
    if (right) return Requeue::never();
    json::Draft draft(document.root());
    fill(draft.root());
    json::Document repaired = draft.freeze();
    return settle(context_.client.update(resource, key.name, kRootCa, repaired.root()));
  }

 private:
  void fill(json::Node map) const {
    map["metadata"]
        .ensure_object("annotations")
        .set("kubernetes.io/description",
             "Contains a CA bundle that can be used to verify the kube-apiserver when using "
             "internal "
             "endpoints such as the internal service IP or kubernetes.default.svc. No other usage "
             "is "
             "guaranteed across distributions of Kubernetes clusters.");
    map.set_object("data").set("ca.crt", context_.facts.root_ca_pem());
  }

  const Context& context_;
  const Lister& namespaces_;
  const Lister& config_maps_;
};

constexpr Watch kAccountWatches[] = {
    {.resource = "namespaces"},
    {.resource = "serviceaccounts", .map = [](const Change& change, const Context&, Keys& out) {
       own_namespace(change, "default", out);
     }}};

constexpr Watch kRootCaWatches[] = {
    {.resource = "namespaces"},
    {.resource = "configmaps", .map = [](const Change& change, const Context&, Keys& out) {
       own_namespace(change, kRootCa, out);
     }}};

}  // namespace

constinit const ControllerSpec kServiceAccount = {
    .name = "service-account-controller",
    .watches = kAccountWatches,
    .make = &make<DefaultServiceAccount>,
};

constinit const ControllerSpec kRootCaPublisher = {
    .name = "root-ca-cert-publisher",
    .watches = kRootCaWatches,
    .make = &make<RootCaPublisher>,
    .follows_facts = true,
};

}  // namespace wherry::controller
