// What the machine itself takes, to stand beside what a server takes on it: the least that TLS, the
// loopback, the disk and the memory cost for the same bytes.
//
//   floor serve BYTES KUBECONFIG SECONDS   a TLS server that answers whatever comes with BYTES, for
//                                          load to measure like any other
//   floor fan CONNECTIONS BYTES EVENTS     BYTES to each of many plain connections and read there
//   floor commit ROWS SECONDS FOLDER       rows of 1.5 kB, ROWS to a synced SQLite transaction
//   floor copy SECONDS                     one core: memcpy and AES-128-GCM of 16 KiB pieces
//
// Prints "name=value" like load; "serve" says so once it listens.

#include <openssl/evp.h>
#include <semaphore.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "pki/pki.h"
#include "requests.h"
#include "store/database.h"

namespace wherry::test {
namespace {

std::pair<os::Fd, uint16_t> listen_anywhere() {
  os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bool ready = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 &&
               ::listen(fd.get(), 1024) == 0 &&
               ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (!ready) give_up("no socket to listen on");
  return {std::move(fd), ntohs(address.sin_port)};
}

size_t cores() { return std::max(1U, std::thread::hardware_concurrency()); }

// ---- The smallest server: no parsing, one buffer, one thread a core.

class Smallest {
 public:
  Smallest(size_t bytes, const std::string& kubeconfig)
      : context_(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free) {
    answer_ = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes);
    answer_.append(bytes, 'a');
    auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    pki::Authority authority = pki::Authority::create("floor", now);
    pki::Key key = pki::Key::generate();
    auto certificate =
        authority.issue(key, {.subject = {"floor", {}}, .server_auth = true, .now = now});
    if (!use_identity(context_.get(), certificate->pem(), key.private_pem()))
      give_up("no certificate");
    // What the server that it is compared with would choose.
    SSL_CTX_set_ciphersuites(context_.get(), "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_options(context_.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_num_tickets(context_.get(), 0);
    SSL_CTX_set_read_ahead(context_.get(), 1);
    SSL_CTX_set_mode(context_.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    uint16_t port = 0;
    std::tie(listener_, port) = listen_anywhere();
    std::ofstream(kubeconfig) << fmt::format(
        "clusters: [{{cluster: {{server: \"https://127.0.0.1:{}\"}}}}]\n"
        "users: [{{user: {{client-certificate-data: {}, client-key-data: {}}}}}]\n",
        port, base64_encode(certificate->pem()), base64_encode(key.private_pem()));
    for (size_t i = 0; i < cores(); ++i) {
      epolls_.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
      threads_.emplace_back([this, i](const std::stop_token& stop) { serve(i, stop); });
    }
    threads_.emplace_back([this](const std::stop_token& stop) { accept(stop); });
  }

 private:
  struct Peer {
    os::Fd fd;
    SSL* ssl = nullptr;
    size_t sent = SIZE_MAX;  // Of the answer; SIZE_MAX: none is under way.
  };

  void accept(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd waited{listener_.get(), POLLIN, 0};
      if (::poll(&waited, 1, 200) != 1) continue;
      int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      auto peer = std::make_unique<Peer>();
      peer->fd = os::Fd(fd);
      int one = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      peer->ssl = SSL_new(context_.get());
      SSL_set_fd(peer->ssl, fd);
      if (SSL_accept(peer->ssl) != 1) continue;
      ::fcntl(fd, F_SETFL, O_NONBLOCK);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.ptr = peer.get();
      peers_.push_back(std::move(peer));
      ::epoll_ctl(epolls_[peers_.size() % epolls_.size()].get(), EPOLL_CTL_ADD, fd, &event);
    }
  }
  void serve(size_t at, const std::stop_token& stop) {
    epoll_event ready[64];
    while (!stop.stop_requested()) {
      int count = ::epoll_wait(epolls_[at].get(), ready, 64, 200);
      for (int i = 0; i < count; ++i) go_on(*static_cast<Peer*>(ready[i].data.ptr));
    }
  }
  void go_on(Peer& peer) {
    char bytes[4096];
    for (;;) {
      if (peer.sent == SIZE_MAX) {
        if (SSL_read(peer.ssl, bytes, sizeof bytes) <= 0) return;
        peer.sent = 0;
      }
      while (peer.sent < answer_.size()) {
        int sent = SSL_write(peer.ssl, answer_.data() + peer.sent,
                             static_cast<int>(answer_.size() - peer.sent));
        if (sent <= 0) return;
        peer.sent += static_cast<size_t>(sent);
      }
      peer.sent = SIZE_MAX;
    }
  }

