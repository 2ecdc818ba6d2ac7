#include "http/websocket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/encoding.h"

namespace wherry::http {
namespace {

using std::chrono::seconds;

// A server socket, and the raw other end.
struct Pair {
  Pair() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    near = make_socket_stream(ends[0]);
    far = make_socket_stream(ends[1]);
    socket = std::make_unique<WebSocket>(*near, WebSocket::Role::kServer, 1000);
  }
  void feed(std::string_view hex) const { ASSERT_TRUE(far->send(*hex_decode(hex)).ok()); }
  std::string sent() const {
    char buffer[1000];
    Result<Stream::Read> got = far->read(buffer, sizeof(buffer));
    return got.ok() ? hex_encode({buffer, got->bytes}) : "broken";
  }
  std::unique_ptr<Stream> near;
  std::unique_ptr<Stream> far;
  std::unique_ptr<WebSocket> socket;
};

Request handshake() {
  Request request;
  request.method = "GET";
  request.headers.add("Connection", "keep-alive, Upgrade");
  request.headers.add("Upgrade", "websocket");
  request.headers.add("Sec-WebSocket-Version", "13");
  request.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  return request;
}

TEST(WebSocket, HandshakeOfTheRfc) {
  Request request = handshake();
  request.headers.add("Sec-WebSocket-Protocol", "chat, v4.channel.k8s.io");
  Response response;
  Result<std::string> protocol =
      accept_websocket(request, response, {"v5.channel.k8s.io", "v4.channel.k8s.io"});
  ASSERT_TRUE(protocol.ok());
  EXPECT_EQ(*protocol, "v4.channel.k8s.io");
  EXPECT_EQ(response.headers.get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(response.headers.get("Sec-WebSocket-Protocol"), "v4.channel.k8s.io");
  EXPECT_EQ(response.status, 101);
}

TEST(WebSocket, HandshakeRefusals) {
  Response response;
  EXPECT_FALSE(accept_websocket(handshake(), response, {"v5.channel.k8s.io"}).ok());
  EXPECT_EQ(*accept_websocket(handshake(), response, {"v5.channel.k8s.io", ""}), "");
  Request request = handshake();
  request.headers.set("Sec-WebSocket-Key", "short");
  EXPECT_FALSE(accept_websocket(request, response, {""}).ok());
  request = handshake();
  request.headers.set("Sec-WebSocket-Version", "8");
  EXPECT_FALSE(accept_websocket(request, response, {""}).ok());
  request = handshake();
  request.headers.remove("Upgrade");
  EXPECT_FALSE(is_websocket_request(request));
}

// RFC 6455 §5.7: "Hello" masked, alone and around a ping.
TEST(WebSocket, ExamplesOfTheRfc) {
  Pair pair;
  pair.feed("818537fa213d7f9f4d5158");
  auto message = pair.socket->receive();
  ASSERT_TRUE(message.ok() && *message);
  EXPECT_EQ((*message)->kind, WebSocket::Kind::kText);
  EXPECT_EQ((*message)->data, "Hello");
  EXPECT_FALSE((*pair.socket->receive()).has_value());

  pair.feed(
      "018300000000"
      "48656c"
      "898537fa213d7f9f4d5158"
      "808200000000"
      "6c6f");
  message = pair.socket->receive();
  ASSERT_TRUE(message.ok() && *message);
  EXPECT_EQ((*message)->data, "Hello");
  EXPECT_EQ(pair.sent(), "8a0548656c6c6f");
  ASSERT_TRUE(pair.socket->send(WebSocket::Kind::kText, "Hello").ok());
  EXPECT_EQ(pair.sent(), "810548656c6c6f");
  ASSERT_TRUE(pair.socket->send_channel(1, std::string(200, 'x')).ok());
  EXPECT_EQ(pair.sent().substr(0, 10), "827e00c901");
}

TEST(WebSocket, EveryCutGivesTheSame) {
  const std::string bytes = *hex_decode(
      "82850000000001610a620a"
      "888200000000"
      "03e8");
  for (size_t step = 1; step <= bytes.size(); ++step) {
    Pair pair;
    std::string seen;
    for (size_t at = 0; at < bytes.size(); at += step) {
      ASSERT_TRUE(pair.far->send(std::string_view(bytes).substr(at, step)).ok());
      for (;;) {
        auto message = pair.socket->receive();
        ASSERT_TRUE(message.ok());
        if (!*message) break;
        seen += (*message)->kind == WebSocket::Kind::kClose
                    ? fmt::format("close {}", (*message)->close_code)
                    : (*message)->data + ";";
      }
    }
    EXPECT_EQ(seen,
              "\x01"
              "a\nb\n;close 1000")
        << step;
    EXPECT_EQ(pair.sent(), "880203e8");
  }
}

TEST(WebSocket, BreachesAreAnsweredWithTheirCode) {
  const std::pair<const char*, const char*> cases[] = {
      {"810548656c6c6f", "03ea"},    // Not masked.
      {"c18000000000", "03ea"},      // Reserved bit.
      {"838000000000", "03ea"},      // Unknown kind.
      {"808000000000", "03ea"},      // A continuation of nothing.
      {"010000", "03ea"},            // Not masked fragment.
      {"098000000000", "03ea"},      // Fragmented ping.
      {"89fe007e00000000", "03ea"},  // Long ping.
      {"82fe03e900000000", "03f1"},  // 1001 bytes where 1000 are allowed.
      {"82ff0000000100000000"
       "00000000",
       "03f1"},                    // Announced only; nobody waits for 4 GB.
      {"818100000000ff", "03ef"},  // Not UTF-8.
      {"8883000000000001"
       "41",
       "03ea"},  // Close code 1.
      {"888100000000"
       "03",
       "03ea"},  // Half a close code.
  };
  for (const auto& [bytes, code] : cases) {
    Pair pair;
    pair.feed(bytes);
    auto message = pair.socket->receive();
    EXPECT_FALSE(message.ok()) << bytes;
    std::string answer = pair.sent();
    EXPECT_EQ(answer.substr(0, 2), "88") << bytes;
    EXPECT_EQ(answer.substr(4, 4), code) << bytes;
  }
}

TEST(WebSocket, FragmentsTogetherStayBelowTheLimit) {
  Pair pair;
  std::string fragment = *hex_decode("02fe025800000000") + std::string(600, 'a');
  std::string more = *hex_decode("80fe025800000000") + std::string(600, 'a');
  ASSERT_TRUE(pair.far->send(fragment + more).ok());
  EXPECT_FALSE(pair.socket->receive().ok());
}

TEST(WebSocket, ThePeerThatJustLeaves) {
  Pair pair;
  pair.far.reset();
  Result<WebSocket::Message> message = pair.socket->receive_wait(seconds(1));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->kind, WebSocket::Kind::kClose);
  EXPECT_EQ(message->close_code, 1006);
  EXPECT_FALSE(pair.socket->receive_wait(seconds(1)).ok());
}

TEST(WebSocket, ClientAndServerAndTheStreamInside) {
  Pair pair;
  WebSocket client(*pair.far, WebSocket::Role::kClient);
  auto inside_client = make_websocket_stream(client);
  auto inside_server = make_websocket_stream(*pair.socket);
  std::string text;
  for (int i = 0; i < 300; ++i) text += std::to_string(i) + " ";
  for (size_t at = 0; at < text.size(); at += 100)
    ASSERT_TRUE(inside_client->send(text.substr(at, 100)).ok());
  std::string got;
  char buffer[7];
  while (got.size() < text.size()) {
    Result<Stream::Read> read = inside_server->read_wait(buffer, sizeof(buffer), seconds(5));
    ASSERT_TRUE(read.ok() && !read->end);
    got.append(buffer, read->bytes);
  }
  EXPECT_EQ(got, text);
  inside_client->shutdown_write();
  Result<Stream::Read> end = inside_server->read_wait(buffer, sizeof(buffer), seconds(5));
  ASSERT_TRUE(end.ok());
  EXPECT_TRUE(end->end);
}

}  // namespace
}  // namespace wherry::http
