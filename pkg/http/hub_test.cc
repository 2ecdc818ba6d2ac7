#include "http/hub.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/mutex.h"
#include "http/server.h"
#include "http/test_support.h"

namespace wherry::http {
namespace {

using testing::eventually;
using testing::make_certificate;
using testing::RawClient;
using testing::start_server;

SharedBytes bytes(std::string text) { return std::make_shared<const std::string>(std::move(text)); }

// Hands out watches and remembers them.
class Watches {
 public:
  class Source final : public EventSource {
   public:
    explicit Source(Watches& owner) : owner_(owner) {}
    void ended(HubEnd reason) override {
      MutexLock lock(owner_.mutex_);
      owner_.ends_.push_back(reason);
    }

   private:
    Watches& owner_;
  };

  void handle(Request& request, Response& response) {
    if (request.path != "/watch") return response.set_body("text/plain", "plain " + request.path);
    HubOptions options;
    if (request.query.has("soon")) {
      options.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    }
    auto connection =
        response.hijack_to_hub("application/json", std::make_shared<Source>(*this), options);
    connection->post_unlimited(bytes("initial\n"));
    ++kept;
    response.keep_to_the_end(std::shared_ptr<const void>(nullptr, [this](const void*) { --kept; }));
    if (request.query.has("never")) return response.set_body("text/plain", "none after all");
    MutexLock lock(mutex_);
    open_.push_back(connection);
  }

  std::atomic<int> kept = 0;  // That nobody has let go of.

  std::shared_ptr<HubConnection> get(size_t index) {
    MutexLock lock(mutex_);
    return index < open_.size() ? open_[index] : nullptr;
  }
  size_t count() {
    MutexLock lock(mutex_);
    return open_.size();
  }
  std::vector<HubEnd> ends() {
    MutexLock lock(mutex_);
    return ends_;
  }
  Server::Options options() {
    Server::Options options;
    options.handler = [this](Request& request, Response& response) { handle(request, response); };
    return options;
  }

