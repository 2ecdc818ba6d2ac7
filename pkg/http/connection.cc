#include "http/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/wait_scope.h"
#include "http/turn.h"

namespace wherry::http {
namespace {

void read_peer_address(int fd, std::string& address, uint16_t& port) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return;
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    port = ntohs(v4->sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    port = ntohs(v6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof(text));
    } else {
      inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    }
  }
  address = text;
}

}  // namespace

Connection::Connection(int fd, std::shared_ptr<const TlsContext> tls, const RequestLimits& limits,
                       std::atomic<size_t>& count)
    : fd_(fd), count_(count), tls_(std::move(tls)), wanted_events_(EPOLLIN), reader_(limits) {
  count_.fetch_add(1);
  read_peer_address(fd, peer_address_, peer_port_);
  if (tls_ == nullptr) return;
  ssl_ = SSL_new(tls_->raw());
  CHECK(ssl_ != nullptr);
  SSL_set_fd(ssl_, fd);
  SSL_set_accept_state(ssl_);
  handshaking_ = true;
}

Connection::~Connection() {
  if (waiting != nullptr) waiting->turn->disarm();
  if (ssl_ != nullptr) {
    // Tells the peer, if that goes at once; a broken session must not be touched.
    ERR_clear_error();
    if (!handshaking_ && !broken_) SSL_shutdown(ssl_);
    SSL_free(ssl_);
  }
  close(fd_);
  count_.fetch_sub(1);
}

Io Connection::tls_result(int returned) {
  switch (SSL_get_error(ssl_, returned)) {
    case SSL_ERROR_WANT_READ: wanted_events_ = EPOLLIN; return {IoState::kWouldBlock};
    case SSL_ERROR_WANT_WRITE: wanted_events_ = EPOLLOUT; return {IoState::kWouldBlock};
    case SSL_ERROR_ZERO_RETURN: return {IoState::kEnd};
    default:
      broken_ = true;
      ERR_clear_error();
      return {IoState::kBroken};
  }
}

Io Connection::handshake() {
  if (!handshaking_) return {IoState::kDone};
  ERR_clear_error();
  int returned = SSL_do_handshake(ssl_);
  if (returned != 1) return tls_result(returned);
  handshaking_ = false;
  wanted_events_ = EPOLLIN;
  certificate_ = peer_certificate(ssl_, certificate_problem_);
  proxy_certificate_ = tls_->proxy_certificate(ssl_);
  forget_certificates(ssl_);
  return {IoState::kDone};
}

Io Connection::read(char* to, size_t size) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    size_t got = 0;
    int returned = SSL_read_ex(ssl_, to, size, &got);
    if (returned == 1) return {IoState::kDone, got};
    return tls_result(returned);
  }
  for (;;) {
    ssize_t got = recv(fd_, to, size, 0);
    if (got > 0) return {IoState::kDone, static_cast<size_t>(got)};
    if (got == 0) return {IoState::kEnd};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return {IoState::kBroken};
    wanted_events_ = EPOLLIN;
    return {IoState::kWouldBlock};
  }
}

Io Connection::write(std::string_view bytes) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    size_t sent = 0;
    int returned = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &sent);
    if (returned == 1) return {IoState::kDone, sent};
    return tls_result(returned);
  }
  for (;;) {
    ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return {IoState::kDone, static_cast<size_t>(sent)};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return {IoState::kBroken};
    wanted_events_ = EPOLLOUT;
    return {IoState::kWouldBlock};
  }
}

bool Connection::has_pending() const { return ssl_ != nullptr && SSL_has_pending(ssl_) == 1; }

void Connection::shutdown_write() {
  if (ssl_ != nullptr && !handshaking_ && !broken_) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
  }
  shutdown(fd_, SHUT_WR);
}

void Connection::describe(Request& request) const {
  request.peer_address = peer_address_;
  request.peer_port = peer_port_;
  request.secure = ssl_ != nullptr;
  request.certificate = certificate_;
  request.certificate_problem = certificate_problem_;
  request.proxy_certificate = proxy_certificate_;
  request.received = std::chrono::steady_clock::now();
}

bool write_fully(Connection& connection, std::string_view bytes,
                 std::chrono::milliseconds patience) {
  while (!bytes.empty()) {
    Io io = connection.write(bytes);
    if (io.state == IoState::kDone) {
      bytes.remove_prefix(io.bytes);
      continue;
    }
    if (io.state != IoState::kWouldBlock) return false;
    pollfd waiting{connection.fd(),
                   static_cast<short>(connection.wanted_events() == EPOLLOUT ? POLLOUT : POLLIN),
                   0};
    WaitScope wait;
    int ready = poll(&waiting, 1, static_cast<int>(patience.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || (waiting.revents & (POLLERR | POLLNVAL)) != 0) return false;
  }
  return true;
}

}  // namespace wherry::http
