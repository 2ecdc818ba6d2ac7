#pragma once
// A small HTTPS client for tests and measurements: a kubeconfig's server and client certificate,
// kept connections, nothing shared with the program's own client. One thread per Connection; a
// Cluster is constant and may be shared.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/strings.h"
#include "json/yaml.h"
#include "os/fd.h"

namespace wherry::test {

struct Cluster {
  std::string host;
  uint16_t port = 0;
  std::shared_ptr<SSL_CTX> context;
};

inline std::string inline_or_file(json::Value from, const std::string& name) {
  if (json::Value data = from[name + "-data"]) return base64_decode(data.as_string()).value_or("");
  return os::read_file(std::string(from[name].as_string())).value_or("");
}

inline bool use_identity(SSL_CTX* context, const std::string& chain, const std::string& key_pem) {
  std::unique_ptr<BIO, decltype(&BIO_free)> in(
      BIO_new_mem_buf(chain.data(), static_cast<int>(chain.size())), &BIO_free);
  X509* certificate = PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr);
  if (certificate == nullptr) return false;
  SSL_CTX_use_certificate(context, certificate);
  X509_free(certificate);
  while (X509* more = PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)) {
    SSL_CTX_add_extra_chain_cert(context, more);
  }
  ERR_clear_error();
  std::unique_ptr<BIO, decltype(&BIO_free)> key_in(
      BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())), &BIO_free);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr);
  if (key == nullptr) return false;
  SSL_CTX_use_PrivateKey(context, key);
  EVP_PKEY_free(key);
  return SSL_CTX_check_private_key(context) == 1;
}

