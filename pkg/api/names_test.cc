#include "api/names.h"

#include <gtest/gtest.h>

namespace wherry::api {
namespace {

TEST(Names, Labels) {
  EXPECT_TRUE(is_dns_label("a-1"));
  EXPECT_FALSE(is_dns_label("-a"));
  EXPECT_FALSE(is_dns_label("A"));
  EXPECT_FALSE(is_dns_label(std::string(64, 'a')));
  EXPECT_EQ(dns_label_problems("a.b"), Problems{"must not contain dots"});
  EXPECT_EQ(dns_label_problems(std::string(64, 'a')),
            Problems{"must be no more than 63 characters"});
}

TEST(Names, Subdomains) {
  EXPECT_TRUE(is_dns_subdomain("a.b-c.1"));
  EXPECT_FALSE(is_dns_subdomain("a..b"));
  EXPECT_FALSE(is_dns_subdomain(""));
}

TEST(Names, QualifiedNames) {
  for (const char* good : {"a", "A.b_c-d", "example.com/x", "k8s.io/A"}) {
    EXPECT_TRUE(qualified_name_problems(good).empty()) << good;
  }
  for (const char* bad : {"", "-a", "a b", "/a", "a/", "a/b/c", "A.com/x"}) {
    EXPECT_FALSE(qualified_name_problems(bad).empty()) << bad;
  }
}

TEST(Names, LabelValues) {
  EXPECT_TRUE(label_value_problems("").empty());
  EXPECT_TRUE(label_value_problems("a_B.1").empty());
  EXPECT_FALSE(label_value_problems("a b").empty());
  EXPECT_FALSE(label_value_problems(std::string(64, 'a')).empty());
}

TEST(Names, ConfigKeys) {
  EXPECT_TRUE(config_key_problems("a.b_C-1").empty());
  EXPECT_EQ(config_key_problems(".."), Problems{"must not be '..'"});
  EXPECT_EQ(config_key_problems("..a"), Problems{"must not start with '..'"});
  EXPECT_FALSE(config_key_problems("a/b").empty());
}

TEST(Names, PathSegments) {
  EXPECT_TRUE(path_segment_problems("system:a").empty());
  EXPECT_EQ(path_segment_problems("a/b%"),
            (Problems{"may not contain '/'", "may not contain '%'"}));
}

TEST(Names, Addresses) {
  EXPECT_TRUE(is_ipv4("10.1.2.3"));
  EXPECT_FALSE(is_ipv4("10.1.2"));
  EXPECT_TRUE(is_ipv6("2001:db8::1"));
  EXPECT_FALSE(is_ipv6("10.1.2.3"));
}

}  // namespace
}  // namespace wherry::api
