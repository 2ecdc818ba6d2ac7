// Removes bootstrap tokens that have expired. Spec: Kubernetes documentation, "Authenticating with
// Bootstrap Tokens".

#include "base/encoding.h"
#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kNamespace = "kube-system";
constexpr std::string_view kType = "bootstrap.kubernetes.io/token";

class TokenCleaner final : public Reconciler {
 public:
  explicit TokenCleaner(const Context& context)
      : context_(context), secrets_(context.lister("secrets")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr secret = secrets_.find(key.ns, key.name);
    if (secret == nullptr || secret->deleting()) return Requeue::never();
    json::Document document = secret->document();
    json::Value root = document.root();
    if (root["type"].as_string() != kType) return Requeue::never();
    std::string text = base64_decode(root["data"]["expiration"].as_string()).value_or("");
    std::optional<Time> expires = parse_time(text);
    if (!expires) return Requeue::never();  // Never, or not to be read: for its owner to see.
    Duration left = *expires - context_.clock.now();
    if (left > Duration::zero()) return Requeue::after(left);
    client::DeleteOptions options{.uid = std::string(secret->uid()),
                                  .resource_version = secret->revision()};
    TRY(ignore_not_found(
        context_.client.remove(api::resource("secrets"), key.ns, key.name, options)));
    return Requeue::never();
  }

 private:
  const Context& context_;
  const Lister& secrets_;
};

constexpr Watch kWatches[] = {
    {.resource = "secrets", .map = [](const Change& change, const Context& context, Keys& out) {
       const ObjectPtr& secret = change.after != nullptr ? change.after : change.before;
       if (secret->ns() == kNamespace) self(change, context, out);
     }}};

}  // namespace

constinit const ControllerSpec kTokenCleaner = {
    .name = "token-cleaner",
    .watches = kWatches,
    .make = &make<TokenCleaner>,
};

}  // namespace wherry::controller
