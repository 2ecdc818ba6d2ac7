#include "http/stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "http/server.h"
#include "http/test_support.h"
#include "http/websocket.h"

namespace wherry::http {
namespace {

using testing::eventually;
using testing::make_certificate;
using testing::RawClient;
using testing::start_server;

// "/echo" is an upgrade that sends back what it gets, "/logs" a stream that runs until told or
// left.
struct Streams {
  std::atomic<bool> stop{false};
  std::atomic<int> left{0};

  void handle(Request& request, Response& response) {
    Result<void> taken;
    if (request.path == "/echo") {
      response.headers.set("Upgrade", "echo");
      taken = response.upgrade([](Stream& stream) {
        char buffer[1000];
        for (;;) {
          Result<Stream::Read> got =
              stream.read_wait(buffer, sizeof(buffer), std::chrono::seconds(5));
          if (!got.ok() || got->end || !stream.write_all({buffer, got->bytes}).ok()) return;
        }
      });
    } else {
      taken = response.stream("text/plain", [this](BodyWriter& body) {
        body.write("line\n");
        while (!stop && !body.peer_gone()) std::this_thread::yield();
        body.write("last\n");
        ++left;
      });
    }
    if (!taken.ok()) {
      response.status = 429;
      response.set_body("text/plain", taken.error().message());
    }
  }
};

std::unique_ptr<Server> serve(Streams& streams, unsigned streams_max = 10) {
  Server::Options options;
  options.streams_max = streams_max;
  options.handler = [&](Request& request, Response& response) {
    streams.handle(request, response);
  };
  return start_server(std::move(options));
}

TEST(Stream, UpgradeCarriesBytesBothWays) {
  Streams streams;
  auto server = serve(streams);
  RawClient client(server->port());
  // The first bytes of the new protocol may come together with the request.
  client.send("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
  std::string answer = client.read_until("early");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << answer;
  EXPECT_NE(answer.find("Connection: Upgrade\r\n"), std::string::npos);
  EXPECT_EQ(answer.find("Content-Length"), std::string::npos);
  client.send(std::string(100'000, 'x') + "end");
  EXPECT_EQ(client.read_until("end").size(), 100'003U);
}

TEST(Stream, LongAnswersEndProperlyOrWithTheirClient) {
  Streams streams;
  auto server = serve(streams);
  RawClient stays(server->port());
  {
    RawClient leaves(server->port());
    leaves.send("GET /logs HTTP/1.1\r\nHost: h\r\n\r\n");
    leaves.read_until("line");
  }
  EXPECT_TRUE(eventually([&] { return streams.left == 1; }));
  stays.send("GET /logs HTTP/1.1\r\nHost: h\r\n\r\n");
  stays.read_until("line");
  streams.stop = true;
  EXPECT_TRUE(stays.read_all().ends_with("5\r\nlast\n\r\n0\r\n\r\n"));
  EXPECT_TRUE(eventually([&] { return server->counters().streams == 0; }));
}

TEST(Stream, BeyondTheCapTheHandlerIsTold) {
  Streams streams;
  auto server = serve(streams, 2);
  RawClient one(server->port());
  RawClient two(server->port());
  RawClient three(server->port());
  for (RawClient* client : {&one, &two}) {
    client->send("GET /logs HTTP/1.1\r\nHost: h\r\n\r\n");
    client->read_until("line");
  }
  three.send("GET /logs HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(three.read_until("later").starts_with("HTTP/1.1 429 "));
  streams.stop = true;
  EXPECT_TRUE(eventually([&] { return server->counters().streams == 0; }));
  three.send("GET /logs HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(three.read_until("line").starts_with("HTTP/1.1 200 "));
}

TEST(Stream, StopCutsThem) {
  Streams streams;
  auto server = serve(streams);
  RawClient client(server->port());
  client.send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read_until("\r\n\r\n");
  server->stop();
  EXPECT_EQ(client.read_all(), "");
}

// Both directions at once over TLS, large enough that each side must wait for the other.
TEST(Stream, WebSocketOverTlsEndToEnd) {
  auto certificate = make_certificate("localhost");
  Server::Options options;
  options.tls = std::make_shared<TlsCredentials>(
      TlsCredentials{certificate.certificate_pem, certificate.key_pem, {}});
  options.handler = [](Request& request, Response& response) {
    Result<std::string> protocol =
        accept_websocket(request, response, {"v5.channel.k8s.io", "v4.channel.k8s.io"});
    if (!protocol.ok()) {
      response.status = 400;
      return response.set_body("text/plain", protocol.error().message());
    }
    (void)response.upgrade([](Stream& stream) {
      WebSocket socket(stream, WebSocket::Role::kServer);
      for (;;) {
        Result<WebSocket::Message> message = socket.receive_wait(std::chrono::seconds(5));
        if (!message.ok() || message->kind == WebSocket::Kind::kClose) return;
        if (!socket.send(message->kind, message->data).ok()) return;
      }
    });
  };
  auto server = start_server(std::move(options));
  ClientOptions client_options;
  client_options.ca_pem = certificate.certificate_pem;
  Client client(client_options);
  std::string url = fmt::format("wss://127.0.0.1:{}/exec?command=ls", server->port());

  Result<WebSocketConnection> refused = connect_websocket(client, url, {}, {"other"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kBadRequest);
  EXPECT_NE(refused.error().message().find("client offers [other]"), std::string::npos);

  Result<WebSocketConnection> opened = connect_websocket(client, url, {}, {"v4.channel.k8s.io"});
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  EXPECT_EQ(opened->protocol, "v4.channel.k8s.io");
  for (size_t i = 0; i < 500; ++i) {
    ASSERT_TRUE(
        opened->socket->send_channel(2, std::string(i * 20, static_cast<char>('a' + i % 26))).ok());
  }
  for (size_t i = 0; i < 500; ++i) {
    Result<WebSocket::Message> message = opened->socket->receive_wait(std::chrono::seconds(5));
    ASSERT_TRUE(message.ok()) << message.error().message();
    ASSERT_EQ(message->data, "\x02" + std::string(i * 20, static_cast<char>('a' + i % 26)));
  }
  ASSERT_TRUE(opened->socket->close().ok());
  Result<WebSocket::Message> last = opened->socket->receive_wait(std::chrono::seconds(5));
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last->kind, WebSocket::Kind::kClose);
  EXPECT_EQ(last->close_code, 1000);
}

TEST(Stream, TimeLimits) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  auto ours = make_socket_stream(ends[0]);
  auto theirs = make_socket_stream(ends[1]);
  char buffer[10];
  Result<Stream::Read> got = ours->read_wait(buffer, sizeof(buffer), std::chrono::milliseconds(5));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code(), Code::kTimeout);
  Result<void> sent = ours->write_all(std::string(4 << 20, 'x'), std::chrono::milliseconds(5));
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code(), Code::kTimeout);
  theirs.reset();
  EXPECT_FALSE(ours->flush().ok());
}

}  // namespace
}  // namespace wherry::http
