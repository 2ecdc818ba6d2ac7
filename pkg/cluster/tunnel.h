#pragma once
// The tunnel: how the server reaches an agent although only agents dial. Each agent holds one
// request open,
//
//   GET /v1-wherry/tunnel               answered by lines {"session":"<id>"}, and nothing else
//
// and for each such line it dials a session of its own, so that a slow one holds up no other:
//
//   GET /v1-wherry/session?id=<id>      a WebSocket, sub-protocol "session.wherry.v1"
//
// In a session the server first says what it wants, in one text message:
//
//   {"do":"logs"|"exec"|"attach"|"dial", "ns", "pod", "uid", "container", "options":{...}}
//
// The agent answers {"started":true} or {"error":{"reason","message"}}, later, at the end,
// {"ended":true, "exit":0} or again an error. In between both send binary messages whose first byte
// is the channel; an empty one ends the channel:
//
//   0 to the process or pod   1 its output   2 its errors   4 terminal size: width, height, big
//   endian
//
// Both need the certificate of the node.

#include <string>
#include <string_view>

#include "base/result.h"
#include "client/node_api.h"
#include "json/json.h"

namespace wherry::cluster {

inline constexpr std::string_view kTunnelPath = "/v1-wherry/tunnel";
inline constexpr std::string_view kSessionPath = "/v1-wherry/session";
inline constexpr std::string_view kSessionProtocol = "session.wherry.v1";

enum class Channel : uint8_t { kIn = 0, kOut = 1, kErrors = 2, kSize = 4 };
constexpr uint8_t number(Channel channel) { return static_cast<uint8_t>(channel); }

// What a session is to do.
struct SessionWish {
  std::string action;  // "logs", "exec", "attach", "dial".
  client::ContainerRef container;
  client::LogOptions logs;
  client::ExecOptions exec;
  uint16_t port = 0;

  std::string text() const;
  static Result<SessionWish> parse(std::string_view text);
};

// What the agent says of it.
struct SessionWord {
  bool started = false;
  bool ended = false;
  int exit_code = 0;
  std::optional<Error> error;

  std::string text() const;
  static Result<SessionWord> parse(std::string_view text);
};

}  // namespace wherry::cluster
