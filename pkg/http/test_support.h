#pragma once
// For this folder's tests: a server on loopback, throw-away certificates, and a client that speaks
// raw bytes.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "http/client.h"
#include "http/server.h"

namespace wherry::http::testing {

struct TestCertificate {
  std::string certificate_pem;
  std::string key_pem;
};
// Self-signed, for localhost and 127.0.0.1, both roles, an authority too.
TestCertificate make_certificate(const std::string& common_name,
                                 const std::string& organization = {});

// A blocking TCP connection to 127.0.0.1.
class RawClient {
 public:
  explicit RawClient(uint16_t port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void send(std::string_view bytes) const;
  // Reads until the text so far contains `end`, or the peer closes. Waits at most five seconds.
  std::string read_until(std::string_view end);
  std::string read_all() { return read_until("\x01never\x01"); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Starts a server on 127.0.0.1:0; ends the test when that fails.
std::unique_ptr<Server> start_server(Server::Options options);

// Waits until the condition holds, at most five seconds.
bool eventually(const std::function<bool()>& condition);

}  // namespace wherry::http::testing
