// The server is killed with SIGKILL at a random moment while clients write, N times. What must
// hold:
//
//   - no acknowledged write is lost: each object holds the value of its last acknowledged write, or
//   of
//     one that was under way when the server died
//   - revisions never repeat and never go back, over all lives of the server
//   - a watch that goes on from the last revision it saw gets every acknowledged write once, in
//   order
//   - the server is ready again in less than a second
//
//   kill_rounds PROGRAM FOLDER ROUNDS [SEED] [WRITERS]

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "../lib/https_client.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "os/file.h"
#include "os/process.h"

namespace wherry::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

#ifdef __SANITIZE_ADDRESS__
constexpr int kReadyLimitMs = 10000;
#else
constexpr int kReadyLimitMs = 1000;
#endif
constexpr int kObjectsPerWriter = 8;
constexpr char kMaps[] = "/api/v1/namespaces/default/configmaps";

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// What one object may look like: the last acknowledged value, and values that were sent since.
struct Expected {
  std::string acknowledged;         // "" for absent.
  std::set<std::string> under_way;  // Sent without an answer since then.
};

// Shared by writers and the checker; the first violation is kept and ends the run.
class Ledger {
 public:
  void acknowledged(const std::string& name, const std::string& value, int64_t revision) {
    MutexLock lock(mutex_);
    objects_[name] = {value, {}};
    ++writes_;
    if (revision == 0) return;
    if (!revisions_.emplace(revision, name + "=" + value).second) {
      complain(fmt::format("revision {} was given twice: {} and {}={}", revision,
                           revisions_[revision], name, value));
    }
    if (revision <= floor_) {
      complain(fmt::format("revision {} of {} is not above {}, seen before the kill", revision,
                           name, floor_));
    }
  }
  void unanswered(const std::string& name, const std::string& value) {
    MutexLock lock(mutex_);
    objects_[name].under_way.insert(value);
  }
  void complain(const std::string& text) REQUIRES(mutex_) {
    if (violation_.empty()) violation_ = text;
  }
  void report(const std::string& text) {
    MutexLock lock(mutex_);
    complain(text);
  }
  // At a kill: all later revisions are above those given so far.
  void new_life() {
    MutexLock lock(mutex_);
    if (!revisions_.empty()) floor_ = std::max(floor_, revisions_.rbegin()->first);
  }
  // After a restart `found` is what there is; it becomes the truth.
  void compare(const std::map<std::string, std::string>& found) {
    MutexLock lock(mutex_);
    for (auto& [name, expected] : objects_) {
      auto there = found.find(name);
      std::string value = there == found.end() ? "" : there->second;
      if (value != expected.acknowledged && !expected.under_way.contains(value)) {
        complain(fmt::format("{} is \"{}\", acknowledged was \"{}\"", name, value,
                             expected.acknowledged));
      }
      expected = {value, {}};
    }
  }
  std::map<int64_t, std::string> revisions() {
    MutexLock lock(mutex_);
    return revisions_;
  }
  std::string violation() {
    MutexLock lock(mutex_);
    return violation_;
  }
  size_t writes() {
    MutexLock lock(mutex_);
    return writes_;
  }

 private:
  Mutex mutex_;
  std::map<std::string, Expected> objects_ GUARDED_BY(mutex_);
  std::map<int64_t, std::string> revisions_ GUARDED_BY(mutex_);
  std::string violation_ GUARDED_BY(mutex_);
  int64_t floor_ GUARDED_BY(mutex_) = 0;
  size_t writes_ GUARDED_BY(mutex_) = 0;
};

class Server {
 public:
  Server(std::string program, std::string folder)
      : program_(std::move(program)), folder_(std::move(folder)) {}
  ~Server() { stop(SIGKILL); }

