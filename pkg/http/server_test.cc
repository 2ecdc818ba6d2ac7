#include "http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "http/test_support.h"

namespace wherry::http {
namespace {

using testing::eventually;
using testing::make_certificate;
using testing::RawClient;
using testing::start_server;

void echo(Request& request, Response& response) {
  if (request.path == "/missing") response.status = 404;
  if (request.path == "/empty") {
    response.status = 204;
    return;
  }
  if (request.path == "/big") {
    auto piece = std::make_shared<const std::string>(1 << 20, 'b');
    response.set_body("text/plain", piece);
    for (int i = 0; i < 15; ++i) response.append(piece);
    return;
  }
  if (request.path == "/chunks") {
    response.set_chunked("text/plain", [](const Response::WriteChunk& write) {
      for (int i = 0; i < 1000 && write("0123456789012345678901234567890123456789"); ++i) {
      }
    });
    return;
  }
  response.set_body("text/plain", request.method + " " + request.target + " " + request.body);
}

Server::Options options_with(Handler handler) {
  Server::Options options;
  options.handler = std::move(handler);
  return options;
}

std::string get(std::string_view path, std::string_view more = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n{}\r\n", path, more);
}

TEST(Server, AnswersAndKeepsTheConnection) {
  auto server = start_server(options_with(&echo));
  RawClient client(server->port());
  client.send(get("/a"));
  std::string answer = client.read_until("GET /a ");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_NE(answer.find("Content-Length: 7\r\n"), std::string::npos);
  client.send(get("/missing"));
  answer = client.read_until("GET /missing ");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_EQ(answer.find("Connection: close"), std::string::npos);
  client.send(get("/empty"));
  answer = client.read_until("\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 204 No Content\r\n"));
  EXPECT_EQ(answer.find("Content-Length"), std::string::npos);
  client.send(get("/last", "Connection: close\r\n"));
  answer = client.read_all();
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(server->counters().requests, 4U);
  EXPECT_TRUE(eventually([&] { return server->counters().connections == 0; }));
}

TEST(Server, ValuesOfHeadersCannotEndALine) {
  auto text_with = [](size_t at, char c) {
    std::string text = "a value of thirty bytes, \xc3\xa4\t~!!";
    text[at] = c;
    return text;
  };
  const std::string controls("\r\n\0\x01\x1f\x7f", 6);
  auto server = start_server(options_with([&](Request& request, Response& response) {
    size_t at = static_cast<size_t>(std::stoul(request.path.substr(1)));
    for (char c : controls) response.headers.add("X-Told", text_with(at, c));
    response.headers.add("X-Told", text_with(at, 'x'));
    response.set_body("text/plain", std::string("end"));
  }));
  RawClient client(server->port());
  for (size_t at = 0; at < 30; ++at) {
    client.send(get("/" + std::to_string(at)));
    std::string answer = client.read_until("\r\n\r\nend");
    std::string clean;
    for (size_t i = 0; i < controls.size(); ++i) {
      clean += "X-Told: " + text_with(at, ' ') + "\r\n";
    }
    EXPECT_NE(answer.find(clean + "X-Told: " + text_with(at, 'x') + "\r\n"), std::string::npos)
        << answer;
  }
}

TEST(Server, PipelinedRequestsAreAllAnswered) {
  auto server = start_server(options_with(&echo));
  RawClient client(server->port());
  std::string all;
  for (int i = 0; i < 200; ++i) all += get("/" + std::to_string(i));
  client.send(all + get("/end"));
  std::string answers = client.read_until("GET /end ");
  size_t at = 0;
  for (int i = 0; i < 200; ++i) {
    at = answers.find(fmt::format("GET /{} ", i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST(Server, HeadHasNoBodyAndChunksArrive) {
  auto server = start_server(options_with(&echo));
  RawClient client(server->port());
  client.send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n" + get("/b"));
  std::string answers = client.read_until("GET /b ");
  EXPECT_NE(answers.find("Content-Length: 8\r\n"), std::string::npos);
  EXPECT_EQ(answers.find("HEAD /a"), std::string::npos);

  Client fetch(ClientOptions{});
  ClientRequest request;
  request.url = fmt::format("http://127.0.0.1:{}/chunks", server->port());
  Result<ClientResponse> chunks = fetch.request(request);
  ASSERT_TRUE(chunks.ok()) << chunks.error().message();
  EXPECT_EQ(chunks->body.size(), 40'000U);
}

TEST(Server, OldClientsGetAnUnframedBody) {
  auto server = start_server(options_with(&echo));
  RawClient client(server->port());
  client.send("GET /chunks HTTP/1.0\r\n\r\n");
  std::string answer = client.read_all();
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 40'000U);
}

TEST(Server, ExpectContinue) {
  auto server = start_server(options_with(&echo));
  RawClient client(server->port());
  client.send("POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("body");
  EXPECT_NE(client.read_until("POST /e body").find("200 OK"), std::string::npos);
}

TEST(Server, RefusesWithTheRenderersAnswer) {
  Server::Options options = options_with(&echo);
  options.body_bytes_max = 100;
  options.head_bytes_max = 1000;
  options.render_error = [](const Error& error, Response& response) {
    response.status = error.is(Code::kRequestEntityTooLarge) ? 413 : 400;
    response.set_body("application/json",
                      "{\"message\":" + fmt::format("\"{}\"", error.message()) + "}");
  };
  auto server = start_server(std::move(options));
  {
    RawClient client(server->port());
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" +
                std::string(1'000'000, 'x'));
    std::string answer = client.read_all();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 Request Entity Too Large\r\n")) << answer;
    EXPECT_NE(answer.find("{\"message\":\"Request entity too large: limit is 100\"}"),
              std::string::npos);
  }
  {
    RawClient client(server->port());
    client.send("GET /" + std::string(2000, 'x'));
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 431 "));
  }
  {
    RawClient client(server->port());
    client.send("rubbish\r\n\r\n");
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 400 Bad Request\r\n"));
  }
  EXPECT_TRUE(eventually([&] { return server->counters().connections == 0; }));
}

TEST(Server, SlowReadersOfLongAnswersCostNoWorker) {
  Server::Options options = options_with(&echo);
  options.workers_max = 2;
  auto server = start_server(std::move(options));
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(std::make_unique<RawClient>(server->port()));
    slow.back()->send(get("/big") + get("/after"));
  }
  RawClient quick(server->port());
  quick.send(get("/quick"));
  EXPECT_NE(quick.read_until("GET /quick ").find("200 OK"), std::string::npos);
  // All of it arrives, and the connection goes on with the request that was waiting behind.
  for (auto& client : slow) {
    std::string answer = client->read_until("GET /after ");
    EXPECT_GT(answer.size(), 16U << 20);
  }
}

TEST(Server, SilentAndHalfRequestsTimeOut) {
  Server::Options options = options_with(&echo);
  options.head_timeout = std::chrono::seconds(1);
  options.workers_max = 2;
  auto server = start_server(std::move(options));
  std::vector<std::unique_ptr<RawClient>> half;
  for (int i = 0; i < 10; ++i) {
    half.push_back(std::make_unique<RawClient>(server->port()));
    half.back()->send("GET / HTTP/1.1\r\nHo");
  }
  RawClient quick(server->port());
  quick.send(get("/quick"));
  EXPECT_NE(quick.read_until("GET /quick ").find("200 OK"), std::string::npos);
  for (auto& client : half) EXPECT_EQ(client->read_all(), "");
}

TEST(Server, TlsTellsWhoTheClientIs) {
  auto authority = make_certificate("system:admin", "system:masters");
  auto server_certificate = make_certificate("localhost");
  Server::Options options = options_with([](Request& request, Response& response) {
    std::string who = "nobody";
    if (request.certificate != nullptr) {
      who = request.certificate->common_name + "/" + request.certificate->organizations.at(0);
    } else if (!request.certificate_problem.empty()) {
      who = "bad: " + request.certificate_problem;
    }
    response.set_body("text/plain", who);
  });
  options.tls = std::make_shared<TlsCredentials>(TlsCredentials{
      server_certificate.certificate_pem, server_certificate.key_pem, authority.certificate_pem});
  auto server = start_server(std::move(options));
  ClientRequest request;
  request.url = fmt::format("https://127.0.0.1:{}/", server->port());

  ClientOptions client_options;
  client_options.ca_pem = server_certificate.certificate_pem;
  Result<ClientResponse> answer = Client(client_options).request(request);
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(answer->body, "nobody");

  client_options.certificate_pem = authority.certificate_pem;
  client_options.key_pem = authority.key_pem;
  Client known(client_options);
  for (int i = 0; i < 3; ++i) {
    answer = known.request(request);
    ASSERT_TRUE(answer.ok()) << answer.error().message();
    EXPECT_EQ(answer->body, "system:admin/system:masters");
  }
  EXPECT_EQ(server->counters().connections, 1U);  // Reused, and the first client's is gone.

  auto stranger = make_certificate("stranger");
  client_options.certificate_pem = stranger.certificate_pem;
  client_options.key_pem = stranger.key_pem;
  answer = Client(client_options).request(request);
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_TRUE(answer->body.starts_with("bad: ")) << answer->body;

  client_options.ca_pem = stranger.certificate_pem;
  answer = Client(client_options).request(request);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code(), Code::kUnauthorized) << answer.error().message();
}

TEST(Server, ProxiesHaveAuthoritiesOfTheirOwn) {
  auto clients = make_certificate("jane");
  auto proxies = make_certificate("front");
  auto server_certificate = make_certificate("localhost");
  Server::Options options = options_with([](Request& request, Response& response) {
    auto name = [](const auto& shown) { return shown == nullptr ? "-" : shown->common_name; };
    response.set_body("text/plain", name(request.certificate) + " " +
                                        name(request.proxy_certificate) +
                                        (request.certificate_problem.empty() ? "" : " problem"));
  });
  options.tls = std::make_shared<TlsCredentials>(
      TlsCredentials{server_certificate.certificate_pem, server_certificate.key_pem,
                     clients.certificate_pem, proxies.certificate_pem});
  auto server = start_server(std::move(options));
  auto ask = [&](const testing::TestCertificate& shown) {
    ClientOptions client_options;
    client_options.ca_pem = server_certificate.certificate_pem;
    client_options.certificate_pem = shown.certificate_pem;
    client_options.key_pem = shown.key_pem;
    ClientRequest request;
    request.url = fmt::format("https://127.0.0.1:{}/", server->port());
    Result<ClientResponse> answer = Client(client_options).request(request);
    return answer.ok() ? answer->body : answer.error().message();
  };
  EXPECT_EQ(ask(clients), "jane -");
  EXPECT_EQ(ask(proxies), "- front problem");
  EXPECT_EQ(ask(make_certificate("front")), "- - problem");
  EXPECT_EQ(ask({}), "- -");
}

TEST(Server, NewCredentialsCountForNewConnections) {
  auto first = make_certificate("localhost");
  auto second = make_certificate("localhost");
  Server::Options options = options_with(&echo);
  options.tls =
      std::make_shared<TlsCredentials>(TlsCredentials{first.certificate_pem, first.key_pem, {}});
  auto server = start_server(std::move(options));
  ClientRequest request;
  request.url = fmt::format("https://localhost:{}/", server->port());
  ClientOptions trusts_first;
  trusts_first.ca_pem = first.certificate_pem;
  Client client(trusts_first);
  ASSERT_TRUE(client.request(request).ok());
  ASSERT_TRUE(server
                  ->set_credentials(std::make_shared<TlsCredentials>(
                      TlsCredentials{second.certificate_pem, second.key_pem, {}}))
                  .ok());
  EXPECT_TRUE(client.request(request).ok());  // On its open connection.
  EXPECT_FALSE(Client(trusts_first).request(request).ok());
  EXPECT_FALSE(server->set_credentials(std::make_shared<TlsCredentials>()).ok());
}

TEST(Server, ManyClientsAtOnceOverTls) {
  auto certificate = make_certificate("localhost");
  Server::Options options = options_with(&echo);
  options.tls = std::make_shared<TlsCredentials>(
      TlsCredentials{certificate.certificate_pem, certificate.key_pem, {}});
  auto server = start_server(std::move(options));
  ClientOptions client_options;
  client_options.ca_pem = certificate.certificate_pem;
  Client client(client_options);
  std::atomic<int> good{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        ClientRequest request;
        request.method = "POST";
        request.url = fmt::format("https://127.0.0.1:{}/{}", server->port(), i);
        request.body = std::string(static_cast<size_t>(i) * 1000, static_cast<char>('a' + t));
        Result<ClientResponse> answer = client.request(request);
        if (answer.ok() && answer->body == fmt::format("POST /{} {}", i, request.body)) ++good;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(good, 400);
}

TEST(Server, SecondServerOnThePortFails) {
  auto server = start_server(options_with(&echo));
  Server::Options options = options_with(&echo);
  options.addresses = {fmt::format("127.0.0.1:{}", server->port())};
  Server second(std::move(options));
  Result<void> started = second.start();
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().message().find("127.0.0.1"), std::string::npos);
}

TEST(Server, StopSendsTheRestOfAnAnswer) {
  auto server = start_server(options_with(&echo));
  RawClient client(server->port());
  client.send(get("/big"));
  std::string answer = client.read_until("bbbb");
  std::jthread stopper([&] { server->stop(); });
  answer += client.read_all();
  EXPECT_GT(answer.size(), 16U << 20);
}

TEST(Server, StopLetsARunningRequestFinish) {
  std::atomic<bool> inside{false};
  std::atomic<bool> go{false};
  auto server = start_server(options_with([&](Request&, Response& response) {
    inside = true;
    while (!go) std::this_thread::yield();
    response.set_body("text/plain", std::string("done"));
  }));
  RawClient client(server->port());
  client.send(get("/"));
  ASSERT_TRUE(eventually([&] { return inside.load(); }));
  std::jthread stopper([&] { server->stop(); });
  go = true;
  EXPECT_NE(client.read_all().find("done"), std::string::npos);
}

}  // namespace
}  // namespace wherry::http
