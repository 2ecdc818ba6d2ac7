#include "apiserver/extension_trust.h"

#include "apiserver/bootstrap.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kNamespace = "kube-system";
constexpr std::string_view kName = "extension-apiserver-authentication";

std::string list_text(const std::vector<std::string>& list) {
  json::Draft draft = json::Draft::array();
  for (const std::string& item : list) draft.root().push(item);
  return draft.dump();
}

bool concerns_it(const store::Event& event) {
  return event.object->name() == kName && event.object->ns() == kNamespace;
}

}  // namespace

Result<void> ExtensionTrust::publish() {
  MutexLock lock(mutex_);
  if (client_ca_pem_.empty()) return {};
  json::Draft draft;
  draft.root().set_object("metadata").set("name", kName);
  json::Node data = draft.root().set_object("data");
  data.set("client-ca-file", client_ca_pem_);
  if (!proxies_.ca_pem.empty()) {
    data.set("requestheader-client-ca-file", proxies_.ca_pem);
    data.set("requestheader-allowed-names", list_text(proxies_.allowed_names));
    data.set("requestheader-username-headers", list_text(proxies_.user));
    data.set("requestheader-uid-headers", list_text(proxies_.uid));
    data.set("requestheader-group-headers", list_text(proxies_.group));
    data.set("requestheader-extra-headers-prefix", list_text(proxies_.extra_prefix));
  }
  return put_object(machinery_, "configmaps", std::string(kNamespace), draft.dump());
}

Result<void> ExtensionTrust::start(std::string client_ca_pem) {
  TRY(set_client_ca(std::move(client_ca_pem)));
  Keeper::Options options{.name = "extension-trust",
                          .resources = {"configmaps"},
                          .concerns = &concerns_it,
                          .keep = [this] { return publish(); }};
  keeper_ = std::make_unique<Keeper>(machinery_.store(), std::move(options));
  return keeper_->start();
}

Result<void> ExtensionTrust::set_client_ca(std::string client_ca_pem) {
  {
    MutexLock lock(mutex_);
    client_ca_pem_ = std::move(client_ca_pem);
  }
  return publish();
}

}  // namespace wherry::apiserver
