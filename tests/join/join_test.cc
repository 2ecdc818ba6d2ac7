// Joining a real API server over TLS, and streams through the tunnel to a node that is made up.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

#include "client/remote_client.h"
#include "cluster/join_client.h"
#include "cluster/tunnel_client.h"
#include "cluster/tunnel_server.h"
#include "os/poll.h"
#include "testbed.h"

namespace wherry {
namespace {

using test::eventually;

std::pair<os::Fd, os::Fd> socket_pair() {
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
  return {os::Fd(fds[0]), os::Fd(fds[1])};
}

// Reads until the end of file, or until `size` bytes are there; at most ten seconds for each piece.
std::string read_text(int fd, size_t size = SIZE_MAX) {
  std::string out;
  char buffer[65536];
  while (out.size() < size && os::wait_for(fd, POLLIN, std::chrono::seconds(10)).value()) {
    ssize_t got = read(fd, buffer, std::min(sizeof buffer, size - out.size()));
    if (got <= 0) break;
    out.append(buffer, static_cast<size_t>(got));
  }
  return out;
}

void write_text(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t went = write(fd, text.data(), text.size());
    if (went < 0 && errno == EAGAIN) {
      ASSERT_TRUE(os::wait_for(fd, POLLOUT, std::chrono::seconds(10)).value());
      continue;
    }
    ASSERT_GT(went, 0);
    text.remove_prefix(static_cast<size_t>(went));
  }
}

// Processes that the test itself plays.
class MadeUpNode final : public client::NodeApi {
 public:
  struct Process {
    os::Fd in, out, errors;  // The process' own ends.
    std::optional<os::EventFd> exit;
    int code = 0;
    uint16_t width = 0, height = 0;
    bool input_closed = false;
    bool hung_up = false;
  };

  class Session final : public client::ExecSession {
   public:
    Session(MadeUpNode& node, os::Fd in, os::Fd out, os::Fd errors)
        : node_(node), in_(std::move(in)), out_(std::move(out)), errors_(std::move(errors)) {}
    ~Session() override {
      MutexLock lock(node_.mutex);
      node_.process.hung_up = true;
    }
    int stdin_fd() const override { return in_.get(); }
    int stdout_fd() const override { return out_.get(); }
    int stderr_fd() const override { return errors_.get(); }
    void close_stdin() override {
      shutdown(in_.get(), SHUT_WR);
      MutexLock lock(node_.mutex);
      node_.process.input_closed = true;
    }
    void resize(uint16_t width, uint16_t height) override {
      MutexLock lock(node_.mutex);
      node_.process.width = width;
      node_.process.height = height;
    }
    int exit_fd() const override { return node_.process.exit->fd(); }
    Result<int> exit_code() override { return node_.process.code; }

   private:
    MadeUpNode& node_;
    os::Fd in_, out_, errors_;
  };

  Result<void> logs(const client::ContainerRef& container, const client::LogOptions& options,
                    const std::function<bool(std::string_view)>& write,
                    const std::function<bool()>& stopped) override {
    if (container.container == "missing") return Error::not_found("no log of missing");
    write("lines " + std::to_string(options.tail_lines.value_or(-1)) + "\n");
    while (options.follow && !stopped()) {
      if (!write("again\n")) break;
      timespec little{0, 2'000'000};
      nanosleep(&little, nullptr);  // tidy: allow(sleep): a log that grows
    }
    ++logs_ended;
    return {};
  }
  Result<std::unique_ptr<client::ExecSession>> exec(const client::ContainerRef&,
                                                    const client::ExecOptions& options) override {
    if (options.command.at(0) == "none") return Error::not_found("no such program");
    auto [in_ours, in_theirs] = socket_pair();
    auto [out_ours, out_theirs] = socket_pair();
    auto [errors_ours, errors_theirs] = socket_pair();
    MutexLock lock(mutex);
    process = {};
    process.in = std::move(in_theirs);
    process.out = std::move(out_theirs);
    process.errors = std::move(errors_theirs);
    process.exit = os::EventFd::open().value();
    if (!options.stdin_on) in_ours.reset();
    return std::unique_ptr<client::ExecSession>(
        new Session(*this, std::move(in_ours), std::move(out_ours), std::move(errors_ours)));
  }
  Result<std::unique_ptr<client::ExecSession>> attach(const client::ContainerRef&,
                                                      const client::ExecOptions&) override {
    return Error::conflict("it does not run");
  }
  Result<os::Fd> dial(const client::ContainerRef&, uint16_t port) override {
    if (port == 1) return Error::unavailable("connection refused");
    auto [ours, theirs] = socket_pair();
    MutexLock lock(mutex);
    dialled = std::move(theirs);
    return std::move(ours);
  }

