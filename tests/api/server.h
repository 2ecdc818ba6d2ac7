#pragma once
// A server of our own for the programs of this folder: in this process, over a fresh store.

#include <memory>
#include <optional>
#include <string>

#include "apiserver/server.h"
#include "base/clock.h"
#include "fake_node.h"  // Beside this file.
#include "os/file.h"
#include "pki/pki.h"
#include "store/store.h"

namespace wherry {

inline constexpr const char* kAdminToken = "transcript-admin";
inline constexpr const char* kOtherToken = "transcript-other";

struct Running {
  SystemClock clock;
  std::optional<os::TempDirectory> directory;
  FakeNode nodes;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<apiserver::ApiServer> server;
};

// `path` is the database; empty: one in a temporary folder.
inline Result<std::unique_ptr<Running>> start_server(const std::string& path,
                                                     apiserver::ApiServer::Options options) {
  auto running = std::make_unique<Running>();
  std::string file = path;
  if (file.empty()) {
    running->directory.emplace(TRY(os::TempDirectory::make()));
    file = running->directory->path() + "/state.db";
  }
  running->store = TRY(store::open({.path = file, .lazy = {"events", "leases.coordination.k8s.io"}},
                                   running->clock));
  options.store = running->store.get();
  options.clock = &running->clock;
  options.nodes = &running->nodes;
  options.token_keys = {pki::Key::generate()};
  apiserver::User admin{.name = "admin", .uid = {}, .groups = {"system:masters"}, .extra = {}};
  apiserver::User other{.name = "other", .uid = {}, .groups = {}, .extra = {}};
  options.static_tokens = {{kAdminToken, admin}, {kOtherToken, other}};
  running->server = std::make_unique<apiserver::ApiServer>(std::move(options));
  TRY(running->server->prepare());
  TRY(running->server->start());
  return running;
}

}  // namespace wherry
