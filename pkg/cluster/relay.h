#pragma once
// Relay: moves bytes between the channels of a WebSocket and local descriptors, in both directions,
// until the session ends. Each side of a node session runs one (tunnel.h). A channel is the first
// byte of a binary message; a message with nothing behind it ends that channel. A slow descriptor
// holds up the socket, never memory: at most kPendingBytesMax wait for it.
//
// Threads: one, that runs run(). Nothing else.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/websocket.h"
#include "os/fd.h"

namespace wherry::cluster {

class Relay {
 public:
  static constexpr size_t kPendingBytesMax = 256 << 10;

  explicit Relay(http::WebSocket& socket) : socket_(socket) {}

  // What comes on the channel is written to the descriptor; at the channel's end `ended` is called.
  void write_to(uint8_t channel, int fd, std::function<void()> ended);
  // What can be read from the descriptor is sent on the channel, its end too.
  void read_from(uint8_t channel, int fd);
  // Messages of other channels.
  void on_channel(uint8_t channel, std::function<void(std::string_view)> handler);
  // Text messages; false ends the relay once what waits for descriptors has been written.
  void on_text(std::function<bool(std::string_view)> handler) { text_ = std::move(handler); }
  // run() returns when the descriptor is readable; with `linger` it first goes on until all
  // descriptors that are read have ended or were silent for 200 ms.
  void end_at(int fd, bool linger);

  // run() returns once every channel has ended, whichever way.
  void end_when_closed() { end_when_closed_ = true; }

  // A peer that leaves ends it at once, even while what it sent waits for a descriptor: for the
  // side whose peer reads to the end of what it wants. The other side takes all that was sent
  // first.
  void leave_with_peer() { leave_with_peer_ = true; }

  // kUnavailable when the peer went away. Otherwise the session is over, and the socket still open.
  Result<void> run();

 private:
  struct Sink {
    uint8_t channel;
    int fd;
    std::function<void()> ended;
    std::string pending;
    bool closing = false;  // Its end has come, and waits for what is pending.
    bool open = true;
  };
  struct Source {
    uint8_t channel;
    int fd;
    bool open = true;
  };
  struct Handler {
    uint8_t channel;
    std::function<void(std::string_view)> call;
  };
  struct Ending {
    int fd;
    bool linger;
  };

  size_t pending() const;
  bool sources_open() const;
  bool sinks_open() const;
  Result<void> receive();
  void take(std::string_view message);
  void push(Sink& sink);
  Result<bool> pull(Source& source);
  // What poll() said; false when the time was up.
  bool wait(bool lingering);

  http::WebSocket& socket_;
  std::vector<Sink> sinks_;
  std::vector<Source> sources_;
  std::vector<Handler> handlers_;
  std::vector<Ending> endings_;
  std::function<bool(std::string_view)> text_;
  bool over_ = false;       // The peer has said that it is.
  bool gone_ = false;       // The peer has left.
  bool lingering_ = false;  // It ends once all has been said.
  bool ended_ = false;      // At once.
  bool end_when_closed_ = false;
  bool leave_with_peer_ = false;
};

}  // namespace wherry::cluster
