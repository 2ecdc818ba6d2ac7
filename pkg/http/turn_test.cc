#include "http/turn.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "http/test_support.h"

namespace wherry::http {
namespace {

using testing::eventually;
using testing::RawClient;
using testing::start_server;

// Requests for /wait wait for their turn; everything else is answered at once.
class Waiting {
 public:
  explicit Waiting(std::chrono::milliseconds limit) : limit_(limit) {}
  Server::Options options() {
    Server::Options options;
    options.workers_max = 2;
    options.handler = [this](Request& request, Response& response) {
      if (request.path != "/wait") return response.set_body("text/plain", std::string("at once"));
      if (request.turn == nullptr) {
        auto turn = std::make_shared<Turn>(std::chrono::steady_clock::now() + limit_);
        if (grants_itself) turn->grant();
        {
          MutexLock lock(mutex_);
          turns_.push_back(turn);
        }
        return response.wait_for(turn);
      }
      bool granted = request.turn->granted();
      response.set_body("text/plain", granted ? "granted " + request.body : std::string("expired"));
    };
    return options;
  }
  size_t count() {
    MutexLock lock(mutex_);
    return turns_.size();
  }
  // Null once nobody holds it any more.
  std::shared_ptr<Turn> get(size_t at) {
    MutexLock lock(mutex_);
    return turns_[at].lock();
  }
  std::atomic<bool> grants_itself{false};

