#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apiserver/proxy_backend.h"
#include "apiserver/proxy_links.h"

namespace wherry::apiserver {
namespace {

const LinkBase kBase{"10.42.0.5:80", "/p/web/proxy"};

TEST(ProxyLinks, MovesAbsolutePathsOnly) {
  EXPECT_EQ(rewrite_link(kBase, "/a?b=c#d"), "/p/web/proxy/a?b=c#d");
  EXPECT_EQ(rewrite_link(kBase, "/"), "/p/web/proxy/");
  EXPECT_EQ(rewrite_link(kBase, "a/b"), "a/b");
  EXPECT_EQ(rewrite_link(kBase, "#top"), "#top");
  EXPECT_EQ(rewrite_link(kBase, "/p/web/proxy/a"), "/p/web/proxy/a");
  EXPECT_EQ(rewrite_link(kBase, "http://10.42.0.5:80/a"), "/p/web/proxy/a");
  EXPECT_EQ(rewrite_link(kBase, "//10.42.0.5:80/a"), "/p/web/proxy/a");
  EXPECT_EQ(rewrite_link(kBase, "http://example.com/a"), "http://example.com/a");
  EXPECT_EQ(rewrite_link(kBase, "//example.com/a"), "//example.com/a");
  EXPECT_EQ(rewrite_link(kBase, "/go?to=http://example.com/"),
            "/p/web/proxy/go?to=http://example.com/");
}

TEST(ProxyLinks, MovesLinksInPagesAndNothingElse) {
  EXPECT_EQ(rewrite_html(kBase, R"(<a class=x href="/a">/a</a>)"),
            R"(<a class=x href="/p/web/proxy/a">/a</a>)");
  EXPECT_EQ(rewrite_html(kBase, "<img SRC = '/a' alt='/b'/><p>a < b</p>"),
            "<img SRC = '/p/web/proxy/a' alt='/b'/><p>a < b</p>");
  EXPECT_EQ(rewrite_html(kBase, "<link href=/a><form action=/b>"),
            "<link href=/p/web/proxy/a><form action=/p/web/proxy/b>");
  EXPECT_EQ(rewrite_html(kBase, R"(<!-- <a href="/a"> --><script>x='<a href="/b">'</script>)"),
            R"(<!-- <a href="/a"> --><script>x='<a href="/b">'</script>)");
}

TEST(ProxyLinks, SurvivesPagesThatEndInTheMiddle) {
  for (std::string_view page : {"<", "<a", "<a href", "<a href=", "<a href=\"", "<a href=\"/x",
                                "<!--", "<script>", "<a b='>", "</"}) {
    EXPECT_FALSE(rewrite_html(kBase, page).empty()) << page;
  }
}

// A backend whose peer said `text` and closed.
class Said {
 public:
  explicit Said(std::string_view text) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    EXPECT_EQ(write(fds[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    shutdown(fds[1], SHUT_WR);
    peer_ = fds[1];
    backend_ = std::make_unique<ProxyBackend>(http::make_socket_stream(fds[0]));
  }
  ~Said() { close(peer_); }
  ProxyBackend& operator*() { return *backend_; }

 private:
  int peer_ = -1;
  std::unique_ptr<ProxyBackend> backend_;
};

constexpr std::chrono::milliseconds kLimit{1000};

std::string body_of(ProxyBackend& backend) {
  auto body = backend.read_all(1000, kLimit);
  return body.ok() ? *body : "error: " + body.error().message();
}

TEST(ProxyBackend, ReadsEveryFraming) {
  struct Case {
    std::string_view text;
    std::string_view body;
  };
  for (const Case& one : {
           Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", "hello"},
           Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0"
                "\r\nTrailer: 1\r\n\r\n",
                "hello"},
           Case{"HTTP/1.0 200 OK\r\n\r\nhello", "hello"},
           Case{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                "hi"},
       }) {
    Said said(one.text);
    auto head = (*said).read_head(kLimit);
    ASSERT_TRUE(head.ok()) << head.error().message();
    EXPECT_EQ(head->status, 200);
    EXPECT_EQ(body_of(*said), one.body);
  }
}

TEST(ProxyBackend, NamesWhatIsWrong) {
  for (std::string_view text :
       {"", "HTTP/1.1", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
    Said said(text);
    EXPECT_FALSE((*said).read_head(kLimit).ok()) << text;
  }
  for (std::string_view text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"}) {
    Said said(text);
    ASSERT_TRUE((*said).read_head(kLimit).ok());
    EXPECT_TRUE(body_of(*said).starts_with("error: ")) << text;
  }
}

}  // namespace
}  // namespace wherry::apiserver
