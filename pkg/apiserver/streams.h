#pragma once
// Streams: pods/log, exec, attach and port-forward. The container's side is the node's NodeApi; the
// client's side is chunked HTTP, WebSocket or SPDY/3.1. Each stream runs on one of the HTTP
// server's bounded stream threads. Any thread may call the members.

#include <string>
#include <vector>

#include "apiserver/request.h"
#include "apiserver/routes.h"
#include "client/node_api.h"
#include "http/message.h"
#include "store/store.h"

namespace wherry::apiserver {

class Streams {
 public:
  // `nodes` may be null: then no node can be reached.
  Streams(const store::Store& store, client::NodeDirectory* nodes) : store_(store), nodes_(nodes) {}

  // pods/log; the answer is plain text.
  Result<void> log(const http::Request& request, const Target& target, http::Response& response);
  // pods/exec, attach, portforward, by GET or POST.
  Result<void> connect(const http::Request& request, const Route& route, http::Response& response);

 private:
  Result<void> log_to_websocket(const http::Request& request, http::Response& response,
                                client::NodeApi& node, const client::ContainerRef& ref,
                                const client::LogOptions& options);
  Result<ObjectPtr> find_pod(const Target& target) const;
  Result<client::NodeApi*> node_of(const api::Object& pod) const;
  Result<void> run(const http::Request& request, const Target& target, http::Response& response);
  Result<void> forward(const http::Request& request, const Target& target,
                       http::Response& response);

  const store::Store& store_;
  client::NodeDirectory* const nodes_;
};

}  // namespace wherry::apiserver
