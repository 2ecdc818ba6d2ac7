#include "http/spdy.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/encoding.h"
#include "http/spdy_headers.h"
#include "http/websocket.h"

namespace wherry::http {
namespace {

using Kind = SpdySession::EventKind;

std::string number(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
  return out;
}

std::string control(uint16_t type, uint8_t flags, const std::string& payload) {
  return number(0x80030000U | type) +
         number(uint32_t{flags} << 24 | static_cast<uint32_t>(payload.size())) + payload;
}

std::string data(uint32_t stream, uint8_t flags, const std::string& payload) {
  return number(stream) + number(uint32_t{flags} << 24 | static_cast<uint32_t>(payload.size())) +
         payload;
}

// The server's session and a client that writes frames by hand.
struct Pair {
  Pair() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    near = make_socket_stream(ends[0]);
    far = make_socket_stream(ends[1]);
    session = std::make_unique<SpdySession>(*near);
  }
  void feed(const std::string& bytes) const { ASSERT_TRUE(far->send(bytes).ok()); }
  std::string open(uint32_t stream, const char* type, uint8_t flags = 0) {
    Headers headers;
    headers.add("StreamType", type);
    return control(1, flags,
                   number(stream) + number(0) + std::string(2, '\0') + codec.encode(headers));
  }
  // Everything the session says now, one word an event.
  std::string events() const {
    std::string out;
    for (;;) {
      Result<std::optional<SpdySession::Event>> event = session->next();
      if (!event.ok()) return out + "error: " + event.error().message();
      if (!*event) return out;
      switch ((*event)->kind) {
        case Kind::kOpened:
          out += fmt::format("open{}:{} ", (*event)->stream, (*event)->headers.get("streamtype"));
          break;
        case Kind::kData: out += fmt::format("data{}:{} ", (*event)->stream, (*event)->data); break;
        case Kind::kEnd: out += fmt::format("end{} ", (*event)->stream); break;
        case Kind::kReset: out += fmt::format("reset{} ", (*event)->stream); break;
        case Kind::kClosed: out += "closed "; break;
      }
    }
  }
  std::string sent() const {
    std::string out;
    char buffer[64 << 10];
    for (;;) {
      Result<Stream::Read> got = far->read(buffer, sizeof(buffer));
      if (!got.ok() || got->bytes == 0) return out;
      out.append(buffer, got->bytes);
      (void)near->flush();
    }
  }
  std::unique_ptr<Stream> near;
  std::unique_ptr<Stream> far;
  std::unique_ptr<SpdySession> session;
  SpdyHeaderCodec codec;
};

TEST(Spdy, Negotiation) {
  Request request;
  request.headers.add("Connection", "Upgrade");
  request.headers.add("Upgrade", "SPDY/3.1");
  request.headers.add("X-Stream-Protocol-Version", "v5.channel.k8s.io");
  request.headers.add("X-Stream-Protocol-Version", "v4.channel.k8s.io, channel.k8s.io");
  Response response;
  Result<std::string> protocol =
      accept_spdy(request, response, {"v4.channel.k8s.io", "v3.channel.k8s.io"});
  ASSERT_TRUE(protocol.ok());
  EXPECT_EQ(*protocol, "v4.channel.k8s.io");
  EXPECT_EQ(response.headers.get("Upgrade"), "SPDY/3.1");
  Response other;
  Result<std::string> refused = accept_spdy(request, other, {"portforward.k8s.io"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kForbidden);
  EXPECT_EQ(other.headers.get("X-Accepted-Stream-Protocol-Versions"), "portforward.k8s.io");
  request.headers.remove("Upgrade");
  EXPECT_FALSE(accept_spdy(request, other, {""}).ok());
}

TEST(Spdy, HeaderBlocksKeepTheirState) {
  SpdyHeaderCodec writer;
  SpdyHeaderCodec reader;
  for (int i = 0; i < 50; ++i) {
    Headers headers;
    headers.add("streamType", "stdin");
    headers.add("port", std::to_string(i));
    std::string block = writer.encode(headers);
    // The first one names the dictionary of SPDY/3.
    if (i == 0) {
      EXPECT_EQ(hex_encode(block.substr(2, 4)), "e3c6a7c2");
    }
    Result<Headers> read = reader.decode(block);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(read->get("STREAMTYPE"), "stdin");
    EXPECT_EQ(read->get("port"), std::to_string(i));
    EXPECT_EQ(read->fields()[0].first, "streamtype");
  }
  EXPECT_FALSE(SpdyHeaderCodec().decode("rubbish").ok());
}

TEST(Spdy, StreamsBothWays) {
  Pair pair;
  pair.feed(pair.open(1, "error"));
  pair.feed(pair.open(3, "stdin"));
  pair.feed(data(3, 0, "abc") + data(3, 1, "d"));
  EXPECT_EQ(pair.events(), "open1:error open3:stdin data3:abc data3:d end3 ");
  ASSERT_TRUE(pair.session->reply(1).ok());
  ASSERT_TRUE(pair.session->send(1, "out").ok());
  ASSERT_TRUE(pair.session->finish(1).ok());
  ASSERT_TRUE(pair.session->send(1, "late").ok());
  std::string sent = pair.sent();
  EXPECT_EQ(hex_encode(sent.substr(0, 4)), "80030002");
  EXPECT_TRUE(sent.ends_with(data(1, 0, "out") + data(1, 1, "")));
}

TEST(Spdy, EveryCutGivesTheSame) {
  for (size_t step = 1; step < 120; ++step) {
    Pair pair;
    std::string bytes = pair.open(1, "data") + data(1, 0, "abc");
    bytes += pair.open(3, "error", 1);
    bytes += data(1, 1, "") + control(3, 0, number(1) + number(5));
    bytes += control(7, 0, number(0) + number(0));
    std::string seen;
    for (size_t at = 0; at < bytes.size(); at += step) {
      pair.feed(bytes.substr(at, step));
      seen += pair.events();
    }
    EXPECT_EQ(seen, "open1:data data1:abc open3:error end3 end1 reset1 closed ") << step;
  }
}

TEST(Spdy, PingsAreAnsweredAndUnknownFramesIgnored) {
  Pair pair;
  pair.feed(control(6, 0, number(7)) + control(6, 0, number(8)) + control(10, 0, "xxxx"));
  EXPECT_EQ(pair.events(), "");
  EXPECT_EQ(pair.sent(), control(6, 0, number(7)));
  ASSERT_TRUE(pair.session->ping().ok());
  EXPECT_EQ(pair.sent(), control(6, 0, number(2)));
}

TEST(Spdy, PeersThatDoNotCountGetEverything) {
  Pair pair;
  pair.feed(pair.open(1, "stdout"));
  pair.events();
  std::string long_text(300 << 10, 'x');
  ASSERT_TRUE(pair.session->send(1, long_text).ok());
  EXPECT_EQ(pair.session->queued(), 0U);
  EXPECT_GT(pair.sent().size(), long_text.size());
  EXPECT_GT(pair.session->can_send(1), 0U);
  EXPECT_EQ(pair.session->can_send(99), 0U);
}

TEST(Spdy, PeersThatCountAreHeeded) {
  Pair pair;
  pair.feed(pair.open(1, "stdout") + control(4, 0, number(1) + number(7) + number(1000)));
  pair.events();
  ASSERT_TRUE(pair.session->send(1, std::string(2500, 'x')).ok());
  ASSERT_TRUE(pair.session->finish(1).ok());
  EXPECT_EQ(pair.sent(), data(1, 0, std::string(1000, 'x')));
  EXPECT_EQ(pair.session->queued(), 1500U);
  pair.feed(control(9, 0, number(1) + number(1000)));
  pair.events();
  EXPECT_EQ(pair.sent(), data(1, 0, std::string(1000, 'x')));
  pair.feed(control(9, 0, number(1) + number(1000)));
  pair.events();
  EXPECT_EQ(pair.sent(), data(1, 0, std::string(500, 'x')) + data(1, 1, ""));
}

TEST(Spdy, ConsumingOpensTheWindowsAgain) {
  Pair pair;
  pair.feed(pair.open(1, "stdin"));
  pair.events();
  ASSERT_TRUE(pair.session->consumed(1, 20 << 10).ok());
  EXPECT_EQ(pair.sent(), "");
  ASSERT_TRUE(pair.session->consumed(1, 20 << 10).ok());
  EXPECT_EQ(pair.sent(), control(9, 0, number(0) + number(40 << 10)) +
                             control(9, 0, number(1) + number(40 << 10)));
}

TEST(Spdy, BreachesEndOrReset) {
  {
    Pair pair;
    pair.feed(pair.open(2, "even"));
    pair.feed(pair.open(5, "good"));
    pair.feed(pair.open(3, "back"));
    EXPECT_EQ(pair.events(), "open5:good ");
    EXPECT_EQ(pair.sent(),
              control(3, 0, number(2) + number(1)) + control(3, 0, number(3) + number(1)));
  }
  const std::string bad[] = {
      number(0x80020001U) + number(0),                                     // SPDY/2.
      number(1) + number(0x00ffffffU),                                     // 16 MB of data.
      control(1, 0, number(1)),                                            // Short SYN_STREAM.
      control(1, 0, number(1) + number(0) + std::string(2, '\0') + "??"),  // Not a header block.
      control(4, 0, number(1000)),                                         // Short SETTINGS.
      control(9, 0, number(1)),                                            // Short WINDOW_UPDATE.
      control(6, 0, ""),                                                   // Short PING.
  };
  for (const std::string& bytes : bad) {
    Pair pair;
    pair.feed(bytes);
    EXPECT_NE(pair.events().find("error: spdy: "), std::string::npos) << hex_encode(bytes);
  }
}

TEST(Spdy, HeaderBombsAreRefused) {
  Pair pair;
  Headers headers;
  headers.add("x", std::string(1 << 20, 'a'));
  pair.feed(
      control(1, 0, number(1) + number(0) + std::string(2, '\0') + pair.codec.encode(headers)));
  EXPECT_EQ(pair.events(), "error: spdy: the header block is too long");
}

TEST(Spdy, InsideWebSocketMessages) {
  Pair pair;
  WebSocket server(*pair.near, WebSocket::Role::kServer);
  WebSocket client(*pair.far, WebSocket::Role::kClient);
  auto near = make_websocket_stream(server);
  SpdySession session(*near);
  std::string bytes = pair.open(1, "data") + data(1, 0, "hello");
  for (char c : bytes) ASSERT_TRUE(client.send(WebSocket::Kind::kBinary, {&c, 1}).ok());
  auto opened = session.next();
  ASSERT_TRUE(opened.ok() && *opened);
  EXPECT_EQ((*opened)->kind, Kind::kOpened);
  auto got = session.next();
  ASSERT_TRUE(got.ok() && *got);
  EXPECT_EQ((*got)->data, "hello");
  ASSERT_TRUE(session.send(1, "back").ok());
  Result<WebSocket::Message> message = client.receive_wait(std::chrono::seconds(1));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->data, data(1, 0, "back"));
}

TEST(Spdy, ThePeerThatJustLeaves) {
  Pair pair;
  pair.feed(pair.open(1, "data"));
  pair.far.reset();
  EXPECT_EQ(pair.events(), "open1:data closed ");
  EXPECT_EQ(pair.events(), "");
}

}  // namespace
}  // namespace wherry::http