 private:
  Mutex mutex_;
  std::vector<std::shared_ptr<HubConnection>> open_ GUARDED_BY(mutex_);
  std::vector<HubEnd> ends_ GUARDED_BY(mutex_);
};

constexpr std::string_view kWatch = "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n";

TEST(Hub, EventsArriveInOrderThenTheConnectionServesOn) {
  Watches watches;
  auto server = start_server(watches.options());
  RawClient client(server->port());
  client.send(kWatch);
  std::string head = client.read_until("8\r\ninitial\n\r\n");
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  ASSERT_TRUE(eventually([&] { return watches.get(0) != nullptr; }));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(watches.get(0)->post(bytes(std::to_string(i) + ",")));
  watches.get(0)->close(bytes("bye"));
  EXPECT_FALSE(watches.get(0)->post(bytes("late")));
  std::string answer = client.read_until("0\r\n\r\n");
  std::string joined;
  for (size_t at = 0; at < answer.size();) {
    size_t size = std::stoul(answer.substr(at), nullptr, 16);
    at = answer.find("\r\n", at) + 2;
    joined += answer.substr(at, size);
    at += size + 2;
  }
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += std::to_string(i) + ",";
  EXPECT_EQ(joined, expected + "bye");
  client.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.read_until("plain /next").find("200 OK"), std::string::npos);
  // The connection may serve on a moment before the source hears of the end.
  EXPECT_TRUE(eventually([&] { return watches.ends() == std::vector<HubEnd>{HubEnd::kClosed}; }));
  EXPECT_EQ(server->counters().watches, 0U);
}

TEST(Hub, WhatIsKeptIsLetGoOfAtTheEnd) {
  Watches watches;
  auto server = start_server(watches.options());
  RawClient client(server->port());
  client.send(kWatch);
  client.read_until("8\r\ninitial\n\r\n");
  ASSERT_TRUE(eventually([&] { return watches.get(0) != nullptr; }));
  EXPECT_EQ(watches.kept, 1);
  watches.get(0)->close();
  EXPECT_TRUE(eventually([&] { return watches.kept == 0; }));
  // One that the handler thought better of.
  RawClient other(server->port());
  other.send("GET /watch?never HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(other.read_until("none after all").find("200 OK"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return watches.kept == 0; }));
}

TEST(Hub, NoticesThatThePeerLeft) {
  Watches watches;
  auto server = start_server(watches.options());
  {
    RawClient client(server->port());
    client.send(kWatch);
    client.read_until("initial");
    EXPECT_EQ(server->counters().watches, 1U);
  }
  EXPECT_TRUE(eventually([&] { return watches.ends() == std::vector<HubEnd>{HubEnd::kPeerLeft}; }));
  EXPECT_TRUE(watches.get(0)->ended());
  EXPECT_FALSE(watches.get(0)->post(bytes("x")));
}

TEST(Hub, SlowReadersAreCutOff) {
  Watches watches;
  auto server = start_server(watches.options());
  RawClient client(server->port());
  client.send(kWatch);
  client.read_until("initial");
  auto piece = bytes(std::string(100'000, 'x'));
  int posted = 0;
  while (watches.get(0)->post(piece) && posted < 10'000) {
    ++posted;
    if (posted % 5 == 0) eventually([n = 0]() mutable { return n++ > 0; });
  }
  EXPECT_LT(posted, 10'000);
  EXPECT_TRUE(eventually([&] { return watches.ends() == std::vector<HubEnd>{HubEnd::kOverflow}; }));
}

TEST(Hub, DeadlineEndsTheBodyCleanly) {
  Watches watches;
  auto server = start_server(watches.options());
  RawClient client(server->port());
  client.send("GET /watch?soon HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.read_until("0\r\n\r\n").ends_with("0\r\n\r\n"));
  EXPECT_TRUE(eventually([&] { return watches.ends() == std::vector<HubEnd>{HubEnd::kClosed}; }));
}

TEST(Hub, StopTellsEverySource) {
  Watches watches;
  auto server = start_server(watches.options());
  RawClient one(server->port());
  RawClient two(server->port());
  one.send(kWatch);
  two.send(kWatch);
  one.read_until("initial");
  two.read_until("initial");
  server->stop();
  EXPECT_EQ(watches.ends(), (std::vector<HubEnd>{HubEnd::kStopped, HubEnd::kStopped}));
  EXPECT_TRUE(one.read_all().ends_with("0\r\n\r\n"));
  auto handle = watches.get(0);
  server.reset();
  EXPECT_FALSE(handle->post(bytes("x")));  // A handle may outlive the server.
}

TEST(Hub, HeadAndAbortAndDiscard) {
  Watches watches;
  auto server = start_server(watches.options());
  RawClient client(server->port());
  client.send("HEAD /watch HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.read_until("\r\n\r\n").find("chunked"), std::string::npos);
  ASSERT_TRUE(eventually([&] { return watches.get(0) != nullptr && watches.get(0)->ended(); }));
  EXPECT_TRUE(watches.ends().empty());
  client.send(kWatch);
  client.read_until("initial");
  watches.get(1)->abort();
  client.read_all();
  EXPECT_TRUE(eventually([&] { return watches.ends() == std::vector<HubEnd>{HubEnd::kClosed}; }));
}

TEST(Hub, ManyWatchersOverTlsGetEveryEvent) {
  constexpr int kWatchers = 40;
  constexpr int kEvents = 200;
  auto certificate = make_certificate("localhost");
  Watches watches;
  Server::Options options = watches.options();
  options.tls = std::make_shared<TlsCredentials>(
      TlsCredentials{certificate.certificate_pem, certificate.key_pem, {}});
  auto server = start_server(std::move(options));
  ClientOptions client_options;
  client_options.ca_pem = certificate.certificate_pem;
  Client client(client_options);
  std::atomic<int> complete{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < kWatchers; ++i) {
    threads.emplace_back([&] {
      ClientRequest request;
      request.url = fmt::format("https://127.0.0.1:{}/watch", server->port());
      std::string got;
      auto result = client.stream(request, [&](std::string_view piece) {
        got += piece;
        return true;
      });
      std::string expected = "initial\n";
      for (int e = 0; e < kEvents; ++e)
        expected += std::string(1000, static_cast<char>('a' + e % 26)) + "\n";
      if (result.ok() && got == expected) ++complete;
    });
  }
  ASSERT_TRUE(eventually([&] { return watches.count() == kWatchers; }));
  for (int e = 0; e < kEvents; ++e) {
    auto event = bytes(std::string(1000, static_cast<char>('a' + e % 26)) + "\n");
    for (size_t i = 0; i < kWatchers; ++i) watches.get(i)->post(event);
  }
  for (size_t i = 0; i < kWatchers; ++i) watches.get(i)->close();
  threads.clear();
  EXPECT_EQ(complete, kWatchers);
}

TEST(Client, AWatchStopsWhenAsked) {
  Watches watches;
  auto server = start_server(watches.options());
  Client client(ClientOptions{});
  ClientRequest request;
  request.url = fmt::format("http://127.0.0.1:{}/watch", server->port());
  std::atomic<bool> started{false};
  std::jthread watcher([&](const std::stop_token& stop) {
    Result<ClientResponse> result = client.stream(
        request,
        [&](std::string_view) {
          started = true;
          return true;
        },
        stop);
    EXPECT_FALSE(result.ok());
  });
  ASSERT_TRUE(eventually([&] { return started.load(); }));
  watcher.request_stop();
  watcher.join();
  // The writer's own false is no error.
  Result<ClientResponse> ended = client.stream(request, [](std::string_view) { return false; });
  EXPECT_TRUE(ended.ok());
  request.idle_timeout = std::chrono::milliseconds(50);
  ended = client.stream(request, [](std::string_view) { return true; });
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code(), Code::kTimeout);
}

}  // namespace
}  // namespace wherry::http
