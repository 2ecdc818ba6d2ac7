// What it costs to know who asks, to judge what they may and to admit what they write: a request
// with all of it, and the same one that is neither asked who it is nor refused anything. In this
// process, without HTTP, over a store with a thousand bindings.
//
//   access [ROUNDS]     (20000); prints NAME=MICROSECONDS, of CPU time

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "apiserver/authenticate.h"
#include "apiserver/authorise.h"
#include "apiserver/bootstrap.h"
#include "apiserver/machinery.h"
#include "base/check.h"
#include "os/file.h"

namespace wherry::apiserver {
namespace {

constexpr int kNamespaces = 100;
constexpr int kBindingsEach = 10;
constexpr std::string_view kPod =
    R"({"metadata":{"name":"p","labels":{"app":"web"}},"spec":{"containers":[{"name":"c",)"
    R"("image":"example.com/web:1","resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}]}})";

double cpu_seconds() {
  timespec used{};
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

struct World {
  SystemClock clock;
  os::TempDirectory directory = os::TempDirectory::make().value();
  std::unique_ptr<store::Store> store =
      store::open({.path = directory.path() + "/state.db"}, clock).value();
  Authoriser authoriser{*store};
  TokenIssuer tokens{{pki::Key::generate()}};
  Machinery machinery{*store, clock, {.tokens = &tokens, .authoriser = &authoriser}};
  Machinery admits_all{*store, clock, {.tokens = &tokens, .admission = false}};
  Authenticator authenticator{*store, clock, {.tokens = &tokens}};
  Context context;

  World() {
    CHECK(authoriser.start().ok() && machinery.start().ok() && admits_all.start().ok());
    CHECK(make_bootstrap_objects(machinery).ok());
    context.user = {.name = "maker", .groups = {std::string(kMasters)}};
    make("clusterroles.rbac.authorization.k8s.io", "",
         R"({"metadata":{"name":"worker"},"rules":[{"apiGroups":[""],"resources":["pods"],)"
         R"("verbs":["get","list","watch","create","update"]}]})");
    for (int i = 0; i < kNamespaces; ++i) fill(fmt::format("n{}", i));
  }

  ObjectPtr make(std::string_view resource, const std::string& ns, std::string_view json) {
    json::Document body = json::Document::parse(json).value();
    return machinery.create(context, {&api::resource(resource), ns, {}, {}}, body.root())
        .value()
        .object;
  }
  void fill(const std::string& ns) {
    make("namespaces", "", fmt::format(R"({{"metadata":{{"name":"{}"}}}})", ns));
    make("serviceaccounts", ns, R"({"metadata":{"name":"default"}})");
    for (int i = 0; i < kBindingsEach; ++i) {
      make("rolebindings.rbac.authorization.k8s.io", ns,
           fmt::format(
               R"({{"metadata":{{"name":"b{0}"}},"roleRef":{{"apiGroup":)"
               R"("rbac.authorization.k8s.io","kind":"ClusterRole","name":"worker"}},)"
               R"("subjects":[{{"kind":"ServiceAccount","namespace":"{1}","name":"{2}"}}]}})",
               i, ns, i == 0 ? "default" : fmt::format("other{}", i)));
    }
  }
};

template <typename Step>
double micros_of(int rounds, const Step& step) {
  for (int i = 0; i < rounds / 10; ++i) step();  // Warm.
  double before = cpu_seconds();
  for (int i = 0; i < rounds; ++i) step();
  return (cpu_seconds() - before) / rounds * 1e6;
}

int run(int rounds) {
  World world;
  const std::string ns = "n42";
  ObjectPtr account = world.store->get("serviceaccounts", ns, "default");
  ObjectPtr pod = world.make("pods", ns, kPod);
  http::Request request;
  std::string token = world.tokens.issue({ns, "default", std::string(account->uid())}, {}, {},
                                         world.clock.now(), std::chrono::hours(1));
  request.headers.add("Authorization", "Bearer " + token);
  http::Request shows_certificate;
  auto certificate = std::make_shared<http::PeerCertificate>();
  certificate->common_name = "jane";
  certificate->not_after = world.clock.now() + std::chrono::hours(24);
  shows_certificate.certificate = certificate;

  const Target one{&api::resource("pods"), ns, "p", {}};
  const Target all{&api::resource("pods"), ns, {}, {}};
  json::Document body = json::Document::parse(kPod).value();
  json::Draft renamed(body.root());
  renamed.root()["metadata"].set("name", "q");
  json::Document wanted = renamed.freeze();
  const User user = world.authenticator.authenticate(request).value();
  auto asked = [&](const User& who, std::string_view verb) {
    Attributes out{.user = who, .verb = verb, .path = {}};
    out.is_resource = true;
    out.resource = "pods";
    out.ns = ns;
    return out;
  };
  auto get = [&] { CHECK(world.machinery.get(one).ok()); };
  auto create = [&](Machinery& machinery, User who) {
    Context context;
    context.user = std::move(who);
    CHECK(machinery.create(context, all, wanted.root(), {.dry_run = true}).ok());
  };
  auto print = [](const char* name, double micros) { std::printf("%s=%.2f ", name, micros); };

  print("certificate", micros_of(rounds, [&] {
          CHECK(world.authenticator.authenticate(shows_certificate).ok());
        }));
  print("token", micros_of(rounds, [&] { CHECK(world.authenticator.authenticate(request).ok()); }));
  print("authorise",
        micros_of(rounds, [&] { CHECK(world.authoriser.check(asked(user, "get")).ok()); }));
  print("get", micros_of(rounds, [&] {
          User who = world.authenticator.authenticate(request).value();
          CHECK(world.authoriser.check(asked(who, "get")).ok());
          get();
        }));
  print("get_open", micros_of(rounds, get));
  print("create", micros_of(rounds, [&] {
          User who = world.authenticator.authenticate(request).value();
          CHECK(world.authoriser.check(asked(who, "create")).ok());
          create(world.machinery, std::move(who));
        }));
  print("create_open", micros_of(rounds, [&] { create(world.admits_all, user); }));
  std::printf("\n");
  return 0;
}

}  // namespace
}  // namespace wherry::apiserver

int main(int count, char** words) {
  return wherry::apiserver::run(count > 1 ? std::atoi(words[1]) : 20000);
}
