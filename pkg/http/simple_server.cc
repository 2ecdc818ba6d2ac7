#include "http/simple_server.h"

#include <fmt/format.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "base/thread.h"

namespace wherry::http {
namespace {

// The library adds what it knows of the connection as if the client had sent it.
bool invented(const std::string& name) {
  return name == "REMOTE_ADDR" || name == "REMOTE_PORT" || name == "LOCAL_ADDR" ||
         name == "LOCAL_PORT";
}

Request request_of(const httplib::Request& from) {
  Request to;
  to.method = from.method;
  to.target = from.target;
  to.path = from.target.substr(0, from.target.find('?'));
  to.body = from.body;
  to.peer_address = from.remote_addr;
  to.peer_port = static_cast<uint16_t>(from.remote_port);
  for (const auto& [name, value] : from.headers) {
    if (!invented(name)) to.headers.add(name, value);
  }
  return to;
}

void answer(Response& from, httplib::Response& to) {
  to.status = from.status;
  std::string body;
  for (const Piece& piece : from.pieces()) body += piece.bytes;
  std::string type;
  for (const auto& [name, value] : from.headers.fields()) {
    if (name == "Content-Type") {
      type = value;
    } else {
      to.set_header(name, value);
    }
  }
  to.set_content(std::move(body), type.empty() ? "text/plain" : type);
}

}  // namespace

class SimpleServer::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {
    auto handle = [this](const httplib::Request& from, httplib::Response& to) {
      Request request = request_of(from);
      Response response;
      options_.handler(request, response);
      answer(response, to);
    };
    server_.Get(".*", handle).Post(".*", handle).Put(".*", handle).Patch(".*", handle);
    server_.Delete(".*", handle).Options(".*", handle);
    server_.set_payload_max_length(options_.body_bytes_max);
    server_.set_keep_alive_timeout(2);  // Seconds that a silent client holds a thread.
    server_.set_read_timeout(10);
    server_.set_write_timeout(10);
    server_.set_socket_options([](int socket) {
      // Not the library's SO_REUSEPORT: a port that is taken is an error to tell.
      int on = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    server_.new_task_queue = [this] { return new httplib::ThreadPool(options_.threads); };
  }

  Result<void> start() {
    errno = 0;
    bool bound = false;
    if (options_.port != 0) {
      bound = server_.bind_to_port(options_.address, options_.port);
      port_ = options_.port;
    } else {
      int port = server_.bind_to_any_port(options_.address);
      bound = port > 0;
      port_ = static_cast<uint16_t>(std::max(port, 0));
    }
    if (!bound) {
      return Error(Code::kUnavailable,
                   fmt::format("cannot listen on {}:{}{}{}", options_.address, options_.port,
                               errno != 0 ? ": " : "", errno != 0 ? std::strerror(errno) : ""));
    }
    listener_ = start_thread("http-simple",
                             [this](const std::stop_token&) { server_.listen_after_bind(); });
    server_.wait_until_ready();
    return {};
  }

  void stop() {
    if (!listener_.joinable()) return;
    server_.stop();
    listener_.join();
  }

  uint16_t port() const { return port_; }

 private:
  const Options options_;
  httplib::Server server_;
  uint16_t port_ = 0;  // Constant once started.
  std::jthread listener_;
};

SimpleServer::SimpleServer(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
SimpleServer::~SimpleServer() { stop(); }
Result<void> SimpleServer::start() { return impl_->start(); }
void SimpleServer::stop() { impl_->stop(); }
uint16_t SimpleServer::port() const { return impl_->port(); }

}  // namespace wherry::http
