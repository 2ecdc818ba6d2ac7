#pragma once
// TunnelClient: the agent's end of the tunnel (tunnel.h). Keeps the request open, dials anew with a
// growing pause when it breaks, and serves each session on a thread of its own.
//
// Threads: "tunnel" 1, "session" at most kSessionsMax; start() and stop() are the owner's.

#include <list>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "client/identity.h"
#include "client/node_api.h"
#include "cluster/tunnel.h"
#include "http/websocket.h"
#include "os/poll.h"

namespace wherry::cluster {

class TunnelClient {
 public:
  static constexpr size_t kSessionsMax = 64;

  // `identity` is the node's; both references outlive the client.
  TunnelClient(std::string server, const client::Identity& identity, client::NodeApi& api);
  ~TunnelClient() { stop(); }
  TunnelClient(const TunnelClient&) = delete;

  Result<void> start();
  void stop() EXCLUDES(mutex_);

 private:
  struct Running {
    std::jthread thread;
    bool done = false;
  };

  void run(const std::stop_token& stop);
  void begin(std::string id) EXCLUDES(mutex_);
  void serve(const std::string& id);
  void reap(bool all) EXCLUDES(mutex_);
  void wait_for_peer(http::WebSocket& socket);
  Result<void> logs(http::WebSocket& socket, const SessionWish& wish);
  Result<void> process(http::WebSocket& socket, const SessionWish& wish);
  Result<void> dial(http::WebSocket& socket, const SessionWish& wish);

  const std::string server_;
  const client::Identity& identity_;
  client::NodeApi& api_;
  os::EventFd stop_;  // Readable once stop() was called.

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::list<Running> sessions_ GUARDED_BY(mutex_);

  std::jthread thread_;
};

}  // namespace wherry::cluster
