#pragma once
// A control plane on loopback for tests of agents: a store in a temporary folder, an ApiServer with
// TLS, and identities that it knows. It can be stopped and started again on its port.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "apiserver/server.h"
#include "base/clock.h"
#include "client/identity.h"
#include "cluster/credentials.h"
#include "os/file.h"
#include "store/store.h"

namespace wherry::test {

// Waits until it holds, at most ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    timespec little{0, 5'000'000};
    nanosleep(&little, nullptr);  // tidy: allow(sleep): other processes give no signal
  }
  return true;
}

class ControlPlane {
 public:
  using Change = std::function<void(ControlPlane&, apiserver::ApiServer::Options&)>;
  // `change` may add to the server's options at each start, when `admin` is not there yet.
  explicit ControlPlane(Change change = {})
      : change_(std::move(change)), directory_(os::TempDirectory::make().value()) {
    cluster::CredentialSpec spec;
    spec.directory = directory_.path() + "/tls";
    spec.cluster_domain = "cluster.local";
    credentials_ = cluster::prepare_credentials(spec, clock_).value();
    start();
  }
  ~ControlPlane() { stop(); }

  void start() {
    store_ = store::open({.path = directory_.path() + "/state.db",
                          .lazy = {"events", "leases.coordination.k8s.io"}},
                         clock_)
                 .value();
    auto tls = std::make_shared<http::TlsCredentials>();
    tls->certificate_chain_pem = credentials_->serving.certificate_pem;
    tls->key_pem = credentials_->serving.key_pem;
    tls->client_ca_pem = credentials_->client_ca_pem;
    apiserver::ApiServer::Options options;
    options.store = store_.get();
    options.clock = &clock_;
    options.listen = {"127.0.0.1:" + std::to_string(port_)};
    options.tls = std::move(tls);
    options.token_keys = credentials_->service_keys;
    if (change_) change_(*this, options);
    server_ = std::make_unique<apiserver::ApiServer>(std::move(options));
    server_->prepare().value();
    server_->start().value();
    port_ = server_->port();
    admin = server_->local_client(apiserver::component_user("test"));
  }
  void stop() {
    admin.reset();
    server_.reset();
    store_.reset();
  }

  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  std::string folder() const { return directory_.path(); }
  const cluster::Credentials& credentials() const { return *credentials_; }
  const Clock& clock() const { return clock_; }
  http::ClientOptions admin_options() const {
    http::ClientOptions options;
    options.ca_pem = credentials_->server_ca_pem;
    options.certificate_pem = credentials_->admin.certificate_pem;
    options.key_pem = credentials_->admin.key_pem;
    return options;
  }

  std::unique_ptr<client::Client> admin;

 private:
  const Change change_;
  SystemClock clock_;
  os::TempDirectory directory_;
  std::optional<cluster::Credentials> credentials_;
  uint16_t port_ = 0;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<apiserver::ApiServer> server_;
};

// Creates an object from JSON as the administrator.
inline client::ObjectPtr create(client::Client& client, const char* resource, const std::string& ns,
                                const std::string& body) {
  json::Document document = json::Document::parse(body).value();
  Result<client::ObjectPtr> made = client.create(api::resource(resource), ns, document.root());
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
  return made.ok() ? *made : nullptr;
}

}  // namespace wherry::test