  Mutex mutex;
  Process process;
  os::Fd dialled;
  std::atomic<int> logs_ended = 0;
};

class JoinTest : public ::testing::Test {
 protected:
  JoinTest()
      : plane([this](test::ControlPlane& made, apiserver::ApiServer::Options& options) {
          open(made, options);
        }) {
    cluster::JoinServer::Options wish{
        token,
        [this] { return plane.credentials().server_ca_pem; },
        [this] { return plane.credentials().client_ca; },
        {"10.42.0.0/16", "10.43.0.0/16", "10.43.0.10", "cluster.local"}};
    server = std::make_unique<cluster::JoinServer>(
        cluster::JoinServer::make(std::move(wish), *plane.admin, plane.clock()).value());
  }
  ~JoinTest() override {
    agent.reset();
    tunnels.stop();
    plane.stop();
  }

  void open(test::ControlPlane& made, apiserver::ApiServer::Options& options) {
    using apiserver::User;
    if (token.empty()) {
      token = cluster::prepare_token(made.folder() + "/token", "", made.credentials().server_ca_pem)
                  .value();
    }
    options.nodes = &tunnels;
    options.pages = {
        {"/v1-wherry/ca", [this](const User&, http::Request&,
                                 http::Response& response) { return server->answer_ca(response); }},
        {"/v1-wherry/join",
         [this](const User& user, http::Request& request, http::Response& response) {
           return server->answer_join(user.name, user.groups, request, response);
         }},
        {"/v1-wherry/tunnel",
         [this](const User& user, http::Request& request, http::Response& response) {
           return tunnels.answer_tunnel(user.name.substr(12), request, response);
         }},
        {"/v1-wherry/session",
         [this](const User& user, http::Request& request, http::Response& response) {
           return tunnels.answer_session(user.name.substr(12), request, response);
         }},
    };
  }

  cluster::JoinOptions machine(const std::string& name, const std::string& as) {
    return {plane.folder() + "/" + name, plane.url(), token, as};
  }

  // A joined agent whose tunnel stands.
  client::NodeApi* connected() {
    cluster::Joined joined =
        cluster::join(machine("one", "node-1"), nullptr, plane.clock()).value();
    http::ClientOptions options;
    options.ca_pem = joined.server_ca_pem;
    options.certificate_pem = joined.node.certificate_pem;
    options.key_pem = joined.node.key_pem;
    identity = std::make_unique<client::Identity>(options);
    agent = std::make_unique<cluster::TunnelClient>(plane.url(), *identity, node);
    agent->start().value();
    EXPECT_TRUE(eventually([this] { return tunnels.find("node-1") != nullptr; }));
    return tunnels.find("node-1");
  }

