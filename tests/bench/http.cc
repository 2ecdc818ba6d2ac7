// The HTTP server by itself: requests over kept TLS connections, idle watches, and one event to all
// of them. Server and clients are two processes, so that CPU and memory are the server's alone.
//
//   http [CONNECTIONS] [SECONDS] [WATCHES]     (8, 3, 1000)

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/mutex.h"
#include "http/server.h"
#include "pki/pki.h"

namespace wherry {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr size_t kBodyBytes = 4900;  // A Pod.

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto of = [](timeval time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

double resident_kib() {
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024;
}

// ---- The clients' process: commands come by a pipe, answers go back by another.

class Connection {
 public:
  Connection(SSL_CTX* context, uint16_t port)
      : fd_(socket(AF_INET, SOCK_STREAM, 0)), ssl_(SSL_new(context)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) _exit(3);
    SSL_set_fd(ssl_, fd_);
    if (SSL_connect(ssl_) != 1) _exit(4);
  }
  ~Connection() {
    SSL_free(ssl_);
    close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void send(std::string_view text) { SSL_write(ssl_, text.data(), static_cast<int>(text.size())); }
  void read_bytes(size_t wanted) {
    char buffer[16 << 10];
    while (wanted > 0) {
      int got = SSL_read(ssl_, buffer, static_cast<int>(std::min(sizeof(buffer), wanted)));
      if (got <= 0) _exit(5);
      wanted -= static_cast<size_t>(got);
    }
  }
  // Head and a body of known length; returns the size of both.
  size_t read_answer() {
    char buffer[16 << 10];
    size_t size = 0;
    while (size < kBodyBytes) {
      int got = SSL_read(ssl_, buffer, sizeof(buffer));
      if (got <= 0) _exit(6);
      size += static_cast<size_t>(got);
    }
    return size;
  }

 private:
  int fd_;
  SSL* ssl_;
};

void answer(int out, double value) { (void)!write(out, &value, sizeof(value)); }

[[noreturn]] void run_clients(int in, int out, unsigned connections, double seconds,
                              unsigned watches) {
  uint16_t port = 0;
  if (read(in, &port, sizeof(port)) != sizeof(port)) _exit(2);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());

  std::atomic<uint64_t> requests{0};
  auto end = std::chrono::steady_clock::now() + Seconds(seconds);
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < connections; ++i) {
      threads.emplace_back([&] {
        Connection connection(context, port);
        while (std::chrono::steady_clock::now() < end) {
          connection.send("GET /pod HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n\r\n");
          connection.read_answer();
          ++requests;
        }
      });
    }
  }
  answer(out, static_cast<double>(requests));

  std::vector<std::unique_ptr<Connection>> all;
  for (unsigned i = 0; i < watches; ++i) {
    all.push_back(std::make_unique<Connection>(context, port));
    all.back()->send("GET /watch HTTP/1.1\r\nHost: bench\r\n\r\n");
    all.back()->read_bytes(1);
  }
  answer(out, 0);
  char go = 0;
  (void)!read(in, &go, 1);
  // The last client has the event when the whole of it has been read from each.
  for (auto& connection : all) connection->read_bytes(kBodyBytes);
  answer(
      out,
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count());
  (void)!read(in, &go, 1);
  _exit(0);
}

// ---- The server's process

class Source final : public http::EventSource {
 public:
  void ended(http::HubEnd /*reason*/) override {}
};

struct Watches {
  Mutex mutex;
  std::vector<std::shared_ptr<http::HubConnection>> all GUARDED_BY(mutex);
};

double next(int in) {
  double value = 0;
  if (read(in, &value, sizeof(value)) != sizeof(value)) {
    std::fprintf(stderr, "bench: the clients failed\n");
    std::exit(1);
  }
  return value;
}

int run_server(int in, int out, unsigned connections, double seconds, unsigned watches) {
  auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  pki::Authority authority = pki::Authority::create("bench", now);
  pki::Key key = pki::Key::generate();
  auto certificate =
      authority.issue(key, {.subject = {"bench", {}}, .server_auth = true, .now = now});
  auto pod = std::make_shared<const std::string>(kBodyBytes, 'p');
  Watches open;
  http::Server::Options options;
  options.addresses = {"127.0.0.1:0"};
  options.tls = std::make_shared<http::TlsCredentials>(
      http::TlsCredentials{certificate->pem(), key.private_pem(), authority.certificate.pem()});
  options.handler = [&](http::Request& request, http::Response& response) {
    if (request.path != "/watch") return response.set_body("application/json", pod);
    auto handle = response.hijack_to_hub("application/json", std::make_shared<Source>());
    MutexLock lock(open.mutex);
    open.all.push_back(std::move(handle));
  };
  http::Server server(std::move(options));
  Result<void> started = server.start();
  if (!started.ok()) {
    std::fprintf(stderr, "bench: %s\n", started.error().message().c_str());
    return 1;
  }
  uint16_t port = server.port();
  double cpu = cpu_seconds();
  (void)!write(out, &port, sizeof(port));
  double requests = next(in);
  std::printf("GET of %zu bytes over TLS, %u connections: %.0f/s, server CPU %.1f us each\n",
              kBodyBytes, connections, requests / seconds, (cpu_seconds() - cpu) / requests * 1e6);

  double resident = resident_kib();
  (void)next(in);
  std::printf("%u idle TLS watches: %.1f KiB resident each, %zu threads for requests\n", watches,
              (resident_kib() - resident) / watches, server.counters().workers);
  cpu = cpu_seconds();
  poll(nullptr, 0, 2000);
  std::printf("2 s of silence: %.1f ms of CPU\n", (cpu_seconds() - cpu) * 1e3);

  cpu = cpu_seconds();
  double begin =
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  (void)!write(out, "g", 1);
  {
    MutexLock lock(open.mutex);
    for (auto& handle : open.all) handle->post(pod);
  }
  double end = next(in);
  std::printf("one event to all: the last client has it after %.1f ms, server CPU %.1f ms\n",
              (end - begin) * 1e3, (cpu_seconds() - cpu) * 1e3);
  (void)!write(out, "g", 1);
  return 0;
}

}  // namespace
}  // namespace wherry

int main(int count, char** words) {
  auto number = [&](int at, double otherwise) {
    return count > at ? std::atof(words[at]) : otherwise;
  };
  auto connections = static_cast<unsigned>(number(1, 8));
  double seconds = number(2, 3);
  auto watches = static_cast<unsigned>(number(3, 1000));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  int to_clients[2];
  int to_server[2];
  if (pipe(to_clients) != 0 || pipe(to_server) != 0) return 1;
  pid_t child = fork();  // tidy: allow(fork): the clients' cost must not count as the server's.
  if (child == 0) wherry::run_clients(to_clients[0], to_server[1], connections, seconds, watches);
  int result = wherry::run_server(to_server[0], to_clients[1], connections, seconds, watches);
  waitpid(child, nullptr, 0);
  return result;
}