  std::shared_ptr<SSL_CTX> context_;
  std::string answer_;
  os::Fd listener_;
  std::vector<os::Fd> epolls_;
  std::vector<std::unique_ptr<Peer>> peers_;  // The accepting thread's; they stay to the end.
  std::vector<std::jthread> threads_;
};

int run_serve(size_t bytes, const std::string& kubeconfig, double seconds) {
  Smallest server(bytes, kubeconfig);
  std::printf("serves=%zu\n", bytes);
  std::fflush(stdout);
  ::poll(nullptr, 0, static_cast<int>(seconds * 1000));
  std::_Exit(0);
}

// ---- One event to many, without TLS

int run_fan(size_t connections, size_t bytes, int events) {
  auto [listener, port] = listen_anywhere();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(port);
  std::vector<os::Fd> epolls, senders, receivers;
  for (size_t i = 0; i < cores(); ++i) epolls.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
  for (size_t i = 0; i < connections; ++i) {
    receivers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(receivers[i].get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      give_up("cannot connect");
    senders.emplace_back(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    int one = 1;
    setsockopt(senders[i].get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = receivers[i].get();
    ::epoll_ctl(epolls[i % epolls.size()].get(), EPOLL_CTL_ADD, event.data.fd, &event);
  }
  std::atomic<size_t> left{0};
  std::atomic<int> round{0};
  sem_t done;
  sem_init(&done, 0, 0);
  std::vector<std::jthread> threads;
  for (size_t t = 0; t < epolls.size(); ++t) {
    threads.emplace_back([&, t](const std::stop_token& stop) {
      epoll_event ready[256];
      char room[16 << 10];
      while (!stop.stop_requested()) {
        int count = ::epoll_wait(epolls[t].get(), ready, 256, 200);
        for (int i = 0; i < count; ++i) {
          if (::read(ready[i].data.fd, room, sizeof room) > 0 && left.fetch_sub(1) == 1)
            sem_post(&done);
        }
      }
    });
    threads.emplace_back([&, t](const std::stop_token& stop) {
      std::string text(bytes, 'e');
      for (int seen = 0; !stop.stop_requested();) {
        round.wait(seen);
        seen = round;
        if (stop.stop_requested()) return;
        for (size_t i = t; i < senders.size(); i += epolls.size()) {
          if (::write(senders[i].get(), text.data(), text.size()) < 0) give_up("cannot write");
        }
      }
    });
  }
  std::vector<double> times;
  for (int i = 0; i < events; ++i) {
    ::poll(nullptr, 0, 20);
    left = connections;
    Clock::time_point begin = Clock::now();
    ++round;
    round.notify_all();
    while (sem_wait(&done) != 0) {
    }
    times.push_back(since(begin));
  }
  for (auto& thread : threads) thread.request_stop();
  ++round;
  round.notify_all();
  threads.clear();
  std::sort(times.begin(), times.end());
  std::printf("last_p50=%.2f last_p99=%.2f\n", at_share(times, 0.5), at_share(times, 0.99));
  return 0;
}

// ---- Disk and memory

int run_commit(int rows, double seconds, const std::string& folder) {
  std::filesystem::create_directories(folder);
  Result<store::Database> opened = store::Database::open(folder + "/floor.db", "");
  if (!opened.ok()) give_up(opened.error().message());
  store::Database& database = *opened;
  Result<int64_t> resource = database.add_resource("rows");
  if (!resource.ok()) give_up(resource.error().message());
  std::string value(1500, 'v');
  int64_t row = 0;
  Clock::time_point begin = Clock::now();
  while (since(begin) < seconds * 1000) {
    Result<void> done = database.begin();
    for (int i = 0; i < rows && done.ok(); ++i) {
      ++row;
      done = database.put_object({row, *resource, row, value});
      if (done.ok()) done = database.append_log({row, *resource, 0, row, {}});
    }
    if (done.ok()) done = database.commit();
    if (!done.ok()) give_up(done.error().message());
    database.checkpoint_if_over(1000);
  }
  std::printf("per_second=%.0f\n", static_cast<double>(row) * 1000 / since(begin));
  return 0;
}

int run_copy(double seconds) {
  constexpr size_t kRecord = 16 << 10;
  constexpr size_t kAll = 8 << 20;  // More than the second level of cache holds.
  std::vector<unsigned char> from(kAll, 1), to(kAll + 16);
  auto rate = [&](auto&& piece) {
    size_t count = 0;
    Clock::time_point begin = Clock::now();
    for (size_t at = 0; since(begin) < seconds * 1000; at = (at + kRecord) % kAll, ++count)
      piece(from.data() + at, to.data() + at);
    return static_cast<double>(count) * kRecord / since(begin) / 1000;
  };
  double copied = rate([](const unsigned char* in, unsigned char* out) {
    std::memcpy(out, in, kRecord);
    asm volatile("" : : "r"(out) : "memory");
  });
  std::shared_ptr<EVP_CIPHER_CTX> cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  unsigned char key[16] = {1}, nonce[12] = {2}, tag[16];
  EVP_EncryptInit_ex(cipher.get(), EVP_aes_128_gcm(), nullptr, key, nonce);
  double sealed = rate([&](const unsigned char* in, unsigned char* out) {
    int size = 0;
    EVP_EncryptInit_ex(cipher.get(), nullptr, nullptr, nullptr, nonce);
    EVP_EncryptUpdate(cipher.get(), out, &size, in, kRecord);
    EVP_EncryptFinal_ex(cipher.get(), out, &size);
    EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag);
  });
  std::printf("copy_mb=%.0f seal_mb=%.0f\n", copied, sealed);
  return 0;
}

int run(const std::vector<std::string>& words) {
  auto number = [&](size_t at) { return std::atof(words[at].c_str()); };
  const std::string& what = words[0];
  if (what == "serve" && words.size() == 4)
    return run_serve(static_cast<size_t>(number(1)), words[2], number(3));
  if (what == "fan" && words.size() == 4)
    return run_fan(static_cast<size_t>(number(1)), static_cast<size_t>(number(2)),
                   static_cast<int>(number(3)));
  if (what == "commit" && words.size() == 4)
    return run_commit(static_cast<int>(number(1)), number(2), words[3]);
  if (what == "copy" && words.size() == 2) return run_copy(number(1));
  give_up("what? The words are in the head of tests/bench/floor.cc");
}

}  // namespace
}  // namespace wherry::test

int main(int count, char** words) {
  wherry::test::prepare_process();
  if (count < 2) wherry::test::give_up("floor serve|fan|commit|copy ...");
  return wherry::test::run({words + 1, words + count});
}
