#include "agent/probe_runner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>

#include "agent/grpc_probe.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "os/poll.h"

namespace wherry::agent {
namespace {

using Outcome = ProbeResult::Outcome;
using std::chrono::milliseconds;

constexpr size_t kOutputBytesMax = 10 << 10;

http::ClientOptions probe_client_options() {
  http::ClientOptions options;
  options.insecure = true;  // Probes do not verify certificates, as the API reference says.
  options.user_agent = "kube-probe/1.36";
  options.connections_max = 1;
  return options;
}

std::string host_and_port(std::string_view host, uint16_t port) {
  bool v6 = host.find(':') != std::string_view::npos;
  return (v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + std::to_string(port);
}

// Empty when the connection came about.
std::string connect_error(const std::string& host, uint16_t port, Duration timeout) {
  std::string dial = "dial tcp " + host_and_port(host, port) + ": ";
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    return dial + "lookup " + host + ": no such host";
  }
  os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return dial + std::strerror(errno);
  int rc = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  if (rc != 0 && errno != EINPROGRESS) return dial + "connect: " + to_lower(std::strerror(errno));
  if (rc != 0) {
    Result<bool> ready =
        os::wait_for(fd.get(), POLLOUT, std::chrono::duration_cast<milliseconds>(timeout));
    if (!ready.ok() || !*ready) return dial + "i/o timeout";
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return dial + "connect: " + to_lower(std::strerror(error));
  }
  linger none{1, 0};  // No TIME_WAIT left behind by each try.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  return {};
}

std::vector<std::string> command_of(json::Value exec) {
  std::vector<std::string> command;
  for (json::Value word : exec["command"].items()) command.emplace_back(word.as_string());
  return command;
}

http::ClientRequest http_request(const HandlerTarget& target, json::Value get, Duration timeout) {
  http::ClientRequest request;
  std::string scheme = to_lower(get["scheme"].as_string("HTTP"));
  std::string host(get["host"].as_string());
  if (host.empty()) host = target.pod_ip;
  std::string path(get["path"].as_string("/"));
  if (path.empty() || path.front() != '/') path = "/" + path;
  uint16_t port = resolve_port(get["port"], target.container);
  request.url = scheme + "://" + host_and_port(host, port) + path;
  request.timeout = std::chrono::duration_cast<milliseconds>(timeout);
  request.connect_timeout = request.timeout;
  request.body_bytes_max = 64 << 10;
  bool accept = false;
  for (json::Value header : get["httpHeaders"].items()) {
    request.headers.add(std::string(header["name"].as_string()),
                        std::string(header["value"].as_string()));
    accept |= equals_ignore_case(header["name"].as_string(), "Accept");
  }
  if (!accept) request.headers.add("Accept", "*/*");
  request.headers.add("Connection", "close");
  return request;
}

std::string_view authority_of(std::string_view url) {
  size_t start = url.find("://");
  if (start == std::string_view::npos) return {};
  std::string_view rest = url.substr(start + 3);
  return rest.substr(0, rest.find_first_of("/?#"));
}

// What went wrong, in the words in which Go's client says it.
std::string transport_error(const http::ClientRequest& request, const HandlerTarget& target,
                            const Error& error) {
  std::string prefix = "Get " + quote(request.url) + ": ";
  if (error.is(Code::kTimeout)) {
    return prefix + "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
  }
  (void)target;
  std::string_view authority = authority_of(request.url);
  size_t colon = authority.rfind(':');
  if (error.is(Code::kUnavailable) && colon != std::string_view::npos) {
    std::string why =
        connect_error(std::string(authority.substr(0, colon)),
                      static_cast<uint16_t>(parse_int(authority.substr(colon + 1)).value_or(0)),
                      milliseconds(100));
    if (!why.empty()) return prefix + why;
  }
  return prefix + error.message();
}

std::string joined(const std::vector<std::string>& command) { return join(command, " "); }

}  // namespace

NetworkProbeRunner::NetworkProbeRunner() : client_(probe_client_options()) {}

ProbeResult NetworkProbeRunner::http_probe(const HandlerTarget& target, json::Value get,
                                           Duration timeout, const std::stop_token& stop) {
  http::ClientRequest request = http_request(target, get, timeout);
  for (int hop = 0; hop < 10; ++hop) {
    Result<http::ClientResponse> response = client_.request(request, stop);
    if (!response.ok()) {
      return {Outcome::kFailure, transport_error(request, target, response.error())};
    }
    int status = response->status;
    std::string body = response->body.substr(0, kOutputBytesMax);
    if (status < 200 || status >= 400) {
      return {Outcome::kFailure, "HTTP probe failed with statuscode: " + std::to_string(status)};
    }
    if (status < 300 || status == 304) return {Outcome::kSuccess, body};
    // A redirect to another host ends the probe with a warning; one to the same host is followed.
    std::string location(response->headers.get("Location"));
    if (location.empty()) return {Outcome::kSuccess, body};
    if (location.front() == '/') {
      location = request.url.substr(0, request.url.find("://") + 3) +
                 std::string(authority_of(request.url)) + location;
    }
    if (authority_of(location) != authority_of(request.url)) {
      return {Outcome::kWarning, "Probe terminated redirects, Response body: " + body};
    }
    request.url = location;
  }
  return {Outcome::kFailure, "Get " + quote(request.url) + ": stopped after 10 redirects"};
}

ProbeResult NetworkProbeRunner::probe(const HandlerTarget& target, json::Value handler,
                                      Duration timeout, const std::stop_token& stop) {
  if (json::Value get = handler["httpGet"]) return http_probe(target, get, timeout, stop);
  if (json::Value tcp = handler["tcpSocket"]) {
    std::string host(tcp["host"].as_string());
    uint16_t port = resolve_port(tcp["port"], target.container);
    std::string why = connect_error(host.empty() ? target.pod_ip : host, port, timeout);
    return {why.empty() ? Outcome::kSuccess : Outcome::kFailure, why};
  }
  if (json::Value exec = handler["exec"]) {
    std::vector<std::string> command = command_of(exec);
    auto result = target.sandbox->exec_wait(target.container_id, command, timeout, stop);
    if (!result.ok() && result.error().is(Code::kTimeout)) {
      return {Outcome::kFailure,
              fmt::format("command timed out: {} timed out after {}s", quote(joined(command)),
                          std::chrono::duration_cast<std::chrono::seconds>(timeout).count())};
    }
    if (!result.ok()) return {Outcome::kError, result.error().message()};
    bool ok = result->exit_code == 0;
    return {ok ? Outcome::kSuccess : Outcome::kFailure, result->output.substr(0, kOutputBytesMax)};
  }
  if (json::Value grpc = handler["grpc"]) {
    return grpc_probe(target.pod_ip, static_cast<uint16_t>(grpc["port"].as_int()),
                      grpc["service"].as_string(), timeout);
  }
  return {Outcome::kError, "missing probe handler for " + target.pod.label()};
}

Result<void> NetworkProbeRunner::hook(const HandlerTarget& target, json::Value handler,
                                      Duration timeout, const std::stop_token& stop) {
  std::string where = "for Container " + quote(target.container["name"].as_string()) + " in Pod " +
                      quote(target.pod.label());
  if (json::Value exec = handler["exec"]) {
    std::vector<std::string> command = command_of(exec);
    auto result = target.sandbox->exec_wait(target.container_id, command, timeout, stop);
    std::string why;
    if (!result.ok()) why = result.error().message();
    if (result.ok() && result->exit_code != 0) {
      why = fmt::format("command '{}' exited with {}: {}", joined(command), result->exit_code,
                        result->output);
    }
    if (why.empty()) return {};
    return Error::internal("Exec lifecycle hook ([{}]) {} failed - error: {}, message: {}",
                           joined(command), where, why,
                           quote(result.ok() ? result->output : std::string()));
  }
  if (json::Value get = handler["httpGet"]) {
    http::ClientRequest request = http_request(target, get, timeout);
    Result<http::ClientResponse> response = client_.request(request, stop);
    if (response.ok()) return {};
    return Error::internal("HTTP lifecycle hook ({}) {} failed - error: {}",
                           get["path"].as_string(), where,
                           transport_error(request, target, response.error()));
  }
  if (json::Value sleep = handler["sleep"]) {
    // Waits on a stop token: the container's end, or ours, cuts it short.
    Mutex mutex;
    CondVar never;
    MutexLock lock(mutex);
    never.wait_for(mutex, stop, std::chrono::seconds(sleep["seconds"].as_int()),
                   [] { return false; });
  }
  return {};
}

}  // namespace wherry::agent