  std::string kubeconfig() const { return folder_ + "/admin.yaml"; }
  // Starts it; gives the time to ready in ms, or -1.
  double start(uint16_t port) {
    os::Fd log =
        os::open_file(folder_ + "/server.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)
            .value();
    os::SpawnOptions options;
    options.args = {program_,
                    "server",
                    "--disable-agent",
                    "--data-dir",
                    folder_ + "/d",
                    "--bind-address",
                    "127.0.0.1",
                    "--https-listen-port",
                    std::to_string(port),
                    "--write-kubeconfig",
                    kubeconfig()};
    options.fds = {{log.get(), 1}, {log.get(), 2}};
    Clock::time_point begin = Clock::now();
    process_ = os::spawn(options).value();
    while (since(begin) < 20000) {
      Result<Cluster> cluster = read_cluster(kubeconfig());
      if (cluster.ok()) {
        Connection connection(*cluster);
        if (connection.request("GET", "/readyz").body == "ok") return since(begin);
      }
      ::poll(nullptr, 0, 5);
    }
    return -1;
  }
  void stop(int signal) {
    if (!process_) return;
    (void)process_.kill(signal);
    (void)process_.wait(milliseconds(20000));
    process_ = {};
  }

 private:
  std::string program_, folder_;
  os::Process process_;
};

// Creates, updates, patches and deletes its own objects until told to stop or the server is gone.
void write_until(const std::stop_token& stop, const Cluster& cluster, Ledger& ledger, int writer,
                 unsigned seed) {
  std::mt19937 random(seed);
  Connection connection(cluster);
  std::map<std::string, bool> there;
  for (int i = 0; i < kObjectsPerWriter; ++i) {
    std::string name = fmt::format("w{}-{}", writer, i);
    there[name] = connection.request("GET", fmt::format("{}/{}", kMaps, name)).status == 200;
  }
  while (!stop.stop_requested()) {
    auto at = there.begin();
    std::advance(at, random() % there.size());
    const std::string& name = at->first;
    std::string path = fmt::format("{}/{}", kMaps, name);
    std::string value = fmt::format("{:x}-{}", random(), std::string(random() % 2000, 'x'));
    std::string body = fmt::format(
        R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}"}},"data":{{"v":"{}"}}}})",
        name, value);
    Answer answer;
    bool removes = at->second && random() % 5 == 0;
    if (removes) {
      value.clear();
      answer = connection.request("DELETE", path);
    } else if (at->second && random() % 2 == 0) {
      answer = connection.request("PATCH", path, fmt::format(R"({{"data":{{"v":"{}"}}}})", value),
                                  "application/merge-patch+json");
    } else if (at->second) {
      answer = connection.request("PUT", path, body);
    } else {
      answer = connection.request("POST", kMaps, body);
    }
    if (answer.status == 0) return ledger.unanswered(name, value);
    if (answer.status >= 300) {
      return ledger.report(fmt::format("{} answered {}: {}", name, answer.status, answer.body));
    }
    at->second = !removes;
    Result<json::Document> document = json::Document::parse(answer.body);
    int64_t revision = 0;
    if (document.ok() && !removes) {
      revision = std::atoll(
          std::string(document->root()["metadata"]["resourceVersion"].as_string()).c_str());
    }
    ledger.acknowledged(name, value, revision);
  }
}

// Follows all ConfigMaps over all lives of the server.
class Follower {
 public:
  Follower(const Cluster& cluster, Ledger& ledger, int64_t from)
      : cluster_(cluster),
        ledger_(ledger),
        last_(from),
        thread_(start_thread("follower", [this](const std::stop_token& stop) { run(stop); })) {}

  std::set<int64_t> seen() {
    MutexLock lock(mutex_);
    return seen_;
  }
  int64_t last() const { return last_; }
  int resumed() const { return resumed_; }
  void stop() {
    thread_.request_stop();
    thread_.join();
  }

 private:
  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      Connection connection(cluster_);
      if (!connection.open() ||
          !connection.send(
              request_text(cluster_, "GET",
                           fmt::format("{}?watch=1&resourceVersion={}", kMaps, last_.load())))) {
        ::poll(nullptr, 0, 10);
        continue;
      }
      ++resumed_;
      std::string rest;
      while (!stop.stop_requested()) {
        std::optional<std::string> piece = connection.read_stream(50);
        if (!piece) break;
        rest += *piece;
        for (size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
          take(rest.substr(0, end));
          rest.erase(0, end + 1);
        }
      }
    }
  }
  void take(const std::string& line) {
    Result<json::Document> event = json::Document::parse(line);
    if (!event.ok()) return ledger_.report("the watch sent what is not JSON: " + line);
    std::string_view type = event->root()["type"].as_string();
    if (type == "ERROR") return ledger_.report("the watch did not resume: " + line);
    int64_t revision = std::atoll(
        std::string(event->root()["object"]["metadata"]["resourceVersion"].as_string()).c_str());
    if (revision <= last_) {
      return ledger_.report(
          fmt::format("the watch went from {} to {}: {}", last_.load(), revision, line));
    }
    last_ = revision;
    MutexLock lock(mutex_);
    seen_.insert(revision);
  }

  const Cluster& cluster_;
  Ledger& ledger_;
  std::atomic<int64_t> last_;
  std::atomic<int> resumed_ = 0;
  Mutex mutex_;
  std::set<int64_t> seen_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

