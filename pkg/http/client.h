#pragma once
// Client: HTTP and HTTPS over libcurl. One-shot requests reuse connections; downloads and watches
// hand the body over piece by piece. Names are only looked up where the URL has one; an address is
// dialled as it is. Redirects are followed only when asked (and never carry Authorization to
// another host).
//
// Threads: any number; each call blocks its own thread, and ends early when its stop token fires.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/stream.h"

namespace wherry::http {

struct ClientOptions {
  std::string ca_pem;           // Empty: the system's authorities (/etc/ssl/certs).
  std::string certificate_pem;  // Client certificate and key; empty: none.
  std::string key_pem;
  bool insecure = false;    // Verify nothing: only for a probe that Kubernetes defines so.
  std::string server_name;  // To verify instead of the URL's host; empty: the URL's host.
  std::string unix_socket;  // Dial this path instead of the URL's host; empty: TCP.
  bool use_proxy =
      false;  // Heed HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Not for traffic inside the cluster.
  std::string user_agent = "wherry";
  size_t connections_max = 16;  // Kept open and idle.
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  Headers headers;
  std::string body;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{0};       // Of the whole exchange; 0: none.
  std::chrono::milliseconds idle_timeout{0};  // Without a byte; 0: none.
  size_t body_bytes_max = 64 << 20;           // Of a response held in memory.
  bool follow_redirects = false;
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;  // Empty when it was handed to a callback.
  std::string url;   // After redirects.
};

class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Any status is a success here; an Error means that there was no full answer: kUnavailable (could
  // not connect, connection broke), kTimeout, kUnauthorized (the server's certificate does not
  // verify).
  Result<ClientResponse> request(const ClientRequest& request, std::stop_token stop = {});

  // Hands each piece of a 2xx body to `write` as it comes; false from it ends the transfer with
  // success. Other answers come back whole in ClientResponse::body. For downloads and watches
  // alike.
  using Write = std::function<bool(std::string_view)>;
  Result<ClientResponse> stream(const ClientRequest& request, const Write& write,
                                std::stop_token stop = {});

  // A connection to scheme://host:port of `url` with nothing sent yet: the start of an upgrade.
  Result<std::unique_ptr<Stream>> connect(
      const std::string& url, std::chrono::milliseconds timeout = std::chrono::seconds(10));

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace wherry::http
