// Fills Secrets of type kubernetes.io/service-account-token with a token of the ServiceAccount they
// name, and removes them with it. Spec: Kubernetes documentation, "Managing Service Accounts",
// "Manually create a long-lived API token for a ServiceAccount".

#include "base/encoding.h"
#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kType = "kubernetes.io/service-account-token";
constexpr std::string_view kNameKey = "kubernetes.io/service-account.name";
constexpr std::string_view kUidKey = "kubernetes.io/service-account.uid";

class ServiceAccountTokens final : public Reconciler {
 public:
  explicit ServiceAccountTokens(const Context& context)
      : context_(context),
        secrets_(context.lister("secrets")),
        accounts_(context.lister("serviceaccounts")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr secret = secrets_.find(key.ns, key.name);
    if (secret == nullptr || secret->deleting() || context_.facts.legacy_token == nullptr) {
      return Requeue::never();
    }
    json::Document document = secret->document();
    json::Value root = document.root();
    if (root["type"].as_string() != kType) return Requeue::never();
    json::Value annotations = root["metadata"]["annotations"];
    std::string_view uid = annotations[kUidKey].as_string();
    ObjectPtr account = accounts_.find(key.ns, annotations[kNameKey].as_string());
    if (account == nullptr || (!uid.empty() && uid != account->uid())) {
      client::DeleteOptions options{.uid = std::string(secret->uid()),
                                    .resource_version = secret->revision()};
      TRY(ignore_not_found(
          context_.client.remove(api::resource("secrets"), key.ns, key.name, options)));
      return Requeue::never();
    }
    json::Draft draft(root);
    if (!fill(draft.root(), *account)) return Requeue::never();
    json::Document filled = draft.freeze();
    TRY(context_.client.update(api::resource("secrets"), key.ns, key.name, filled.root()));
    return Requeue::never();
  }

 private:
  // False when nothing was missing.
  bool fill(json::Node secret, const api::Object& account) const {
    json::Node data = secret.ensure_object("data");
    bool changed = false;
    auto set = [&changed](json::Node in, std::string_view key, const std::string& value) {
      if (in[key].as_string() == value) return;
      in.set(key, value);
      changed = true;
    };
    set(data, "ca.crt", base64_encode(context_.facts.root_ca_pem()));
    set(data, "namespace", base64_encode(account.ns()));
    set(secret["metadata"].ensure_object("annotations"), kUidKey, std::string(account.uid()));
    if (data["token"].as_string().empty()) {
      set(data, "token",
          base64_encode(context_.facts.legacy_token(account.ns(), account.name(), account.uid(),
                                                    secret["metadata"]["name"].as_string())));
    }
    return changed;
  }

  const Context& context_;
  const Lister& secrets_;
  const Lister& accounts_;
};

// The Secrets that name the account.
void secrets_of(const Change& change, const Context& context, Keys& out) {
  const ObjectPtr& account = change.after != nullptr ? change.after : change.before;
  for (const ObjectPtr& secret : context.lister("secrets").list(account->ns())) {
    json::Document document = secret->document();
    json::Value root = document.root();
    if (root["type"].as_string() == kType &&
        root["metadata"]["annotations"][kNameKey].as_string() == account->name()) {
      out.push_back({std::string(secret->ns()), std::string(secret->name())});
    }
  }
}

constexpr Watch kWatches[] = {{.resource = "secrets"},
                              {.resource = "serviceaccounts", .map = &secrets_of}};

}  // namespace

constinit const ControllerSpec kServiceAccountTokens = {
    .name = "tokens-controller",
    .watches = kWatches,
    .make = &make<ServiceAccountTokens>,
    .follows_facts = true,
};

}  // namespace wherry::controller
