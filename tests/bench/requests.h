#pragma once
// Requests one after another over kept TLS connections, and what they took. One thread with one
// epoll, and answers are counted rather than kept, so that the client costs as little as TLS lets
// it: it runs on the same cores as the server that is measured. The same for every server.

#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../lib/https_client.h"

namespace wherry::test {

using Clock = std::chrono::steady_clock;

inline double since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

inline double at_share(std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

[[noreturn]] inline void give_up(const std::string& why) {
  std::fprintf(stderr, "load: %s\n", why.c_str());
  std::exit(1);
}

// Thousands of connections, of which any may break.
inline void prepare_process() {
  std::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

// User and system time of this process so far, ms.
inline double cpu_ms() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto of = [](timeval time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

// Finds where an answer ends, with a length or chunked, and counts the bytes of its body; the first
// few of them are kept.
class AnswerCounter {
 public:
  // True when the answer is complete. Nothing may come behind it.
  bool feed(std::string_view bytes) {
    if (stage_ == Stage::kHead && !take_head(bytes)) return false;
    if (stage_ == Stage::kBody) take_body(bytes);
    return stage_ == Stage::kDone;
  }
  void reset() {
    stage_ = Stage::kHead;
    head_.clear();
    kept_.clear();
    body_size_ = 0;
  }
  int status() const { return status_; }
  size_t body_size() const { return body_size_; }
  const std::string& kept() const { return kept_; }

 private:
  enum class Stage { kHead, kBody, kDone };
  static constexpr size_t kKeptBytes = 500;  // A list's head is within.

  bool take_head(std::string_view& bytes) {
    size_t before = head_.size();
    head_.append(bytes);
    size_t end = head_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    bytes.remove_prefix(end + 4 - before);
    head_.resize(end + 2);
    status_ = std::atoi(head_.c_str() + 9);
    chunked_ = field("\r\nTransfer-Encoding:").find("chunked") != std::string_view::npos;
    std::string_view length = field("\r\nContent-Length: ");
    left_ = 0;
    std::from_chars(length.data(), length.data() + length.size(), left_);
    line_.clear();
    in_chunk_ = false;
    stage_ = chunked_ || left_ > 0 ? Stage::kBody : Stage::kDone;
    return true;
  }
  // What stands behind `name`; servers written in Go and in C++ spell these names alike.
  std::string_view field(std::string_view name) const {
    size_t at = head_.find(name);
    if (at == std::string::npos) return {};
    at += name.size();
    return std::string_view(head_).substr(at, head_.find("\r\n", at) - at);
  }
  void take_body(std::string_view bytes) {
    if (!chunked_) {
      count(bytes);
      if (left_ == 0) stage_ = Stage::kDone;
      return;
    }
    while (!bytes.empty() && stage_ == Stage::kBody) {
      if (in_chunk_ && left_ > 0) {
        bytes.remove_prefix(count(bytes));
        continue;
      }
      // A line: the size of a chunk, or the empty one behind it.
      line_ += bytes.front();
      bytes.remove_prefix(1);
      if (!line_.ends_with("\r\n")) continue;
      if (!in_chunk_) {
        std::from_chars(line_.data(), line_.data() + line_.size(), left_, 16);
        last_ = left_ == 0;
      } else if (last_) {
        stage_ = Stage::kDone;
      }
      in_chunk_ = !in_chunk_;
      line_.clear();
    }
  }
  size_t count(std::string_view bytes) {
    size_t mine = std::min(left_, bytes.size());
    if (kept_.size() < kKeptBytes) kept_.append(bytes.substr(0, std::min(mine, kKeptBytes)));
    left_ -= mine;
    body_size_ += mine;
    return mine;
  }

  Stage stage_ = Stage::kHead;
  std::string head_, kept_, line_;
  int status_ = 0;
  bool chunked_ = false, in_chunk_ = false, last_ = false;
  size_t left_ = 0;  // Of the body, or of the chunk.
  size_t body_size_ = 0;
};

// Connections that always have one request under way. `next` makes the text of each, in place, and
// sees the beginning of the answer that came before on that connection.
class Load {
 public:
  using Next = std::function<void(std::string& text, std::string_view before)>;

  Load(const Cluster& cluster, size_t connections, Next next)
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)), next_(std::move(next)) {
    for (size_t i = 0; i < connections; ++i) {
      clients_.push_back(std::make_unique<Client>(cluster));
      Client& client = *clients_.back();
      if (!client.connection.open()) give_up("cannot connect");
      SSL_set_default_read_buffer_len(client.connection.ssl(), 64 << 10);
      ::fcntl(client.connection.fd(), F_SETFL, O_NONBLOCK);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &client;
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.connection.fd(), &event);
    }
  }

  void run(double seconds) {
    double cpu = cpu_ms();
    Clock::time_point begin = Clock::now();
    Clock::time_point end = begin + std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6));
    for (auto& client : clients_) start(*client, Clock::now());
    epoll_event events[64];
    while (Clock::now() < end) {
      int count = ::epoll_wait(epoll_.get(), events, 64, 1000);
      for (int i = 0; i < count; ++i) {
        auto& client = *static_cast<Client*>(events[i].data.ptr);
        if (!read(client)) continue;
        Clock::time_point now = Clock::now();
        times_.push_back(std::chrono::duration<double, std::milli>(now - client.begun).count());
        if (now < end) start(client, now);
      }
    }
    seconds_ = since(begin) / 1000;
    cpu_ms_ = cpu_ms() - cpu;
  }
  void report(const char* what, int expected_status) {
    std::sort(times_.begin(), times_.end());
    size_t good = statuses_.contains(expected_status) ? statuses_[expected_status] : 0;
    double rate = static_cast<double>(good) / seconds_;
    std::printf("%s=%.*f p50=%.3f p99=%.3f bytes=%zu other=%zu client_us=%.1f\n", what,
                rate < 100 ? 1 : 0, rate, at_share(times_, 0.5), at_share(times_, 0.99),
                last_bytes_, times_.size() - good,
                times_.empty() ? 0 : cpu_ms_ * 1000 / static_cast<double>(times_.size()));
    if (good < times_.size())
      std::fprintf(stderr, "load: other answers, such as %s\n", odd_.c_str());
  }

 private:
  struct Client {
    explicit Client(const Cluster& cluster) : connection(cluster) {}
    Connection connection;
    AnswerCounter answer;
    Clock::time_point begun;
  };

  void start(Client& client, Clock::time_point now) {
    client.begun = now;
    next_(text_, client.answer.kept());
    client.answer.reset();
    if (!client.connection.send(text_)) give_up("the connection broke");
  }
  // True when an answer is complete.
  bool read(Client& client) {
    char bytes[16 << 10];
    while (true) {
      int got = SSL_read(client.connection.ssl(), bytes, sizeof bytes);
      if (got <= 0) {
        if (SSL_get_error(client.connection.ssl(), got) != SSL_ERROR_WANT_READ)
          give_up("the connection broke");
        return false;
      }
      if (!client.answer.feed({bytes, static_cast<size_t>(got)})) continue;
      last_bytes_ = client.answer.body_size();
      if (statuses_[client.answer.status()]++ == 0) odd_ = client.answer.kept();
      return true;
    }
  }

  os::Fd epoll_;
  Next next_;
  std::string text_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<double> times_;
  std::map<int, size_t> statuses_;
  std::string odd_;
  size_t last_bytes_ = 0;
  double seconds_ = 1, cpu_ms_ = 0;
};

}  // namespace wherry::test
