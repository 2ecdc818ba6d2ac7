#include "identities.h"

#include "apiserver/token_file.h"
#include "os/file.h"

namespace wherry::command {
namespace {

Result<apiserver::OidcOptions> oidc_options(const ServerFlags& flags) {
  apiserver::OidcOptions out;
  out.issuer_url = flags.oidc_issuer_url;
  out.client_id = flags.oidc_client_id;
  out.username_claim = flags.oidc_username_claim;
  out.username_prefix = flags.oidc_username_prefix;
  out.groups_claim = flags.oidc_groups_claim;
  out.groups_prefix = flags.oidc_groups_prefix;
  out.required_claims = flags.oidc_required_claim;
  out.signing_algorithms = flags.oidc_signing_algs;
  TRY(out.check());
  if (!flags.oidc_ca_file.empty()) out.ca_pem = TRY(os::read_file(flags.oidc_ca_file));
  return out;
}

Result<apiserver::AuthenticatingProxies> proxies_of(const ServerFlags& flags) {
  apiserver::AuthenticatingProxies out;
  const std::string& path = flags.requestheader_client_ca_file;
  if (path.empty() && !flags.requestheader_allowed_names.empty()) {
    return Error::invalid("--requestheader-allowed-names needs --requestheader-client-ca-file");
  }
  if (path.empty()) return out;
  out.ca_pem = TRY(os::read_file(path));
  Result<std::vector<pki::Certificate>> authorities = pki::Certificate::all_from_pem(out.ca_pem);
  if (!authorities.ok()) return std::move(authorities).error().with_prefix(path);
  out.allowed_names = flags.requestheader_allowed_names;
  out.user = flags.requestheader_username_headers;
  out.uid = flags.requestheader_uid_headers;
  out.group = flags.requestheader_group_headers;
  out.extra_prefix = flags.requestheader_extra_headers_prefix;
  return out;
}

}  // namespace

Result<void> set_identities(const ServerFlags& flags, apiserver::ApiServer::Options& options) {
  if (!flags.token_auth_file.empty()) {
    std::string text = TRY(os::read_file(flags.token_auth_file));
    Result<std::vector<apiserver::StaticToken>> parsed = apiserver::parse_token_file(text);
    if (!parsed.ok()) return std::move(parsed).error().with_prefix(flags.token_auth_file);
    options.static_tokens = std::move(parsed).value();
  }
  if (!flags.oidc_issuer_url.empty() || !flags.oidc_client_id.empty()) {
    options.oidc = TRY(oidc_options(flags));
  }
  options.proxies = TRY(proxies_of(flags));
  return {};
}

}  // namespace wherry::command
