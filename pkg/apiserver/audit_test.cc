#include "apiserver/audit.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/strings.h"
#include "http/turn.h"
#include "os/file.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kPolicy = R"(apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:kube-proxy"]
  verbs: [watch]
- level: Metadata
  resources:
  - group: ""
    resources: [secrets, "serviceaccounts/token"]
- level: Request
  namespaces: [prod]
  userGroups: [dev]
- level: None
  nonResourceURLs: ["/healthz*", "/version"]
- level: RequestResponse
  resources:
  - group: apps
    resources: ["*/scale"]
- level: Metadata
  omitStages: [ResponseStarted]
)";

http::Request request_of(const std::string& method, const std::string& path) {
  http::Request request;
  request.method = method;
  request.target = request.path = path;
  for (std::string_view segment : split(std::string_view(path).substr(1), '/'))
    request.segments.emplace_back(segment);
  return request;
}

std::string level_of(const AuditPolicy& policy, const User& user, const std::string& method,
                     const std::string& path) {
  return std::string(name_of(policy.decide(user, find_route(request_of(method, path))).level));
}

TEST(AuditPolicy, TheFirstRuleThatFitsDecides) {
  AuditPolicy policy = AuditPolicy::parse(kPolicy).value();
  User joe{.name = "joe", .groups = {"dev"}};
  User ann{.name = "ann"};
  EXPECT_EQ(level_of(policy, joe, "GET", "/api/v1/namespaces/prod/secrets/x"), "Metadata");
  EXPECT_EQ(level_of(policy, joe, "GET", "/api/v1/namespaces/prod/pods/x"), "Request");
  EXPECT_EQ(level_of(policy, ann, "GET", "/api/v1/namespaces/prod/pods/x"), "Metadata");
  EXPECT_EQ(level_of(policy, ann, "POST", "/api/v1/namespaces/a/serviceaccounts/x/token"),
            "Metadata");
  EXPECT_EQ(level_of(policy, ann, "GET", "/healthz/ping"), "None");
  EXPECT_EQ(level_of(policy, ann, "GET", "/version"), "None");
  EXPECT_EQ(level_of(policy, ann, "GET", "/metrics"), "Metadata");
  EXPECT_EQ(level_of(policy, ann, "PUT", "/apis/apps/v1/namespaces/a/deployments/x/scale"),
            "RequestResponse");
}

TEST(AuditPolicy, MistakesAreNamed) {
  auto error_of = [](std::string_view rules) {
    return AuditPolicy::parse("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n" +
                              std::string(rules))
        .error()
        .message();
  };
  EXPECT_EQ(error_of("- level: Everything\n"),
            "rules[0].level: \"Everything\" is none of None, Metadata, Request, RequestResponse");
  EXPECT_EQ(error_of("- level: None\n- level: None\n  omitStages: [Later]\n"),
            "rules[1].omitStages: \"Later\" is no stage");
  EXPECT_EQ(error_of("- level: None\n  namespaces: [a]\n  nonResourceURLs: [/x]\n"),
            "rules[0]: a rule is either for resources or for nonResourceURLs");
  EXPECT_FALSE(AuditPolicy::parse("kind: Policy").ok());
}

class AuditLogTest : public testing::Test {
 protected:
  std::string path() { return folder_.path() + "/audit.log"; }
  // What was recorded, once the log has written it.
  std::vector<json::Document> events_of(AuditLog& log) {
    CHECK(log.start().ok());
    log.stop();
    std::vector<json::Document> out;
    std::string text = os::read_file(path()).value();
    for (std::string_view line : split(text, '\n')) {
      if (!line.empty()) out.push_back(json::Document::parse(line).value());
    }
    return out;
  }
  std::vector<std::string> files() { return os::list_directory(folder_.path()).value(); }

  os::TempDirectory folder_ = os::TempDirectory::make().value();
  FakeClock clock_;
};