 private:
  const std::chrono::milliseconds limit_;
  Mutex mutex_;
  std::vector<std::weak_ptr<Turn>> turns_ GUARDED_BY(mutex_);
};

constexpr std::string_view kWait =
    "POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
constexpr std::string_view kOther = "GET /other HTTP/1.1\r\nHost: h\r\n\r\n";

TEST(Turn, WaitingRequestsCostNoWorkerAndAreServedWhenGranted) {
  Waiting waiting(std::chrono::seconds(60));
  auto server = start_server(waiting.options());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (size_t i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->send(kWait);
    ASSERT_TRUE(eventually([&] { return waiting.count() == i + 1; }));
  }
  RawClient other(server->port());
  other.send(kOther);
  EXPECT_NE(other.read_until("at once").find("200 OK"), std::string::npos);
  for (size_t i = clients.size(); i-- > 0;) {
    std::shared_ptr<Turn> turn = waiting.get(i);
    ASSERT_NE(turn, nullptr);
    turn->grant();
    turn.reset();
    EXPECT_NE(clients[i]->read_until("granted body").find("200 OK"), std::string::npos);
    // The connection serves on.
    clients[i]->send(kOther);
    EXPECT_NE(clients[i]->read_until("at once").find("200 OK"), std::string::npos);
    EXPECT_TRUE(eventually([&] { return waiting.get(i) == nullptr; }));
  }
}

TEST(Turn, GrantedBeforeTheConnectionIsParked) {
  Waiting waiting(std::chrono::seconds(60));
  waiting.grants_itself = true;
  auto server = start_server(waiting.options());
  RawClient client(server->port());
  for (int i = 0; i < 50; ++i) {
    client.send(kWait);
    ASSERT_NE(client.read_until("granted body").find("200 OK"), std::string::npos);
  }
}

TEST(Turn, TheHandlerHearsOfTheDeadline) {
  Waiting waiting(std::chrono::milliseconds(10));
  auto server = start_server(waiting.options());
  RawClient client(server->port());
  client.send(kWait);
  EXPECT_NE(client.read_until("expired").find("200 OK"), std::string::npos);
}

TEST(Turn, IsLetGoOfWhenTheClientLeavesAndAtTheStop) {
  Waiting waiting(std::chrono::seconds(60));
  auto server = start_server(waiting.options());
  {
    RawClient client(server->port());
    client.send(kWait);
    ASSERT_TRUE(eventually([&] { return waiting.count() == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return waiting.get(0) == nullptr; }));
  RawClient client(server->port());
  client.send(kWait);
  ASSERT_TRUE(eventually([&] { return waiting.count() == 2; }));
  std::shared_ptr<Turn> turn = waiting.get(1);
  server->stop();
  server.reset();
  if (turn != nullptr) turn->grant();  // A turn may outlive the server.
  EXPECT_EQ(client.read_all(), "");
}

// Requests wait for a brief turn, and are told how it was.
TEST(Turn, ABriefOneComesEvenWhenTheClientHasGoneOrTheServerStops) {
  Mutex mutex;
  std::vector<std::shared_ptr<Turn>> turns;
  std::atomic<int> came{0};
  Server::Options options;
  options.handler = [&](Request& request, Response& response) {
    if (request.turn == nullptr) {
      auto turn = std::make_shared<Turn>(std::chrono::steady_clock::now() + std::chrono::hours(1),
                                         Turn::Length::kBrief);
      response.wait_for(turn);
      MutexLock lock(mutex);
      turns.push_back(std::move(turn));
      return;
    }
    ++came;
    response.set_body("text/plain", request.turn->granted() ? "it came" : "it did not");
  };
  auto taken = [&](size_t count) {
    return eventually([&] {
      MutexLock lock(mutex);
      return turns.size() == count;
    });
  };
  auto server = start_server(std::move(options));
  {
    RawClient gone(server->port());
    gone.send(kWait);
    ASSERT_TRUE(taken(1));
  }
  RawClient client(server->port());
  client.send(kWait);
  ASSERT_TRUE(taken(2));
  {
    MutexLock lock(mutex);
    for (const auto& turn : turns) turn->grant();
  }
  EXPECT_NE(client.read_until("it came").find("200 OK"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return came == 2; }));

  client.send(kWait);
  ASSERT_TRUE(taken(3));
  std::jthread later([&] {
    poll(nullptr, 0, 20);  // By then stop() waits; if not, it comes out the same.
    MutexLock lock(mutex);
    turns.back()->grant();
  });
  server->stop(std::chrono::seconds(60));
  EXPECT_EQ(came, 3);
  EXPECT_NE(client.read_all().find("it came"), std::string::npos);
}

// A turn that is let go of gives another its own, as seats do; the first has been granted, and no
// worker is free to see it before the server stops.
TEST(Turn, LettingGoAtTheStopMayGrantAnother) {
  struct PassedOn final : Turn {
    explicit PassedOn(std::shared_ptr<Turn> heir)
        : Turn(std::chrono::steady_clock::now() + std::chrono::hours(1)), heir_(std::move(heir)) {}
    ~PassedOn() override {
      if (heir_ != nullptr) heir_->grant();
    }
    const std::shared_ptr<Turn> heir_;
  };
  Mutex mutex;
  CondVar changed;
  bool free = false;
  std::atomic<int> blocked{0};
  auto heir = std::make_shared<PassedOn>(nullptr);
  std::weak_ptr<Turn> first;
  std::atomic<int> waiting{0};
  Server::Options options;
  options.workers_max = 2;
  options.handler = [&](Request& request, Response& response) {
    if (request.path == "/block") {
      ++blocked;
      MutexLock lock(mutex);
      changed.wait(mutex, std::stop_token(), [&]() NO_THREAD_SAFETY_ANALYSIS { return free; });
      return response.set_body("text/plain", std::string("free"));
    }
    if (request.path == "/heir") {
      response.wait_for(heir);
    } else {
      auto turn = std::make_shared<PassedOn>(heir);
      first = turn;
      response.wait_for(std::move(turn));
    }
    ++waiting;
  };
  auto server = start_server(std::move(options));
  std::vector<std::unique_ptr<RawClient>> clients;
  auto ask = [&](std::string_view path) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->send(fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path));
  };
  ask("/heir");
  ASSERT_TRUE(eventually([&] { return waiting == 1; }));
  ask("/first");
  ASSERT_TRUE(eventually([&] { return waiting == 2 && server->counters().parked == 2; }));
  for (int i = 1; i <= 2; ++i) {
    ask("/block");
    ASSERT_TRUE(eventually([&] { return blocked == i; }));
  }
  first.lock()->grant();
  std::jthread later([&] {
    (void)eventually([&] { return server->counters().parked == 0; });
    MutexLock lock(mutex);
    free = true;
    changed.notify_all();
  });
  server->stop();
  EXPECT_TRUE(heir->granted());
}

TEST(Turn, WhatAResponseHoldsIsLetGoOfWhenTheClientDoesNotTakeMore) {
  std::atomic<int> held{0};
  Server::Options options;
  options.handler = [&](Request& request, Response& response) {
    ++held;
    response.hold(std::shared_ptr<const void>(nullptr, [&](const void*) { --held; }));
    size_t size = request.path == "/big" ? 16U << 20 : 10U;
    response.set_body("text/plain", std::string(size, 'x'));
  };
  auto server = start_server(std::move(options));
  RawClient slow(server->port());
  slow.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  slow.read_until("HTTP");
  EXPECT_TRUE(eventually([&] { return held == 0; }));
  RawClient quick(server->port());
  quick.send("GET /small HTTP/1.1\r\nHost: h\r\n\r\n");
  quick.read_until("xxxxxxxxxx");
  EXPECT_TRUE(eventually([&] { return held == 0; }));
}

}  // namespace
}  // namespace wherry::http
