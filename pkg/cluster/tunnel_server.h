#pragma once
// TunnelServer: the server's ends of all agents' tunnels; finds the NodeApi of a connected node. A
// call opens a session: a line to the agent, which dials back; the HTTP server's stream thread that
// gets this connection then moves the bytes, between it and socket pairs whose other ends the
// caller holds. A node that does not answer in time is an error that names it, and its tunnel is
// cut, so that the next caller need not wait.
//
// Threads: any. stop() comes before the HTTP server is stopped; the object outlives that server.

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "client/node_api.h"
#include "cluster/tunnel.h"
#include "http/hub.h"
#include "http/message.h"

namespace wherry::cluster {

class TunnelServer final : public client::NodeDirectory {
 public:
  TunnelServer();
  ~TunnelServer() override;

  // The two requests of an agent that has proved to be `node`.
  Result<void> answer_tunnel(const std::string& node, const http::Request& request,
                             http::Response& response) EXCLUDES(mutex_);
  Result<void> answer_session(const std::string& node, const http::Request& request,
                              http::Response& response) EXCLUDES(mutex_);

  client::NodeApi* find(std::string_view node_name) override EXCLUDES(mutex_);
  // Ends the waiting of all callers.
  void stop() EXCLUDES(mutex_);

 private:
  class Control;  // The event source of one agent's open request.
  class Node;     // The NodeApi of one node, connected or not.
  class Session;
  class ExecSession;

  Result<void> post(const std::string& node, const std::string& session) EXCLUDES(mutex_);
  Result<std::shared_ptr<Session>> open(const std::string& node, SessionWish wish) EXCLUDES(mutex_);
  void forget(const std::string& id) EXCLUDES(mutex_);
  void cut(const std::string& node) EXCLUDES(mutex_);
  void lost(const std::string& node, const Control* control) EXCLUDES(mutex_);

  Mutex mutex_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  // Nodes are never taken away: who found one may hold it for long.
  std::map<std::string, std::unique_ptr<Node>, std::less<>> nodes_ GUARDED_BY(mutex_);
  struct Line {
    const Control* control = nullptr;
    std::shared_ptr<http::HubConnection> connection;
  };
  std::map<std::string, Line, std::less<>> lines_ GUARDED_BY(mutex_);           // Connected nodes.
  std::map<std::string, std::shared_ptr<Session>> waiting_ GUARDED_BY(mutex_);  // By id.
};

}  // namespace wherry::cluster
