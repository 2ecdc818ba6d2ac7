#pragma once
// WebSocket (RFC 6455) over a Stream: the handshake of both sides, and messages with masking,
// fragmentation, ping/pong and the closing exchange. No extensions.
//
// Threads: one at a time, the one that owns the Stream. Nothing blocks but connect_websocket.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/client.h"
#include "http/message.h"
#include "http/stream.h"

namespace wherry::http {

bool is_websocket_request(const Request& request);

// Checks the handshake and fills the response's headers for 101; the caller then calls
// Response::upgrade. Returns the first of `protocols` (the server's preference order) that the
// client offers; when the client offers none, the empty string if that is in `protocols`. Else
// kBadRequest.
Result<std::string> accept_websocket(const Request& request, Response& response,
                                     const std::vector<std::string>& protocols);

class WebSocket {
 public:
  enum class Role { kServer, kClient };
  enum class Kind { kText, kBinary, kClose };

  struct Message {
    Kind kind = Kind::kBinary;
    std::string data;         // For kClose the reason.
    uint16_t close_code = 0;  // For kClose; 1005 when the peer gave none, 1006 when it just left.
  };

  WebSocket(Stream& stream, Role role, size_t message_bytes_max = 4 << 20);

  // The next message if one is complete, reading what is there. Never blocks; pings are answered.
  // After kClose (given once) there is nothing more. An error is a breach of the protocol or a
  // broken connection; a close frame with the fitting code has been sent.
  Result<std::optional<Message>> receive();
  // As receive(), but waits. kTimeout at the limit.
  Result<Message> receive_wait(std::chrono::milliseconds limit);

  Result<void> send(Kind kind, std::string_view data);
  // A first byte (a channel number) and the data, as one binary message.
  Result<void> send_channel(uint8_t channel, std::string_view data);
  Result<void> ping();
  // Begins the closing exchange. 1000 is normal.
  Result<void> close(uint16_t code = 1000, std::string_view reason = {});
  bool closing() const { return close_sent_ || close_received_; }

  // Bytes that came behind the handshake, for whoever read that.
  void prime(std::string_view early) { input_.append(early); }
  // For poll loops: bytes or whole messages are at hand.
  bool readable() const;
  Stream& stream() { return stream_; }

 private:
  struct Frame {
    uint8_t opcode = 0;
    bool final = false;
    std::string payload;
  };
  // Bytes of the head of the frame in front, and of its payload; empty while the head is not
  // complete.
  struct Extent {
    size_t head = 0;
    uint64_t payload = 0;
  };
  std::optional<Extent> frame_extent() const;
  Result<std::optional<Frame>> take_frame();
  Result<std::optional<Message>> take_message();
  Result<std::optional<Message>> control(const Frame& frame);
  Result<void> send_frame(uint8_t opcode, std::string_view head, std::string_view data);
  Error breach(uint16_t code, std::string_view message);

  Stream& stream_;
  const Role role_;
  const size_t message_bytes_max_;
  std::string input_;
  size_t consumed_ = 0;
  std::string assembling_;
  uint8_t assembling_opcode_ = 0;
  bool end_of_input_ = false;
  bool close_sent_ = false;
  bool close_received_ = false;
  bool close_given_ = false;
};

// The bytes inside binary messages as a Stream: SPDY/3.1+portforward.k8s.io.
std::unique_ptr<Stream> make_websocket_stream(WebSocket& socket);

// The client's side: dials, shakes hands, and returns the open connection.
struct WebSocketConnection {
  std::unique_ptr<Stream> stream;
  std::unique_ptr<WebSocket> socket;
  std::string protocol;  // The one the server chose.
};
// When the server answers with something else than 101 the error has its status text and body as
// message, and its code for 401, 403, 404, 400 and 429.
Result<WebSocketConnection> connect_websocket(Client& client, const std::string& url,
                                              const Headers& headers,
                                              const std::vector<std::string>& protocols);

}  // namespace wherry::http
