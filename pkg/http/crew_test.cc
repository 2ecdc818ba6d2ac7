#include "http/crew.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "http/test_support.h"

namespace wherry::http {
namespace {

using testing::eventually;
using testing::RawClient;
using testing::start_server;

// Answers /quick at once, and everything else when it is let go.
class Slow {
 public:
  explicit Slow(bool says_so) : says_so_(says_so) {}
  Server::Options options() {
    Server::Options options;
    options.workers_max = 32;
    options.handler = [this](Request& request, Response& response) {
      if (request.path != "/quick") {
        ++inside;
        if (says_so_) {
          WaitScope wait;
          stay();
        } else {
          stay();
        }
      }
      response.set_body("text/plain", "answer to " + request.path);
    };
    return options;
  }
  void let_go() {
    MutexLock lock(mutex_);
    free_ = true;
    changed_.notify_all();
  }
  std::atomic<int> inside{0};

 private:
  void stay() {
    MutexLock lock(mutex_);
    changed_.wait(mutex_, std::stop_token(), [this]() NO_THREAD_SAFETY_ANALYSIS { return free_; });
  }

  const bool says_so_;
  Mutex mutex_;
  CondVar changed_;
  bool free_ GUARDED_BY(mutex_) = false;
};

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"; }

// Whether what waits says so or not, all of it is let in, and others are served meanwhile.
void expect_that_all_are_served(bool says_so) {
  constexpr int kSlow = 20;
  Slow slow(says_so);
  auto server = start_server(slow.options());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < kSlow; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->send(get("/slow"));
  }
  EXPECT_TRUE(eventually([&] { return slow.inside == kSlow; }));
  RawClient quick(server->port());
  for (int i = 0; i < 100; ++i) {
    quick.send(get("/quick"));
    ASSERT_NE(quick.read_until("answer to /quick").find("200 OK"), std::string::npos);
  }
  slow.let_go();
  for (auto& client : clients) {
    EXPECT_NE(client->read_until("answer to /slow").find("200 OK"), std::string::npos);
  }
}

TEST(Crew, WhoWaitsMakesRoomForOthers) { expect_that_all_are_served(true); }
TEST(Crew, WhoWaitsWithoutSayingSoIsNoticed) { expect_that_all_are_served(false); }

TEST(Crew, ManyClientsWithShortRequests) {
  Slow slow(true);
  auto server = start_server(slow.options());
  std::vector<std::jthread> clients;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&] {
      RawClient client(server->port());
      for (int n = 0; n < 200; ++n) {
        client.send(get("/quick"));
        if (client.read_until("answer to /quick").empty()) return;
      }
    });
  }
  clients.clear();
  EXPECT_GE(server->counters().requests, 16 * 200U);
}

TEST(Crew, StopsWhileSomeSleepAndSomeWait) {
  for (int round = 0; round < 20; ++round) {
    Slow slow(round % 2 == 0);
    auto server = start_server(slow.options());
    std::array<std::unique_ptr<RawClient>, 6> clients;
    for (auto& client : clients) {
      client = std::make_unique<RawClient>(server->port());
      client->send(get("/slow"));
    }
    ASSERT_TRUE(eventually([&] { return slow.inside == 6; }));
    if (round % 3 == 0) {
      slow.let_go();
    } else {
      std::jthread later([&] { slow.let_go(); });
    }
    server->stop();
  }
}

}  // namespace
}  // namespace wherry::http
