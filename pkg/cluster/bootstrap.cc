#include "cluster/bootstrap.h"

#include "api/resource.h"
#include "json/json.h"

namespace wherry::cluster {

Result<void> create_system_namespaces(client::Client& client) {
  const api::Resource& namespaces = api::resource("namespaces");
  for (std::string_view name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    json::Draft draft;
    draft.root().set("kind", "Namespace");
    draft.root().set("apiVersion", "v1");
    draft.root().set_object("metadata").set("name", name);
    json::Document object = draft.freeze();
    Result<api::ObjectPtr> made = client.create(namespaces, "", object.root());
    if (!made.ok() && !made.error().is(Code::kAlreadyExists)) return std::move(made).error();
  }
  return {};
}

}  // namespace wherry::cluster
