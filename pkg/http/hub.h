#pragma once
// The hubs: a few threads that own the watch connections, each its share of them. A handler gives a
// connection away with Response::hijack_to_hub; from then on any thread posts pieces and the hub
// sends them as chunks. An idle watch costs its socket, its TLS state and a few hundred bytes, no
// thread and no timer.
//
// Order: pieces leave in the order of post() on that connection. Limit: a connection with more than
// HubOptions::queue_bytes_max unsent is cut off (its client lists again); nobody ever waits for it.

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace wherry::http {

class Hub;
class HubConnection;

enum class HubEnd {
  kClosed,    // close() was called and everything has been sent.
  kPeerLeft,  // The client went away, or a write failed.
  kOverflow,  // The client read too slowly.
  kStopped,   // The server is stopping.
};

// The application's side of a watch. Called on its hub's thread only: it must not block, and may
// post to or close any connection. A source is released after ended().
class EventSource {
 public:
  virtual ~EventSource() = default;
  // HubOptions::deadline has passed. The default closes the connection cleanly.
  virtual void deadline(HubConnection& connection);
  // Exactly once, after which posts are ignored. Not called when the hijack never took place.
  virtual void ended(HubEnd reason) = 0;
};

struct HubOptions {
  std::optional<MonotonicTime> deadline;  // timeoutSeconds.
  size_t queue_bytes_max = 1 << 20;
};

// One watch connection. Any thread; every call returns at once.
class HubConnection {
 public:
  virtual ~HubConnection() = default;
  // Sends `bytes` as one chunk after all earlier ones. False once the connection has ended or
  // closes.
  virtual bool post(std::shared_ptr<const std::string> bytes) = 0;
  // The same without the limit: for the state a watch begins with, whose size the client asked for.
  virtual bool post_unlimited(std::shared_ptr<const std::string> bytes) = 0;
  // Ends the body after what was posted; the connection then serves further requests.
  virtual void close() = 0;
  // The same after one last piece, which the limit does not apply to.
  virtual void close(std::shared_ptr<const std::string> last) = 0;
  // Closes without sending what waits.
  virtual void abort() = 0;
  virtual bool ended() const = 0;
  // Lets go of `what` when the connection has ended, or never comes to be. Before the handler
  // returns.
  virtual void keep(std::shared_ptr<const void> what) = 0;
};

}  // namespace wherry::http
