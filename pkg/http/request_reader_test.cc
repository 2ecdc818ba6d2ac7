#include "http/request_reader.h"

#include <gtest/gtest.h>

namespace wherry::http {
namespace {

using State = RequestReader::State;

std::unique_ptr<Request> read_one(std::string_view bytes, RequestLimits limits = {}) {
  RequestReader reader(limits);
  Result<void> fed = reader.feed(bytes);
  if (!fed.ok() || reader.state() != State::kReady) return nullptr;
  return reader.take();
}

std::string refusal(std::string_view bytes, RequestLimits limits = {}) {
  RequestReader reader(limits);
  Result<void> fed = reader.feed(bytes);
  return fed.ok() ? "accepted" : fed.error().message();
}

TEST(RequestReader, LineHeadersAndQuery) {
  auto request = read_one(
      "GET /api/v1/name%2Fspace/x?watch=true&labelSelector=a%3Db,c&empty&watch=2 HTTP/1.1\r\n"
      "Host: h\r\nAccept:  application/json \r\nX-Remote-Extra: 100%25\r\naccept: "
      "text/plain\r\n\r\n");
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(request->method, "GET");
  EXPECT_EQ(request->path, "/api/v1/name%2Fspace/x");
  EXPECT_EQ(request->segments, (std::vector<std::string>{"api", "v1", "name/space", "x"}));
  EXPECT_FALSE(request->trailing_slash);
  EXPECT_EQ(request->query.get("watch"), "true");
  EXPECT_EQ(request->query.all("watch").size(), 2U);
  EXPECT_EQ(request->query.get("labelSelector"), "a=b,c");
  EXPECT_TRUE(request->query.has("empty"));
  EXPECT_EQ(request->headers.get("ACCEPT"), "application/json");
  EXPECT_EQ(request->headers.all("accept").size(), 2U);
  EXPECT_EQ(request->headers.get("x-remote-extra"), "100%25");
  EXPECT_TRUE(request->keep_alive);
}

TEST(RequestReader, TargetForms) {
  EXPECT_EQ(read_one("GET / HTTP/1.1\r\nHost: h\r\n\r\n")->segments.size(), 0U);
  EXPECT_TRUE(read_one("GET /api/ HTTP/1.1\r\nHost: h\r\n\r\n")->trailing_slash);
  EXPECT_EQ(read_one("GET http://h:1/a/b?c=d HTTP/1.1\r\nHost: h\r\n\r\n")->path, "/a/b");
  EXPECT_EQ(read_one("GET https://h HTTP/1.1\r\nHost: h\r\n\r\n")->path, "/");
  EXPECT_EQ(read_one("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")->path, "*");
  EXPECT_EQ(read_one("GET /a//b HTTP/1.1\r\nHost: h\r\n\r\n")->segments.size(), 3U);
}

TEST(RequestReader, EveryCutOfPipelinedRequestsGivesTheSame) {
  const std::string all =
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
      "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n"
      "GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  for (size_t step = 1; step <= all.size(); ++step) {
    RequestReader reader(RequestLimits{});
    std::string seen;
    for (size_t at = 0; at < all.size(); at += step) {
      ASSERT_TRUE(reader.feed(std::string_view(all).substr(at, step)).ok());
      while (reader.state() == State::kReady) {
        auto request = reader.take();
        seen += request->path + "=" + request->body + (request->keep_alive ? ";" : ".");
        ASSERT_TRUE(reader.resume().ok());
      }
    }
    ASSERT_EQ(seen, "/a=hello;/b=abc0123456789;/c=.") << step;
    EXPECT_EQ(reader.state(), State::kIdle);
  }
}

TEST(RequestReader, RefusesWhatSmugglersSend) {
  const char* const bad[] = {
      "GET / HTTP/1.1\r\n\r\n",  // No Host.
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nBad\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
      "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /?a=%z HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
      "GET nothing HTTP/1.1\r\nHost: a\r\n\r\n",
      "G T / HTTP/1.1\r\nHost: a\r\n\r\n",
      "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nab",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
  };
  for (const char* text : bad) EXPECT_NE(refusal(text), "accepted") << text;
}

TEST(RequestReader, Limits) {
  RequestLimits limits{100, 10};
  EXPECT_EQ(refusal("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", limits),
            "Request entity too large: limit is 10");
  EXPECT_EQ(
      refusal(
          "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n6\r\n",
          limits),
      "Request entity too large: limit is 10");
  RequestReader reader(limits);
  EXPECT_FALSE(reader.feed("GET /" + std::string(100, 'a')).ok());
  EXPECT_TRUE(reader.head_too_large());

  auto fields = [](int count) {
    std::string text = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < count; ++i) text += "X-Remote-Group: g\r\n";
    return text + "\r\n";
  };
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "accepted");
  RequestReader many(RequestLimits{});
  EXPECT_FALSE(many.feed(fields(1001)).ok());
  EXPECT_TRUE(many.head_too_large());
}

// Told at once, not when the client has waited for nothing.
TEST(RequestReader, LinesEndWithBothCharacters) {
  const char* bad[] = {"GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nHost: a\n\n", "\n",
                       "GET / HTTP/1.1\nHost: a\r\n\r\n"};
  for (const char* text : bad) EXPECT_NE(refusal(text), "accepted") << text;
  RequestReader piecewise(RequestLimits{});
  for (char c : std::string_view("GET / HTTP/1.1\r\nHost: a\r\n\r\n")) {
    ASSERT_TRUE(piecewise.feed(std::string_view(&c, 1)).ok());
  }
  EXPECT_EQ(piecewise.state(), State::kReady);
}

TEST(RequestReader, ContinueIsAskedForOnce) {
  RequestReader reader(RequestLimits{});
  ASSERT_TRUE(
      reader.feed("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
          .ok());
  EXPECT_EQ(reader.state(), State::kBody);
  EXPECT_TRUE(reader.take_continue());
  EXPECT_FALSE(reader.take_continue());
  ASSERT_TRUE(reader.feed("ok").ok());
  EXPECT_EQ(reader.take()->body, "ok");
}

TEST(Gzip, RoundTripAndLimits) {
  std::string text(100'000, 'x');
  std::string packed = gzip(text);
  EXPECT_LT(packed.size(), 1000U);
  EXPECT_EQ(*gunzip(packed, text.size()), text);
  EXPECT_FALSE(gunzip(packed, 1000).ok());
  EXPECT_FALSE(gunzip(packed.substr(0, 50), 1 << 20).ok());
  EXPECT_FALSE(gunzip("rubbish", 1 << 20).ok());
  Headers headers;
  headers.add("Accept-Encoding", "br, gzip;q=0.5");
  EXPECT_TRUE(accepts_gzip(headers));
  headers.set("Accept-Encoding", "gzip;q=0, identity");
  EXPECT_FALSE(accepts_gzip(headers));
}

}  // namespace
}  // namespace wherry::http
