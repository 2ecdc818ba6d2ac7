#include "apiserver/legacy_tokens.h"

#include "apiserver/bootstrap.h"
#include "apiserver/token.h"
#include "base/log.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kNamespace = "kube-system";
constexpr std::string_view kName = "kube-apiserver-legacy-service-account-token-tracking";

}  // namespace

Result<void> begin_legacy_tracking(Machinery& machinery) {
  const Target at{&api::resource("configmaps"), std::string(kNamespace), std::string(kName), {}};
  if (machinery.get(at).ok()) return {};
  std::string day = day_of(machinery.clock().now());
  return put_object(
      machinery, "configmaps", at.ns,
      fmt::format(R"({{"metadata":{{"name":"{}"}},"data":{{"since":"{}"}}}})", kName, day));
}

void note_legacy_use(Machinery& machinery, const api::Object& secret, const std::string& day) {
  const Target at{
      &api::resource("secrets"), std::string(secret.ns()), std::string(secret.name()), {}};
  json::Draft patch;
  json::Node meta = patch.root().set_object("metadata");
  meta.set("uid", secret.uid());  // Of another one by that name it would not be true.
  meta.set_object("labels").set(kLegacyLastUsed, day);
  Context context = server_context();
  Result<Written> written = machinery.patch(context, at, PatchType::kMerge, patch.freeze().root());
  if (!written.ok()) {
    log::warn("the last use of the token in Secret {}/{}: {}", at.ns, at.name,
              written.error().message());
  }
}

}  // namespace wherry::apiserver
