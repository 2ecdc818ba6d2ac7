#pragma once
// NetworkProbeRunner: tries probes and runs hooks for real: http and https through the http client,
// tcp by connecting, grpc by its health call, exec in the container. Any thread; each call blocks
// its own.

#include "agent/probe.h"
#include "http/client.h"

namespace wherry::agent {

class NetworkProbeRunner final : public ProbeRunner {
 public:
  NetworkProbeRunner();
  ProbeResult probe(const HandlerTarget& target, json::Value handler, Duration timeout,
                    const std::stop_token& stop) override;
  Result<void> hook(const HandlerTarget& target, json::Value handler, Duration timeout,
                    const std::stop_token& stop) override;

 private:
  ProbeResult http_probe(const HandlerTarget& target, json::Value get, Duration timeout,
                         const std::stop_token& stop);

  http::Client client_;
};

}  // namespace wherry::agent
