#pragma once
// A gRPC health check (grpc.health.v1.Health/Check over HTTP/2 without TLS, as probes use it): the
// one call, without a gRPC library. Blocks up to the timeout; any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/probe.h"
#include "base/clock.h"

namespace wherry::agent {

ProbeResult grpc_probe(const std::string& host, uint16_t port, std::string_view service,
                       Duration timeout);

// The pieces, for tests. The bytes that a client sends, and what the server's bytes mean: empty
// while more must come. `reply` gets what has to be sent back meanwhile.
std::string grpc_health_request(std::string_view authority, std::string_view service);
class GrpcHealthAnswer {
 public:
  // False when no more will come.
  bool take(std::string_view bytes, std::string* reply);
  // 1 is SERVING; -1: the server ended the call without an answer.
  int status() const { return status_; }

 private:
  bool take_frame(uint8_t type, uint8_t flags, std::string_view payload, std::string* reply);

  std::string buffer_;
  std::string message_;
  int status_ = -1;
};

}  // namespace wherry::agent
