#include "apiserver/routes.h"

#include <gtest/gtest.h>

#include "apiserver/continue_token.h"
#include "apiserver/negotiate.h"
#include "base/log.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

http::Request request(std::string method, std::string_view target) {
  http::Request out;
  out.method = std::move(method);
  auto parts = split_once(target, "?");
  std::string_view path = parts ? parts->first : target;
  if (parts) out.query = http::Query::parse(parts->second).value();
  for (std::string_view segment : split(path.substr(1), '/')) {
    if (!segment.empty()) out.segments.emplace_back(segment);
  }
  return out;
}

TEST(Routes, TellTheVerb) {
  EXPECT_EQ(find_route(request("GET", "/api/v1/pods")).verb, "list");
  EXPECT_EQ(find_route(request("GET", "/api/v1/pods?watch=1")).verb, "watch");
  // Only these say no, as everywhere; whoever may list must not get a watch by a word.
  for (const char* word : {"yes", "no", "off", "00", "", "True"}) {
    Route route = find_route(request("GET", fmt::format("/api/v1/pods?watch={}", word)));
    EXPECT_EQ(route.verb, "watch") << word;
    EXPECT_EQ(route.asked_verb, "watch") << word;
  }
  for (const char* word : {"0", "false", "FALSE", "false&watch=true"}) {
    Route route = find_route(request("GET", fmt::format("/api/v1/pods?watch={}", word)));
    EXPECT_EQ(route.verb, "list") << word;
    EXPECT_EQ(route.asked_verb, "list") << word;
  }
  EXPECT_EQ(find_route(request("GET", "/api/v1/watch/pods")).verb, "watch");
  EXPECT_EQ(find_route(request("GET", "/api/v1/namespaces/a/pods/b")).verb, "get");
  EXPECT_EQ(find_route(request("DELETE", "/api/v1/namespaces/a/pods")).verb, "deletecollection");
  EXPECT_EQ(find_route(request("POST", "/apis/apps/v1/namespaces/a/deployments")).verb, "create");
  EXPECT_EQ(find_route(request("POST", "/api/v1/namespaces/a/pods/b/exec")).verb, "connect");
}

TEST(Routes, NamespacesAreInsideThemselves) {
  Route route = find_route(request("PUT", "/api/v1/namespaces/a/finalize"));
  EXPECT_EQ(route.plural, "namespaces");
  EXPECT_EQ(route.target.name, "a");
  EXPECT_EQ(route.target.subresource, "finalize");
  EXPECT_TRUE(route.target.ns.empty());
  EXPECT_EQ(find_route(request("GET", "/api/v1/namespaces/a")).target.name, "a");
}

TEST(Routes, KnowWhatIsNotThere) {
  EXPECT_TRUE(find_route(request("GET", "/api/v1/foo")).unknown);
  EXPECT_TRUE(find_route(request("GET", "/api/v1/namespaces/a/nodes")).unknown);
  EXPECT_TRUE(find_route(request("GET", "/api/v1/pods/a")).unknown);
  EXPECT_TRUE(find_route(request("GET", "/api/v1/namespaces/a/pods/b/log/c")).unknown);
  EXPECT_TRUE(find_route(request("POST", "/api/v1/pods")).wrong_method);
  EXPECT_TRUE(find_route(request("PUT", "/api/v1/namespaces/a/pods/b/log")).wrong_method);
  EXPECT_FALSE(find_route(request("GET", "/version")).is_resource);
}

TEST(Negotiation, TakesTheFirstFormOnOffer) {
  http::Request table = request("GET", "/api/v1/pods");
  table.headers.add(
      "Accept",
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;"
      "g=meta.k8s.io,application/json");
  EXPECT_EQ(negotiate(table, {}).value().form, Form::kTable);
  EXPECT_EQ(negotiate(table, {.table = false}).value().form, Form::kObject);
  http::Request protobuf = request("GET", "/api/v1/pods");
  protobuf.headers.add("Accept", "application/vnd.kubernetes.protobuf,application/json");
  EXPECT_EQ(negotiate(protobuf, {}).value().media, MediaType::kProtobuf);
  http::Request html = request("GET", "/api/v1/pods");
  html.headers.add("Accept", "text/html");
  EXPECT_EQ(negotiate(html, {}).error().code(), Code::kNotAcceptable);
  http::Request browser = request("GET", "/api/v1/pods");
  browser.headers.add("Accept", "text/html,*/*;q=0.8");
  EXPECT_EQ(negotiate(browser, {}).value().media, MediaType::kJson);
}

TEST(ContinueToken, ComesBackAsItWas) {
  ContinueToken token{42, "default", "web"};
  ContinueToken same = decode_continue(encode_continue(token)).value();
  EXPECT_EQ(same.revision, 42);
  EXPECT_EQ(same.ns, "default");
  EXPECT_EQ(same.name, "web");
  EXPECT_EQ(decode_continue(encode_continue({-1, "", "node"})).value().name, "node");
  for (const char* bad : {"x", "", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0"}) {
    EXPECT_FALSE(decode_continue(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace wherry::apiserver