std::map<std::string, std::string> list_maps(const Cluster& cluster, int64_t* revision = nullptr) {
  Connection connection(cluster);
  Answer answer = connection.request("GET", kMaps);
  std::map<std::string, std::string> found;
  Result<json::Document> list = json::Document::parse(answer.body);
  if (!list.ok()) return found;
  for (json::Value item : list->root()["items"].items()) {
    std::string name(item["metadata"]["name"].as_string());
    if (name.starts_with("w")) found[name] = item["data"]["v"].as_string();
  }
  if (revision != nullptr) {
    *revision =
        std::atoll(std::string(list->root()["metadata"]["resourceVersion"].as_string()).c_str());
  }
  return found;
}

uint16_t free_port() {
  os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

int run(const std::string& program, const std::string& folder, int rounds, unsigned seed,
        int writers) {
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  uint16_t port = free_port();
  Server server(program, folder);
  if (server.start(port) < 0) {
    std::printf("the server does not start\n");
    return 1;
  }
  Cluster cluster = read_cluster(server.kubeconfig()).value();
  Ledger ledger;
  int64_t from = 0;
  list_maps(cluster, &from);
  Follower follower(cluster, ledger, from);
  std::vector<double> ready;
  int round = 0;
  for (; round < rounds && ledger.violation().empty(); ++round) {
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < writers; ++i) {
        threads.push_back(start_thread(
            "writer", [&, i, own = static_cast<unsigned>(random())](const std::stop_token& stop) {
              write_until(stop, cluster, ledger, i, own);
            }));
      }
      ::poll(nullptr, 0, static_cast<int>(20 + random() % 400));
      server.stop(SIGKILL);
    }
    ledger.new_life();
    double took = server.start(port);
    ready.push_back(took);
    if (took < 0) ledger.report("the server does not start again");
    ledger.compare(list_maps(cluster));
  }
  // The follower has a second to come to the end, then must have seen every acknowledged revision.
  std::map<int64_t, std::string> given = ledger.revisions();
  Clock::time_point begin = Clock::now();
  while (!given.empty() && follower.last() < given.rbegin()->first && since(begin) < 3000)
    ::poll(nullptr, 0, 20);
  follower.stop();
  std::set<int64_t> seen = follower.seen();
  size_t missed = 0;
  for (const auto& [revision, what] : given) {
    if (!seen.contains(revision) && missed++ == 0) {
      ledger.report(
          fmt::format("the watch never showed revision {} ({})", revision, what.substr(0, 60)));
    }
  }
  std::sort(ready.begin(), ready.end());
  double slowest = ready.empty() ? 0 : ready.back();
  std::printf(
      "%d rounds, %zu acknowledged writes, %d watches, ready again after %.0f ms (median), %.0f ms "
      "(slowest)\n",
      round, ledger.writes(), follower.resumed(), ready.empty() ? 0 : ready[ready.size() / 2],
      slowest);
  if (slowest > kReadyLimitMs)
    ledger.report(fmt::format("ready again only after {:.0f} ms", slowest));
  std::string violation = ledger.violation();
  if (!violation.empty()) std::printf("VIOLATION: %s\n", violation.c_str());
  return violation.empty() ? 0 : 1;
}

}  // namespace
}  // namespace wherry::test

int main(int count, char** words) {
  if (count < 4) {
    std::fprintf(stderr, "kill_rounds PROGRAM FOLDER ROUNDS [SEED] [WRITERS]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  unsigned seed = count > 4 ? static_cast<unsigned>(std::atol(words[4])) : std::random_device()();
  return wherry::test::run(words[1], words[2], std::atoi(words[3]), seed,
                           count > 5 ? std::atoi(words[5]) : 6);
}
