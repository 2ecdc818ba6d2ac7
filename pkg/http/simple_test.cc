// SimpleServer and fetch(), which wrap cpp-httplib, against each other.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "http/simple_client.h"
#include "http/simple_server.h"

namespace wherry::http {
namespace {

SimpleServer::Options echo() {
  SimpleServer::Options options;
  options.threads = 2;
  options.handler = [](Request& request, Response& response) {
    if (request.path == "/moved") {
      response.status = 302;
      response.headers.set("Location", "/there");
      return response.set_body("text/plain", "");
    }
    response.status = request.path == "/none" ? 404 : 200;
    response.headers.set("X-Seen", "yes");
    response.set_body("text/plain; charset=utf-8",
                      fmt::format("{} {} {} {}", request.method, request.path, request.target,
                                  request.headers.get("User-Agent")));
  };
  return options;
}

TEST(SimpleServer, AnswersFetch) {
  SimpleServer server(echo());
  ASSERT_TRUE(server.start().ok());
  std::string base = fmt::format("http://127.0.0.1:{}", server.port());

  Result<Fetched> page = fetch(base + "/a%20b?x=1#part");
  ASSERT_TRUE(page.ok()) << page.error().message();
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->body, "GET /a%20b /a%20b?x=1 wherry");
  EXPECT_EQ(page->headers.get("x-seen"), "yes");
  EXPECT_EQ(page->headers.get("Content-Type"), "text/plain; charset=utf-8");

  EXPECT_EQ(fetch(base)->body, "GET / / wherry");
  EXPECT_EQ(fetch(base + "?q")->body, "GET / /?q wherry");
  EXPECT_EQ(fetch(base + "/none")->status, 404);
  EXPECT_EQ(fetch(base + "/moved")->body, "GET /there /there wherry");
}

TEST(SimpleServer, EndsAndFreesItsPort) {
  SimpleServer::Options options = echo();
  {
    SimpleServer server(options);
    ASSERT_TRUE(server.start().ok());
    options.port = server.port();
    SimpleServer second(options);
    Result<void> started = second.start();
    ASSERT_FALSE(started.ok());
    EXPECT_NE(started.error().message().find(std::to_string(options.port)), std::string::npos);
  }
  Result<Fetched> page = fetch(fmt::format("http://127.0.0.1:{}/", options.port));
  ASSERT_FALSE(page.ok());
  EXPECT_TRUE(page.error().is(Code::kUnavailable));
}

TEST(SimpleClient, RefusesWhatIsNoUrl) {
  for (const char* url : {"ftp://host/", "host", "http://", "http:///path", ""}) {
    EXPECT_FALSE(fetch(url).ok()) << url;
  }
}

TEST(SimpleClient, StopsAtTheLimit) {
  SimpleServer::Options options;
  options.threads = 1;
  options.handler = [](Request&, Response& response) {
    response.set_body("text/plain", std::string(1000, 'x'));
  };
  SimpleServer server(options);
  ASSERT_TRUE(server.start().ok());
  std::string url = fmt::format("http://127.0.0.1:{}/", server.port());
  EXPECT_FALSE(fetch(url, {.body_bytes_max = 999}).ok());
  EXPECT_TRUE(fetch(url, {.body_bytes_max = 1000}).ok());
}

}  // namespace
}  // namespace wherry::http
