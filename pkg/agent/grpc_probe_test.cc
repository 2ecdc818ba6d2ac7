#include "agent/grpc_probe.h"

#include <gtest/gtest.h>

namespace wherry::agent {
namespace {

using namespace std::string_literals;

const std::string kSettings = "\0\0\0\4\0\0\0\0\0"s;
// Response headers that need no decoding for the verdict, then a message, then trailers.
const std::string kHeaders = "\0\0\1\1\4\0\0\0\1\x88"s;
const std::string kServing = "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\1"s;
const std::string kNotServing = "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\2"s;
const std::string kTrailers = "\0\0\1\1\5\0\0\0\1\x88"s;

TEST(GrpcHealth, AsksOnceWithPrefaceSettingsHeadersAndData) {
  std::string request = grpc_health_request("10.0.0.1:5000", "db");
  EXPECT_TRUE(request.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  EXPECT_NE(request.find("/grpc.health.v1.Health/Check"), std::string::npos);
  EXPECT_TRUE(request.ends_with("\0\0\x09\0\1\0\0\0\1\0\0\0\0\4\x0a\2db"s));
}

TEST(GrpcHealth, ReadsTheVerdictHoweverItIsCut) {
  std::string all = kSettings + kHeaders + kServing + kTrailers;
  for (size_t cut = 1; cut < all.size(); ++cut) {
    GrpcHealthAnswer answer;
    std::string reply;
    if (answer.take(all.substr(0, cut), &reply)) answer.take(all.substr(cut), &reply);
    EXPECT_EQ(answer.status(), 1) << cut;
    EXPECT_EQ(reply, "\0\0\0\4\1\0\0\0\0"s) << cut;
  }
  GrpcHealthAnswer answer;
  std::string reply;
  EXPECT_FALSE(answer.take(kSettings + kHeaders + kNotServing, &reply));
  EXPECT_EQ(answer.status(), 2);
}

TEST(GrpcHealth, AnswersPingsAndTakesAnEndWithoutAnAnswer) {
  GrpcHealthAnswer answer;
  std::string reply;
  EXPECT_TRUE(answer.take("\0\0\x08\6\0\0\0\0\0"s + "12345678", &reply));
  EXPECT_EQ(reply, "\0\0\x08\6\1\0\0\0\0"s + "12345678");
  EXPECT_FALSE(answer.take(kTrailers, &reply));
  EXPECT_EQ(answer.status(), -1);
  GrpcHealthAnswer away;
  EXPECT_FALSE(away.take("\0\0\0\7\0\0\0\0\0"s, &reply));
  GrpcHealthAnswer huge;
  EXPECT_FALSE(huge.take("\xff\xff\xff\0\0\0\0\0\1"s, &reply));
}

}  // namespace
}  // namespace wherry::agent