  std::string token;
  std::unique_ptr<cluster::JoinServer> server;
  cluster::TunnelServer tunnels;
  test::ControlPlane plane;
  MadeUpNode node;
  std::unique_ptr<client::Identity> identity;
  std::unique_ptr<cluster::TunnelClient> agent;
  const client::ContainerRef ref{"default", "web", "uid-1", "c"};
};

TEST_F(JoinTest, AMachineJoinsAndIsTheNodeItSaysItIs) {
  cluster::JoinOptions options = machine("one", "node-1");
  EXPECT_FALSE(cluster::load_joined(options, plane.clock()).ok());
  cluster::Joined joined = cluster::join(options, nullptr, plane.clock()).value();
  EXPECT_EQ(joined.network.cluster_dns, "10.43.0.10");
  pki::Certificate certificate = pki::Certificate::from_pem(joined.node.certificate_pem).value();
  EXPECT_EQ(certificate.subject().common_name, "system:node:node-1");
  EXPECT_EQ(certificate.subject().organizations, std::vector<std::string>{"system:nodes"});

  http::ClientOptions trust;
  trust.ca_pem = joined.server_ca_pem;
  trust.certificate_pem = joined.node.certificate_pem;
  trust.key_pem = joined.node.key_pem;
  client::Identity who(trust);
  client::RemoteClient client(plane.url(), who);
  EXPECT_NE(test::create(client, "nodes", "", R"({"metadata":{"name":"node-1"}})"), nullptr);

  // Again without asking, and by the certificate instead of the token.
  EXPECT_EQ(cluster::load_joined(options, plane.clock()).value().node.key_pem, joined.node.key_pem);
  options.token = "";
  cluster::Joined renewed = cluster::join(options, &joined, plane.clock()).value();
  EXPECT_NE(renewed.node.key_pem, joined.node.key_pem);
}

TEST_F(JoinTest, WhatDoesNotBelongIsRefused) {
  cluster::JoinOptions options = machine("one", "node-1");
  options.token = token.substr(0, token.size() - 1) + (token.back() == '0' ? '1' : '0');
  EXPECT_TRUE(cluster::join(options, nullptr, plane.clock()).error().is(Code::kUnauthorized));
  // The token of a cluster with another CA: nothing is sent to this one.
  options.token = "K10" + std::string(64, 'a') + "::server:x";
  Error other = cluster::join(options, nullptr, plane.clock()).error();
  EXPECT_TRUE(other.is(Code::kForbidden)) << other.message();
  options.token = "K10short";
  EXPECT_TRUE(cluster::join(options, nullptr, plane.clock()).error().is(Code::kInvalid));
  options.token = "";
  EXPECT_TRUE(cluster::join(options, nullptr, plane.clock()).error().is(Code::kInvalid));
  options.token = token;
  options.node_name = "Not A Name";
  EXPECT_TRUE(cluster::join(options, nullptr, plane.clock()).error().is(Code::kBadRequest));
}

TEST_F(JoinTest, ANameBelongsToTheMachineThatTookItFirst) {
  ASSERT_TRUE(cluster::join(machine("one", "node-1"), nullptr, plane.clock()).ok());
  Error taken = cluster::join(machine("two", "node-1"), nullptr, plane.clock()).error();
  EXPECT_TRUE(taken.is(Code::kForbidden)) << taken.message();
  EXPECT_TRUE(cluster::join(machine("one", "node-1"), nullptr, plane.clock()).ok());
  // A node that did not join, such as the server's own.
  test::create(*plane.admin, "nodes", "", R"({"metadata":{"name":"server"}})");
  EXPECT_TRUE(
      cluster::join(machine("two", "server"), nullptr, plane.clock()).error().is(Code::kForbidden));
}

TEST_F(JoinTest, LogsComeThroughTheTunnel) {
  client::NodeApi* api = connected();
  std::string text;
  auto take = [&](std::string_view bytes) {
    text += bytes;
    return true;
  };
  auto never = [] { return false; };
  ASSERT_TRUE(api->logs(ref, {.tail_lines = 7}, take, never).ok());
  EXPECT_EQ(text, "lines 7\n");
  client::ContainerRef missing = ref;
  missing.container = "missing";
  Error error = api->logs(missing, {}, take, never).error();
  EXPECT_TRUE(error.is(Code::kNotFound));
  EXPECT_EQ(error.message(), "no log of missing");
  // A reader who leaves ends the log on the node.
  int pieces = 0;
  EXPECT_TRUE(api->logs(
                     ref, {.follow = true}, [&](std::string_view) { return ++pieces < 5; }, never)
                  .ok());
  EXPECT_TRUE(eventually([&] { return node.logs_ended == 2; }));
}

TEST_F(JoinTest, AProcessHasItsStreamsAndItsExitCode) {
  client::NodeApi* api = connected();
  client::ExecOptions options{.command = {"cat"}, .stdin_on = true};
  auto session = api->exec(ref, options).value();
  write_text(session->stdin_fd(), "hello");
  EXPECT_EQ(read_text(node.process.in.get(), 5), "hello");
  session->close_stdin();
  EXPECT_EQ(read_text(node.process.in.get()), "");
  EXPECT_TRUE(eventually([&] {
    MutexLock lock(node.mutex);
    return node.process.input_closed;
  }));
  // Far more than what any buffer on the way holds, while nobody reads at first.
  std::string much(3 << 20, 'x');
  write_text(node.process.errors.get(), "oops");
  std::jthread writer([&] { write_text(node.process.out.get(), much); });
  EXPECT_EQ(read_text(session->stderr_fd(), 4), "oops");
  EXPECT_EQ(read_text(session->stdout_fd(), much.size()).size(), much.size());
  writer.join();
  write_text(node.process.out.get(), "last");
  node.process.code = 3;
  node.process.exit->signal();
  node.process.out.reset();
  node.process.errors.reset();
  EXPECT_EQ(read_text(session->stdout_fd()), "last");
  ASSERT_TRUE(os::wait_for(session->exit_fd(), POLLIN, std::chrono::seconds(10)).value());
  EXPECT_EQ(session->exit_code().value(), 3);
}

// The process writes, ends and is gone on the node's side before anybody has read.
TEST_F(JoinTest, WhatAProcessSaidIsNotLostWhenItEnds) {
  client::NodeApi* api = connected();
  auto session = api->exec(ref, {.command = {"cat"}}).value();
  std::string much(5 << 20, 'x');
  std::jthread process([&] {
    write_text(node.process.out.get(), much);
    node.process.code = 4;
    node.process.exit->signal();
    node.process.out.reset();
    node.process.errors.reset();
  });
  timespec late{0, 300'000'000};
  nanosleep(&late, nullptr);  // tidy: allow(sleep): a reader that comes late
  size_t got = 0;
  while (true) {
    std::string piece = read_text(session->stdout_fd(), 65536);
    if (piece.empty()) break;
    got += piece.size();
    timespec slow{0, 2'000'000};
    nanosleep(&slow, nullptr);  // tidy: allow(sleep): and reads slowly
  }
  EXPECT_EQ(got, much.size());
  ASSERT_TRUE(os::wait_for(session->exit_fd(), POLLIN, std::chrono::seconds(10)).value());
  EXPECT_EQ(session->exit_code().value(), 4);
}

TEST_F(JoinTest, ATerminalIsResizedAndHungUp) {
  client::NodeApi* api = connected();
  client::ExecOptions options{.command = {"sh"}, .stdin_on = true, .stderr_on = false, .tty = true};
  auto session = api->exec(ref, options).value();
  EXPECT_EQ(session->stderr_fd(), -1);
  session->resize(300, 25);
  EXPECT_TRUE(eventually([&] {
    MutexLock lock(node.mutex);
    return node.process.width == 300 && node.process.height == 25;
  }));
  session.reset();
  EXPECT_TRUE(eventually([&] {
    MutexLock lock(node.mutex);
    return node.process.hung_up;
  }));
}

TEST_F(JoinTest, ErrorsOfTheNodeAreTheCallers) {
  client::NodeApi* api = connected();
  Error none = api->exec(ref, {.command = {"none"}}).error();
  EXPECT_TRUE(none.is(Code::kNotFound));
  EXPECT_EQ(none.message(), "no such program");
  EXPECT_TRUE(api->attach(ref, {}).error().is(Code::kConflict));
  EXPECT_EQ(api->dial(ref, 1).error().message(), "connection refused");
}

TEST_F(JoinTest, AConnectionIntoAPodEndsEachWay) {
  client::NodeApi* api = connected();
  os::Fd fd = api->dial(ref, 80).value();
  write_text(fd.get(), "GET");
  shutdown(fd.get(), SHUT_WR);
  EXPECT_EQ(read_text(node.dialled.get()), "GET");
  write_text(node.dialled.get(), "answer");
  node.dialled.reset();
  EXPECT_EQ(read_text(fd.get()), "answer");
  // The caller leaves first.
  fd = api->dial(ref, 80).value();
  fd.reset();
  EXPECT_EQ(read_text(node.dialled.get()), "");
}

TEST_F(JoinTest, TheTunnelComesBackAfterTheServer) {
  connected();
  plane.stop();
  EXPECT_TRUE(eventually([&] { return tunnels.find("node-1") == nullptr; }));
  plane.start();
  ASSERT_TRUE(eventually([&] { return tunnels.find("node-1") != nullptr; }));
  std::string text;
  EXPECT_TRUE(tunnels.find("node-1")
                  ->logs(
                      ref, {.tail_lines = 1},
                      [&](std::string_view bytes) {
                        text += bytes;
                        return true;
                      },
                      [] { return false; })
                  .ok());
  EXPECT_EQ(text, "lines 1\n");
}

TEST_F(JoinTest, ANodeThatHasLeftIsSaidToHave) {
  client::NodeApi* api = connected();
  auto session = api->exec(ref, {.command = {"cat"}, .stdin_on = true}).value();
  agent->stop();
  ASSERT_TRUE(os::wait_for(session->exit_fd(), POLLIN, std::chrono::seconds(10)).value());
  EXPECT_TRUE(eventually([&] { return tunnels.find("node-1") == nullptr; }));
  Error error = api->exec(ref, {.command = {"cat"}}).error();
  EXPECT_TRUE(error.is(Code::kUnavailable));
  EXPECT_EQ(error.message(), "node \"node-1\" is not connected");
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  int code = RUN_ALL_TESTS();
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  std::printf("%d passed, %d failed, %d skipped\n", all.successful_test_count(),
              all.failed_test_count(), all.skipped_test_count());
  return code;
}