TEST_F(AuditLogTest, RotatesAndKeepsSome) {
  {
    AuditLog log({.path = path(), .bytes_max = 100, .backups_max = 2}, clock_);
    ASSERT_TRUE(log.start().ok());
    for (int i = 0; i < 10; ++i) {
      log.write(std::string(59, static_cast<char>('a' + i)) + "\n");
      clock_.advance(std::chrono::seconds(1));
    }
  }
  std::vector<std::string> names = files();
  // Names carry the time, which several lines of one batch share.
  EXPECT_GE(names.size(), 2U);
  EXPECT_LE(names.size(), 3U);
  EXPECT_EQ(os::read_file(path()).value(), std::string(59, 'j') + "\n");
  struct stat info {};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(AuditLogTest, AFullQueueDropsAndCounts) {
  AuditLog log({.path = path(), .queue_bytes_max = 10}, clock_);
  log.write("12345678\n");
  log.write("12345678\n");
  EXPECT_EQ(log.dropped(), 1U);
  ASSERT_TRUE(log.start().ok());
  log.stop();
  EXPECT_EQ(os::read_file(path()).value(), "12345678\n");
}

TEST_F(AuditLogTest, AnEventSaysWhoDidWhat) {
  AuditLog log({.path = path()}, clock_);
  Auditor auditor(AuditPolicy::parse("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
                                     "- level: RequestResponse\n  omitManagedFields: true\n")
                      .value(),
                  log, clock_);
  http::Request request = request_of("PUT", "/api/v1/namespaces/a/configmaps/x");
  request.body = R"({"metadata":{"name":"x","managedFields":[1]}})";
  request.peer_address = "192.0.2.7";
  Route route = find_route(request);
  AuditRecord record(&auditor, request, route, "id-1");
  record.asked_by({.name = "ann", .groups = {"g"}});
  record.acts_as({.name = "joe"});
  record.decided(true, "because");
  record.notes()->add("example.com/said", "once");
  record.notes()->add("example.com/said", "again");
  http::Response response;
  response.set_body("application/json", std::string(R"({"metadata":{"name":"x"}})"));
  record.answered(response);
  std::vector<json::Document> events = events_of(log);
  ASSERT_EQ(events.size(), 2U);
  const json::Document& first = events[0];
  EXPECT_EQ(first.root()["stage"].as_string(), "RequestReceived");
  EXPECT_FALSE(first.root()["requestObject"]);
  const json::Document& last = events[1];
  json::Value event = last.root();
  EXPECT_EQ(event["stage"].as_string(), "ResponseComplete");
  EXPECT_EQ(event["verb"].as_string(), "update");
  EXPECT_EQ(event["user"]["username"].as_string(), "ann");
  EXPECT_EQ(event["impersonatedUser"]["username"].as_string(), "joe");
  EXPECT_EQ(event["sourceIPs"].at(0).as_string(), "192.0.2.7");
  EXPECT_EQ(event["objectRef"].dump(),
            R"({"resource":"configmaps","namespace":"a","name":"x","apiVersion":"v1"})");
  EXPECT_EQ(event["requestObject"].dump(), R"({"metadata":{"name":"x"}})");
  EXPECT_EQ(event["responseObject"].dump(), R"({"metadata":{"name":"x"}})");
  EXPECT_EQ(event["responseStatus"]["code"].as_int(), 200);
  EXPECT_EQ(event["annotations"].dump(),
            R"({"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"because",)"
            R"("example.com/said":"once"})");
}

TEST_F(AuditLogTest, ARequestThatWaitedIsReceivedOnce) {
  AuditLog log({.path = path()}, clock_);
  Auditor auditor(AuditPolicy::parse("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
                                     "- level: Metadata\n")
                      .value(),
                  log, clock_);
  http::Request request = request_of("GET", "/api/v1/nodes");
  request.received = clock_.monotonic();
  Route route = find_route(request);
  {
    AuditRecord record(&auditor, request, route, "id-1");
    record.asked_by({.name = "ann"});
  }
  clock_.advance(std::chrono::seconds(2));
  request.turn = std::make_shared<http::Turn>(clock_.monotonic());
  AuditRecord record(&auditor, request, route, "id-1");
  record.asked_by({.name = "ann"});
  record.decided(false, "");
  http::Response response;
  response.status = 403;
  response.set_body("application/json",
                    std::string(R"({"kind":"Status","message":"no","reason":"Forbidden"})"));
  record.answered(response);
  std::vector<json::Document> events = events_of(log);
  ASSERT_EQ(events.size(), 2U);
  const json::Document& last = events[1];
  EXPECT_EQ(last.root()["stage"].as_string(), "ResponseComplete");
  EXPECT_EQ(last.root()["requestReceivedTimestamp"].as_string(),
            format_micro_time(clock_.now() - std::chrono::seconds(2)));
  EXPECT_EQ(last.root()["annotations"]["authorization.k8s.io/decision"].as_string(), "forbid");
  EXPECT_EQ(last.root()["responseStatus"].dump(),
            R"({"metadata":{},"message":"no","reason":"Forbidden","code":403})");
}

}  // namespace
}  // namespace wherry::apiserver
