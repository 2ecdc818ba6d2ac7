#pragma once
// One event to many watchers: how long until the last of them has read it. The watchers are read by
// one epoll thread a core, which only decrypt what comes and look for the object's name in it, so
// that nothing else of the client stands in the time.

#include <semaphore.h>

#include <atomic>
#include <thread>

#include "json/json.h"
#include "requests.h"

namespace wherry::test {

class Fan {
 public:
  Fan(const Cluster& cluster, std::string path, size_t watches)
      : cluster_(cluster), path_(std::move(path)), writer_(cluster) {
    if (!writer_.open()) give_up("cannot connect");
    open_watches(watches, version());
    size_t cores = std::max(1U, std::thread::hardware_concurrency());
    size_t count = std::min(cores, watches);
    sem_init(&all_have_it_, 0, 0);
    for (size_t i = 0; i < count; ++i) epolls_.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
    for (size_t i = 0; i < watches; ++i) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = watches_[i].get();
      ::epoll_ctl(epolls_[i % count].get(), EPOLL_CTL_ADD, watches_[i]->connection.fd(), &event);
    }
    for (size_t i = 0; i < count; ++i) {
      readers_.emplace_back([this, i](const std::stop_token& stop) { read_all(i, stop); });
    }
  }

  // Times of `events` objects that are created one after another: from before the request is sent
  // until the first and until the last watcher has the event.
  void run(int events) {
    uint64_t number = static_cast<uint64_t>(Clock::now().time_since_epoch().count());
    std::vector<double> first, last;
    double cpu = cpu_ms();
    for (int i = 0; i < events; ++i) {
      // All names are equally long: the readers compare without a lock.
      std::string name = fmt::format("fan-{:016x}", number++);
      std::string text = request_text(
          cluster_, "POST", path_,
          fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}"}}}})",
                      name));
      name_ = name;
      left_ = watches_.size();
      first_ns_ = 0;
      Clock::time_point begin = Clock::now();
      if (!writer_.send(text)) give_up("the writer's connection broke");
      wait_for_all();
      auto after = [begin](int64_t ns) {
        return static_cast<double>(ns - begin.time_since_epoch().count()) / 1e6;
      };
      first.push_back(after(first_ns_));
      last.push_back(after(last_ns_));
      read_answer();
      ::poll(nullptr, 0, 20);
    }
    std::sort(first.begin(), first.end());
    std::sort(last.begin(), last.end());
    std::printf("last_p50=%.2f last_p99=%.2f first_p50=%.2f client_us=%.1f\n", at_share(last, 0.5),
                at_share(last, 0.99), at_share(first, 0.5),
                (cpu_ms() - cpu) * 1000 / events / static_cast<double>(watches_.size()));
  }

 private:
  static constexpr size_t kNameBytes = 20;
  struct Watch {
    explicit Watch(const Cluster& cluster) : connection(cluster) {}
    Connection connection;
    std::string tail;  // The end of what came, in which a name may have begun.
    std::string seen;  // The last event it had.
  };

  std::string version() {
    Connection connection(cluster_);
    Answer list = connection.request("GET", path_ + "?limit=1");
    Result<json::Document> parsed = json::Document::parse(list.body);
    if (!parsed.ok()) give_up(list.body);
    return std::string(parsed->root()["metadata"]["resourceVersion"].as_string());
  }
  void open_watches(size_t count, const std::string& from) {
    std::string text =
        request_text(cluster_, "GET", fmt::format("{}?watch=1&resourceVersion={}", path_, from));
    for (size_t i = 0; i < count; ++i) {
      watches_.push_back(std::make_unique<Watch>(cluster_));
      Connection& connection = watches_.back()->connection;
      if (!connection.open() || !connection.send(text)) give_up("a watch cannot be opened");
    }
    // The head of each answer, after which it is in the server's hands.
    for (auto& watch : watches_) {
      char bytes[4096];
      if (SSL_read(watch->connection.ssl(), bytes, sizeof bytes) <= 0) give_up("a watch ended");
      ::fcntl(watch->connection.fd(), F_SETFL, O_NONBLOCK);
    }
  }
  void read_all(size_t at, const std::stop_token& stop) {
    epoll_event ready[256];
    while (!stop.stop_requested()) {
      int count = ::epoll_wait(epolls_[at].get(), ready, 256, 200);
      for (int i = 0; i < count; ++i) read(*static_cast<Watch*>(ready[i].data.ptr));
    }
  }
  void read(Watch& watch) {
    char bytes[16 << 10];
    for (;;) {
      int got = SSL_read(watch.connection.ssl(), bytes, sizeof bytes);
      if (got <= 0) {
        if (SSL_get_error(watch.connection.ssl(), got) != SSL_ERROR_WANT_READ)
          give_up("a watch ended");
        return;
      }
      std::string_view come(bytes, static_cast<size_t>(got));
      bool found = come.find(name_) != std::string_view::npos;
      if (!found && !watch.tail.empty()) {
        watch.tail.append(come.substr(0, kNameBytes));
        found = watch.tail.find(name_) != std::string::npos;
      }
      watch.tail = come.substr(come.size() - std::min(come.size(), kNameBytes - 1));
      if (found && watch.seen != name_) note(watch);
      // A record is all there was, but for the rare one that came in parts.
      if (SSL_has_pending(watch.connection.ssl()) == 0) return;
    }
  }
  void note(Watch& watch) {
    watch.seen = name_;
    size_t left = left_.fetch_sub(1);
    if (left == watches_.size()) first_ns_ = Clock::now().time_since_epoch().count();
    if (left != 1) return;
    last_ns_ = Clock::now().time_since_epoch().count();
    sem_post(&all_have_it_);
  }
  void wait_for_all() {
    timespec until{};
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    while (sem_timedwait(&all_have_it_, &until) != 0) {
      if (errno == ETIMEDOUT) give_up(fmt::format("{} watches have no event", left_.load()));
    }
  }
  void read_answer() {
    AnswerCounter answer;
    char bytes[8192];
    for (bool done = false; !done;) {
      int got = SSL_read(writer_.ssl(), bytes, sizeof bytes);
      if (got <= 0) give_up("the writer's connection broke");
      done = answer.feed({bytes, static_cast<size_t>(got)});
    }
    if (answer.status() != 201) give_up(answer.kept());
  }

  const Cluster& cluster_;
  const std::string path_;
  Connection writer_;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::vector<os::Fd> epolls_;
  std::string name_;  // Written before the request is sent, while no event is under way.
  std::atomic<size_t> left_{0};
  std::atomic<int64_t> first_ns_{0}, last_ns_{0};
  sem_t all_have_it_{};
  std::vector<std::jthread> readers_;  // Last: they stop first.
};

}  // namespace wherry::test
