// HTTP/2 frames: RFC 9113, section 6; literal header fields: RFC 7541, section 6.2.2; messages:
// the gRPC wire format ("gRPC over HTTP2").

#include "agent/grpc_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>

#include "base/strings.h"
#include "os/fd.h"
#include "os/poll.h"

namespace wherry::agent {
namespace {

using Outcome = ProbeResult::Outcome;
using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kReset = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kGoAway = 7;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr uint8_t kPadded = 8;
constexpr size_t kFrameHeaderBytes = 9;
constexpr size_t kBytesMax = 256 << 10;
constexpr int kServing = 1;

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out;
  for (int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift & 0xff);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift & 0xff);
  return out + std::string(payload);
}

// Lengths up to 126 are one byte in either prefix; our fields are shorter.
void literal(std::string& out, std::string_view name, std::string_view value) {
  out += '\0';
  out += static_cast<char>(name.size());
  out += name;
  out += static_cast<char>(value.size());
  out += value;
}

std::string status_name(int status) {
  switch (status) {
    case 0: return "UNKNOWN";
    case 2: return "NOT_SERVING";
    case 3: return "SERVICE_UNKNOWN";
    default: return std::to_string(status);
  }
}

ProbeResult failure(std::string text) { return {Outcome::kFailure, std::move(text)}; }

// A timeout that has not run out yet.
class Deadline {
 public:
  explicit Deadline(Duration timeout) : end_(Steady::now() + timeout) {}
  bool wait(int fd, short events) const {
    auto left = std::chrono::duration_cast<milliseconds>(end_ - Steady::now());
    if (left <= milliseconds(0)) return false;
    Result<bool> ready = os::wait_for(fd, events, left);
    return ready.ok() && *ready;
  }

 private:
  const Steady::time_point end_;
};

bool send_all(int fd, std::string_view bytes, const Deadline& deadline) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
    if (!bytes.empty() && !deadline.wait(fd, POLLOUT)) return false;
  }
  return true;
}

os::Fd connect_to(const std::string& host, uint16_t port, const Deadline& deadline) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return {};
  os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fd;
  int rc = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  if (rc == 0) return fd;
  if (errno != EINPROGRESS || !deadline.wait(fd.get(), POLLOUT)) return {};
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return {};
  return fd;
}

}  // namespace

std::string grpc_health_request(std::string_view authority, std::string_view service) {
  std::string fields;
  literal(fields, ":method", "POST");
  literal(fields, ":scheme", "http");
  literal(fields, ":path", "/grpc.health.v1.Health/Check");
  literal(fields, ":authority", authority.substr(0, 120));
  literal(fields, "content-type", "application/grpc");
  literal(fields, "user-agent", "kube-probe/1.36");
  literal(fields, "te", "trailers");
  service = service.substr(0, 127);
  std::string body;
  if (!service.empty()) {
    body += '\x0a';  // HealthCheckRequest.service
    body += static_cast<char>(service.size());
    body += service;
  }
  std::string message(4, '\0');  // Not compressed; the length's upper bytes.
  message += static_cast<char>(body.size());
  message += body;
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, {}) +
         frame(kHeaders, kEndHeaders, 1, fields) + frame(kData, kEndStream, 1, message);
}

bool GrpcHealthAnswer::take(std::string_view bytes, std::string* reply) {
  buffer_ += bytes;
  for (;;) {
    if (buffer_.size() < kFrameHeaderBytes) return true;
    auto byte = [this](size_t i) { return static_cast<uint8_t>(buffer_[i]); };
    size_t length =
        static_cast<size_t>(byte(0)) << 16 | static_cast<size_t>(byte(1)) << 8 | byte(2);
    if (length > kBytesMax) return false;
    if (buffer_.size() < kFrameHeaderBytes + length) return true;
    std::string payload = buffer_.substr(kFrameHeaderBytes, length);
    uint8_t type = byte(3);
    uint8_t flags = byte(4);
    buffer_.erase(0, kFrameHeaderBytes + length);
    if (!take_frame(type, flags, payload, reply)) return false;
  }
}

bool GrpcHealthAnswer::take_frame(uint8_t type, uint8_t flags, std::string_view payload,
                                  std::string* reply) {
  if (type == kSettings && (flags & kAck) == 0) *reply += frame(kSettings, kAck, 0, {});
  if (type == kPing && (flags & kAck) == 0) *reply += frame(kPing, kAck, 0, payload);
  if (type == kReset || type == kGoAway) return false;
  if (type == kData) {
    if ((flags & kPadded) != 0 && !payload.empty()) {
      size_t padding = static_cast<uint8_t>(payload[0]) + size_t{1};
      if (padding > payload.size()) return false;
      payload = payload.substr(1, payload.size() - padding);
    }
    message_ += payload;
    // Five bytes of prefix, then field 1, a varint; none of it means 0.
    if (message_.size() >= 5) {
      auto length = static_cast<uint8_t>(message_[4]);
      if (length == 0) status_ = 0;
      if (message_.size() >= 7 && message_[5] == '\x08')
        status_ = static_cast<uint8_t>(message_[6]);
      if (status_ >= 0) return false;
    }
  }
  bool ends = (type == kData || type == kHeaders) && (flags & kEndStream) != 0;
  return !ends;
}

ProbeResult grpc_probe(const std::string& host, uint16_t port, std::string_view service,
                       Duration timeout) {
  std::string authority = fmt::format("{}:{}", host, port);
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout).count();
  Deadline deadline(timeout);
  os::Fd fd = connect_to(host, port, deadline);
  if (!fd) {
    return failure(
        fmt::format("timeout: failed to connect service \"{}\" within {}s: context "
                    "deadline exceeded",
                    authority, seconds));
  }
  std::string out = grpc_health_request(authority, service);
  GrpcHealthAnswer answer;
  char buffer[4096];
  for (bool more = true; more;) {
    if (!out.empty() && !send_all(fd.get(), out, deadline)) break;
    out.clear();
    if (!deadline.wait(fd.get(), POLLIN)) {
      return failure(fmt::format("timeout: health rpc did not complete within {}s", seconds));
    }
    ssize_t size = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (size == 0) break;
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size < 0) break;
    more = answer.take({buffer, static_cast<size_t>(size)}, &out);
  }
  if (answer.status() == kServing) return {Outcome::kSuccess, "service healthy"};
  if (answer.status() < 0) return failure("error: health rpc probe failed: no answer");
  return failure(
      fmt::format("service unhealthy (responded with \"{}\")", status_name(answer.status())));
}

}  // namespace wherry::agent
