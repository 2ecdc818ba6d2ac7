#include "container/reference.h"

#include <gtest/gtest.h>

namespace wherry::container {
namespace {

std::string full(std::string_view text) {
  Result<Reference> reference = Reference::parse(text);
  return reference.ok() ? reference->full() : "error";
}

TEST(Reference, NamesAreCompleted) {
  EXPECT_EQ(full("nginx"), "docker.io/library/nginx:latest");
  EXPECT_EQ(full("nginx:1.25"), "docker.io/library/nginx:1.25");
  EXPECT_EQ(full("team/app"), "docker.io/team/app:latest");
  EXPECT_EQ(full("index.docker.io/nginx"), "docker.io/library/nginx:latest");
  EXPECT_EQ(full("quay.io/a/b/c:x_Y.1-z"), "quay.io/a/b/c:x_Y.1-z");
  EXPECT_EQ(full("localhost/x"), "localhost/x:latest");
  EXPECT_EQ(full("localhost:5000/x"), "localhost:5000/x:latest");
  EXPECT_EQ(full("[::1]:5000/x:t"), "[::1]:5000/x:t");
  EXPECT_EQ(full("wherry.local/hello"), "wherry.local/hello:latest");
}

TEST(Reference, ADigestWinsOverATag) {
  std::string digest = "sha256:" + std::string(64, 'a');
  EXPECT_EQ(full("a/b:1@" + digest), "docker.io/a/b@" + digest);
  EXPECT_EQ(Reference::parse("x@" + digest)->tag, "");
  EXPECT_EQ(Reference::parse("x@" + digest)->tag_or_digest(), digest);
}

TEST(Reference, NonsenseIsRefused) {
  for (const char* text : {"", "Nginx", "a//b", "a:", "a:b:c", "a@sha256:12", "-a", "a-", "a..b",
                           "a/b___c", ":x", "reg:99999/x", "a b", "../x", "reg.io/", "x@md5:11"}) {
    Result<Reference> reference = Reference::parse(text);
    ASSERT_FALSE(reference.ok()) << text;
    EXPECT_TRUE(reference.error().is(Code::kInvalid));
    EXPECT_NE(reference.error().message().find("invalid reference format"), std::string::npos);
  }
}

TEST(Reference, Loopback) {
  for (const char* text :
       {"localhost/x", "localhost:1/x", "127.0.0.1:5000/x", "127.9.8.7/x", "[::1]:5/x"}) {
    EXPECT_TRUE(Reference::parse(text)->loopback()) << text;
  }
  for (const char* text : {"nginx", "127.example.com/x", "127.0.0.1.nip.io/x", "128.0.0.1/x",
                           "[::2]/x", "10.0.0.1:5000/x"}) {
    EXPECT_FALSE(Reference::parse(text)->loopback()) << text;
  }
}

}  // namespace
}  // namespace wherry::container