// The first cluster and user of the file. The server's certificate is not verified: it is on
// loopback.
inline Result<Cluster> read_cluster(const std::string& kubeconfig) {
  std::string text = TRY(os::read_file(kubeconfig));
  json::Document file = TRY(json::parse_yaml(text));
  std::string url(file.root()["clusters"].at(0)["cluster"]["server"].as_string());
  std::string_view address = url;
  if (!address.starts_with("https://")) return Error::invalid("{}: no https server", kubeconfig);
  address.remove_prefix(8);
  size_t colon = address.rfind(':');
  Cluster cluster;
  cluster.host = std::string(address.substr(0, colon));
  cluster.port =
      colon == std::string_view::npos
          ? 443
          : static_cast<uint16_t>(std::atoi(std::string(address.substr(colon + 1)).c_str()));
  cluster.context.reset(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  SSL_CTX_set_mode(cluster.context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(cluster.context.get(), 1);  // One system call a record.
  json::Value user = file.root()["users"].at(0)["user"];
  if (!use_identity(cluster.context.get(), inline_or_file(user, "client-certificate"),
                    inline_or_file(user, "client-key"))) {
    return Error::invalid("{}: no usable client certificate", kubeconfig);
  }
  return cluster;
}

// Reads one answer after another out of the bytes that come: Content-Length or chunked.
class AnswerReader {
 public:
  // Of bodies with a length no more than this is kept; the rest is counted.
  void keep_at_most(size_t bytes) { kept_max_ = bytes; }
  void feed(std::string_view bytes) {
    if (stage_ == Stage::kBody && !chunked_ && buffer_.empty()) bytes = take_plain(bytes);
    buffer_.append(bytes);
  }

  // True once an answer is complete: status and body are its, until take() starts the next.
  bool complete() {
    if (stage_ == Stage::kHead && !read_head()) return false;
    if (stage_ == Stage::kBody && chunked_) read_chunks();
    if (stage_ == Stage::kBody && !chunked_) {
      if (!buffer_.empty()) buffer_ = std::string(take_plain(buffer_));
      if (body_size_ == length_) stage_ = Stage::kDone;
    }
    return stage_ == Stage::kDone;
  }
  // For streams: what has come of the body so far, taken out.
  std::string take_body() {
    if (stage_ == Stage::kHead) read_head();
    if (stage_ == Stage::kBody && chunked_) read_chunks();
    return std::exchange(body_, {});
  }
  void reset() {
    stage_ = Stage::kHead;
    body_.clear();
    body_size_ = 0;
  }
  size_t body_size() const { return chunked_ ? body_.size() : body_size_; }
  int status() const { return status_; }
  const std::string& body() const { return body_; }
  bool has_head() const { return stage_ != Stage::kHead; }
  bool ended() const { return stage_ == Stage::kDone; }

 private:
  enum class Stage { kHead, kBody, kDone };

  // Takes what belongs to a body with a length; returns the rest.
  std::string_view take_plain(std::string_view bytes) {
    std::string_view mine = bytes.substr(0, length_ - body_size_);
    body_size_ += mine.size();
    if (body_.size() < kept_max_) body_.append(mine.substr(0, kept_max_ - body_.size()));
    return bytes.substr(mine.size());
  }
  bool read_head() {
    size_t end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    std::string head = to_lower(buffer_.substr(0, end + 2));
    buffer_.erase(0, end + 4);
    status_ = std::atoi(head.c_str() + 9);
    chunked_ = head.find("transfer-encoding: chunked") != std::string::npos;
    size_t at = head.find("content-length:");
    length_ = at == std::string::npos ? 0 : static_cast<size_t>(std::atoll(head.c_str() + at + 15));
    stage_ = Stage::kBody;
    return true;
  }
  void read_chunks() {
    size_t at = 0;
    while (stage_ == Stage::kBody) {
      size_t line = buffer_.find("\r\n", at);
      if (line == std::string::npos) break;
      size_t size = std::strtoul(buffer_.c_str() + at, nullptr, 16);
      if (buffer_.size() < line + 2 + size + 2) break;
      body_.append(buffer_, line + 2, size);
      at = line + 2 + size + 2;
      if (size == 0) stage_ = Stage::kDone;
    }
    buffer_.erase(0, at);
  }

  std::string buffer_, body_;
  Stage stage_ = Stage::kHead;
  int status_ = 0;
  bool chunked_ = false;
  size_t length_ = 0;
  size_t body_size_ = 0;
  size_t kept_max_ = SIZE_MAX;
};

struct Answer {
  int status = 0;  // 0: no answer, the connection broke.
  std::string body;
};

inline std::string request_text(const Cluster& cluster, std::string_view method,
                                std::string_view path, std::string_view body = {},
                                std::string_view type = "application/json") {
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n",
                                 method, path, cluster.host);
  if (!body.empty())
    text += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", type, body.size());
  text += "\r\n";
  text += body;
  return text;
}

class Connection {
 public:
  explicit Connection(const Cluster& cluster) : cluster_(cluster) {}
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool open() {
    close();
    fd_ = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(cluster_.port);
    inet_pton(AF_INET, cluster_.host.c_str(), &to.sin_addr);
    if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return false;
    int one = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ssl_ = SSL_new(cluster_.context.get());
    SSL_set_fd(ssl_, fd_.get());
    if (SSL_connect(ssl_) != 1) {
      close();
      return false;
    }
    reader_ = {};
    return true;
  }
  void close() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    ssl_ = nullptr;
    fd_ = {};
  }
  bool is_open() const { return ssl_ != nullptr; }
  int fd() const { return fd_.get(); }
  // Bytes are at hand that no poll of the descriptor tells about.
  bool has_pending() const { return SSL_has_pending(ssl_) == 1; }
  SSL* ssl() const { return ssl_; }

  bool send(std::string_view text) {
    while (!text.empty()) {
      int sent = SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Opens the connection when it is not, and closes it when the answer does not come whole.
  Answer request(std::string_view method, std::string_view path, std::string_view body = {},
                 std::string_view type = "application/json") {
    if (!is_open() && !open()) return {};
    reader_.reset();
    if (!send(request_text(cluster_, method, path, body, type))) return fail();
    while (!reader_.complete()) {
      if (!read_some()) return fail();
    }
    Answer answer{reader_.status(), reader_.body()};
    reader_.reset();
    return answer;
  }
  // For streams: the next piece of the body, empty when nothing came in time, absent at the end.
  std::optional<std::string> read_stream(int limit_ms) {
    if (std::string piece = reader_.take_body(); !piece.empty()) return piece;
    if (reader_.ended()) return std::nullopt;
    if (SSL_has_pending(ssl_) == 0) {
      pollfd waited{fd_.get(), POLLIN, 0};
      if (::poll(&waited, 1, limit_ms) == 0) return std::string();
    }
    if (!read_some()) return std::nullopt;
    return reader_.take_body();
  }
  int stream_status() const { return reader_.has_head() ? reader_.status() : 0; }

 private:
  bool read_some() {
    char bytes[32 << 10];
    int got = SSL_read(ssl_, bytes, sizeof bytes);
    if (got <= 0) return false;
    reader_.feed({bytes, static_cast<size_t>(got)});
    return true;
  }
  Answer fail() {
    close();
    return {};
  }

  const Cluster& cluster_;
  os::Fd fd_;
  SSL* ssl_ = nullptr;
  AnswerReader reader_;
};

}  // namespace wherry::test
