#include "apiserver/server.h"

#include "apiserver/authorise.h"
#include "apiserver/bootstrap.h"
#include "apiserver/discovery.h"
#include "apiserver/extension_trust.h"
#include "apiserver/flow_control.h"
#include "apiserver/flow_keeper.h"
#include "apiserver/handler.h"
#include "apiserver/legacy_tokens.h"
#include "apiserver/proxy.h"
#include "apiserver/status_pages.h"
#include "apiserver/streams.h"
#include "apiserver/watch.h"

namespace wherry::apiserver {
namespace {

std::vector<Check> all_checks(const ApiServer::Options& options) {
  std::vector<Check> checks = {{"ping", [] { return true; }}};
  checks.insert(checks.end(), options.checks.begin(), options.checks.end());
  return checks;
}

MachineryOptions machinery_options(const ApiServer::Options& options, const TokenIssuer* tokens,
                                   const Authoriser& authoriser) {
  MachineryOptions out;
  out.service_cidr = options.service_cidr;
  out.tokens = tokens;
  out.authoriser = &authoriser;
  out.admission_settings = options.admission;
  return out;
}

std::shared_ptr<const http::TlsCredentials> with_proxies(
    const std::shared_ptr<const http::TlsCredentials>& tls, const AuthenticatingProxies& proxies) {
  if (tls == nullptr || proxies.ca_pem.empty()) return tls;
  auto both = std::make_shared<http::TlsCredentials>(*tls);
  both->proxy_ca_pem = proxies.ca_pem;
  return both;
}

}  // namespace

// In the order in which they are built; torn down the other way round.
struct ApiServer::Parts {
  explicit Parts(ApiServer::Options wish)
      : options(std::move(wish)),
        issuer(options.token_keys.empty()
                   ? nullptr
                   : std::make_unique<TokenIssuer>(options.token_keys, options.token_issuer)),
        authoriser(*options.store),
        machinery(*options.store, *options.clock,
                  machinery_options(options, issuer.get(), authoriser)),
        oidc(options.oidc ? std::make_unique<OidcVerifier>(*options.oidc, *options.clock)
                          : nullptr),
        authenticator(*options.store, *options.clock,
                      {issuer.get(), oidc.get(), options.static_tokens, options.proxies}),
        pages(*options.store, all_checks(options)),
        watches(*options.store, *options.clock),
        streams(*options.store, options.nodes),
        proxy(*options.store, options.proxies),
        flows(*options.store, waiting_clock),
        flow_keeper(machinery),
        extension_trust(machinery, options.proxies),
        handler({machinery, authenticator, authoriser, discovery, pages, watches, streams, proxy,
                 options.pages, flows, options.auditor}) {}

  const ApiServer::Options options;
  const std::unique_ptr<TokenIssuer> issuer;  // Null: there are no tokens.
  Authoriser authoriser;
  Machinery machinery;
  const std::unique_ptr<OidcVerifier> oidc;
  const Authenticator authenticator;
  Discovery discovery;
  StatusPages pages;
  Watches watches;
  Streams streams;
  Proxy proxy;
  const SystemClock waiting_clock;  // Connections wait in real time, whatever a test says it is.
  FlowControl flows;
  FlowKeeper flow_keeper;
  ExtensionTrust extension_trust;
  Handler handler;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<Keeper> api_service;
};

ApiServer::ApiServer(Options options) {
  CHECK(options.store != nullptr && options.clock != nullptr);
  parts_ = std::make_unique<Parts>(std::move(options));
  if (parts_->issuer == nullptr) return;
  parts_->issuer->set_legacy_use([this](const api::Object& secret, const std::string& day) {
    note_legacy_use(parts_->machinery, secret, day);
  });
}

ApiServer::~ApiServer() { stop(); }

Result<void> ApiServer::prepare() {
  TRY(parts_->machinery.start());
  TRY(parts_->authoriser.start());
  TRY(make_bootstrap_objects(parts_->machinery));
  if (parts_->issuer != nullptr) TRY(begin_legacy_tracking(parts_->machinery));
  TRY(parts_->flow_keeper.keep());
  TRY(parts_->flow_keeper.start());
  return parts_->flows.start();
}

Result<void> ApiServer::start() {
  if (parts_->oidc != nullptr) parts_->oidc->start();
  http::Server::Options options;
  options.addresses = parts_->options.listen;
  options.tls = with_proxies(parts_->options.tls, parts_->options.proxies);
  Handler& handler = parts_->handler;
  options.handler = [&handler](http::Request& request, http::Response& response) {
    handler.handle(request, response);
  };
  options.render_error = [](const Error& error, http::Response& response) {
    Handler::render_error(error, response);
  };
  auto server = std::make_unique<http::Server>(std::move(options));
  uint16_t port = parts_->options.advertise_port;
  const std::string& address = parts_->options.advertise_address;
  if (port != 0) parts_->discovery.set_address(fmt::format("{}:{}", address, port));
  TRY(server->start());
  if (port == 0) {
    port = server->port();  // Tests: nobody can ask before they know the port.
    parts_->discovery.set_address(fmt::format("{}:{}", address, port));
  }
  parts_->server = std::move(server);
  ApiService service{parts_->options.service_cidr, address, port};
  TRY(publish_api_service(parts_->machinery, service));
  parts_->api_service = keep_api_service(parts_->machinery, std::move(service));
  TRY(parts_->api_service->start());
  if (parts_->options.tls == nullptr) return {};
  return parts_->extension_trust.start(parts_->options.tls->client_ca_pem);
}

void ApiServer::stop() {
  parts_->api_service.reset();
  parts_->extension_trust.stop();
  if (parts_->server != nullptr) parts_->server->stop();
  parts_->server.reset();
  if (parts_->oidc != nullptr) parts_->oidc->stop();
}

uint16_t ApiServer::port() const { return parts_->server == nullptr ? 0 : parts_->server->port(); }

std::unique_ptr<client::Client> ApiServer::local_client(User user) {
  return make_local_client(parts_->machinery, {parts_->authenticator, parts_->authoriser, "wherry"},
                           std::move(user));
}

std::unique_ptr<client::Cache> ApiServer::cache() {
  return make_store_cache(*parts_->options.store);
}

Machinery& ApiServer::machinery() { return parts_->machinery; }

void ApiServer::set_token_keys(std::vector<pki::Key> keys) {
  CHECK(parts_->issuer != nullptr);
  parts_->issuer->set_keys(std::move(keys));
}

std::string ApiServer::issue_legacy_token(const TokenSubject& subject,
                                          std::string_view secret_name) const {
  CHECK(parts_->issuer != nullptr);
  return parts_->issuer->issue_legacy(subject, secret_name);
}

Result<void> ApiServer::set_credentials(std::shared_ptr<const http::TlsCredentials> tls) {
  CHECK(parts_->server != nullptr);
  TRY(parts_->server->set_credentials(with_proxies(tls, parts_->options.proxies)));
  return parts_->extension_trust.set_client_ca(tls->client_ca_pem);
}

http::Server::Counters ApiServer::counters() const {
  return parts_->server == nullptr ? http::Server::Counters{} : parts_->server->counters();
}

User component_user(std::string_view name) {
  User user;
  user.name = name;
  user.groups = {"system:authenticated", std::string(kMasters)};
  return user;
}

}  // namespace wherry::apiserver
