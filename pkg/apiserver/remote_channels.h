#pragma once
// RemoteChannels: the client's side of exec, attach and port-forward, as numbered channels, whether
// the client speaks WebSocket (channel.k8s.io in its versions) or SPDY/3.1. One thread: the one
// that owns the connection.

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/spdy.h"
#include "http/stream.h"
#include "http/websocket.h"

namespace wherry::apiserver {

enum Channel : uint8_t { kStdin = 0, kStdout = 1, kStderr = 2, kErrorChannel = 3, kResize = 4 };

// Which channels a remote command uses.
struct ChannelSet {
  bool stdin_on = false;
  bool stdout_on = false;
  bool stderr_on = false;
  bool tty = false;
};

struct ChannelEvent {
  enum class Kind { kData, kClosed, kGone };  // kClosed: the client half-closed the channel.
  Kind kind = Kind::kData;
  uint8_t channel = 0;
  std::string data;
};

class RemoteChannels {
 public:
  virtual ~RemoteChannels() = default;
  // Ready for data; may wait for the client to open its streams.
  virtual Result<void> open(std::chrono::milliseconds limit) = 0;
  virtual Result<std::optional<ChannelEvent>> next() = 0;  // Never blocks.
  virtual Result<void> send(uint8_t channel, std::string_view data) = 0;
  // That much data of the channel has been dealt with; opens the peer's window.
  virtual Result<void> consumed(uint8_t channel, size_t bytes) = 0;
  // Whether the peer stops by itself when data is not consumed; else we stop reading.
  virtual bool has_windows() const = 0;
  // The end: `status` is a meta/v1 Status; its `text` is what the oldest protocols get.
  virtual Result<void> finish(std::string_view status, std::string_view text) = 0;
  virtual bool readable() const = 0;
  virtual size_t pending(uint8_t channel) const = 0;  // Bytes that have not left yet.
  virtual bool drained() const = 0;                   // Nothing waits on any channel.
  virtual http::Stream& stream() = 0;
};

// `protocol` is the sub-protocol that was agreed on; "" is the oldest, like "channel.k8s.io".
std::unique_ptr<RemoteChannels> make_websocket_channels(http::Stream& stream, std::string protocol,
                                                        ChannelSet set);
std::unique_ptr<RemoteChannels> make_spdy_channels(http::Stream& stream, std::string protocol,
                                                   ChannelSet set);

// In the server's order of preference.
const std::vector<std::string>& websocket_command_protocols();
const std::vector<std::string>& spdy_command_protocols();

}  // namespace wherry::apiserver
