// Many clients create Pods at the same moment against a quota that lets ten of them in, N times
// over, for each way in which a quota can say ten. What must hold:
//
//   - at no moment there are more than ten, but for those on their way out, which a watch over
//   everything bears out
//   - exactly ten are made where nobody deletes, and the others are refused with 403
//   - the quota's status says at last what there is
//
//   quota_rounds KUBECONFIG ROUNDS [CLIENTS] [SEED]

#include <poll.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <latch>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "../lib/https_client.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "json/json.h"

namespace wherry::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLetIn = 10;
constexpr int kTurns = 6;  // Of a client that deletes, too.
constexpr auto kSettleLimit = std::chrono::seconds(30);

struct Way {
  const char* name;
  std::vector<std::string> quotas;  // spec.hard of each.
  const char* requests;             // Of each Pod's container.
  bool deletes = false;
};

const std::vector<Way> kWays = {
    {"pods", {R"({"pods":"10"})"}, "{}"},
    {"count", {R"({"count/pods":"10"})"}, "{}"},
    {"cpu", {R"({"requests.cpu":"1"})"}, R"({"cpu":"100m"})"},
    {"two", {R"({"pods":"10","requests.cpu":"9"})", R"({"count/pods":"12"})"}, R"({"cpu":"100m"})"},
    {"mixed", {R"({"pods":"10"})"}, "{}", true},
};

std::string pods_of(const std::string& ns) { return fmt::format("/api/v1/namespaces/{}/pods", ns); }

std::string pod_body(const std::string& name, const char* requests) {
  return fmt::format(
      R"({{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{}"}},"spec":{{)"
      R"("automountServiceAccountToken":false,"nodeName":"","schedulerName":"nobody",)"
      R"("containers":[{{"name":"c","image":"x","resources":{{"requests":{}}}}}]}}}})",
      name, requests);
}

// The first violation is kept.
class Verdict {
 public:
  void complain(const std::string& text) {
    MutexLock lock(mutex_);
    if (text_.empty()) text_ = text;
  }
  std::string text() {
    MutexLock lock(mutex_);
    return text_;
  }

 private:
  Mutex mutex_;
  std::string text_ GUARDED_BY(mutex_);
};

// Watches all Pods and counts how many there are at a time in each namespace.
class Observer {
 public:
  Observer(const Cluster& cluster, Verdict& verdict, const std::string& from)
      : verdict_(verdict), connection_(cluster) {
    bool sent =
        connection_.open() && connection_.send(request_text(
                                  cluster, "GET", "/api/v1/pods?watch=1&resourceVersion=" + from));
    if (!sent) verdict_.complain("the watch does not begin");
    thread_ = start_thread("observer", [this](const std::stop_token& stop) { run(stop); });
  }

  // Waits until it has seen a Pod of this name.
  bool has_seen(const std::string& name) {
    for (Clock::time_point begin = Clock::now(); Clock::now() - begin < kSettleLimit;) {
      {
        MutexLock lock(mutex_);
        if (last_mark_ == name) return true;
      }
      ::poll(nullptr, 0, 2);
    }
    return false;
  }
  int most() {
    MutexLock lock(mutex_);
    return most_;
  }

 private:
  void run(const std::stop_token& stop) {
    std::string rest;
    while (!stop.stop_requested()) {
      std::optional<std::string> piece = connection_.read_stream(50);
      if (!piece) return verdict_.complain("the watch ended");
      rest += *piece;
      size_t at = 0;
      for (size_t end; (end = rest.find('\n', at)) != std::string::npos; at = end + 1) {
        take(std::string_view(rest).substr(at, end - at));
      }
      rest.erase(0, at);
    }
  }
  void take(std::string_view line) {
    Result<json::Document> event = json::Document::parse(line);
    if (!event.ok()) return verdict_.complain("the watch sent what is not JSON");
    std::string_view type = event->root()["type"].as_string();
    json::Value meta = event->root()["object"]["metadata"];
    MutexLock lock(mutex_);
    if (meta["namespace"].as_string() == "default") {
      if (type == "ADDED") last_mark_ = meta["name"].as_string();
      return;
    }
    std::set<std::string>& live = live_[std::string(meta["namespace"].as_string())];
    std::string name(meta["name"].as_string());
    // A quota does not count what is on its way out, once the time it was given is over.
    bool leaves = meta["deletionTimestamp"] && meta["deletionGracePeriodSeconds"].as_int() == 0;
    if (type == "DELETED" || leaves) {
      live.erase(name);
    } else {
      live.insert(name);
    }
    most_ = std::max(most_, static_cast<int>(live.size()));
  }

  Verdict& verdict_;
  Connection connection_;
  Mutex mutex_;
  std::map<std::string, std::set<std::string>> live_ GUARDED_BY(mutex_);
  std::string last_mark_ GUARDED_BY(mutex_);
  int most_ GUARDED_BY(mutex_) = 0;
  std::jthread thread_;  // Last: it goes first.
};

struct Counts {
  std::atomic<int> made = 0, refused = 0;
};

void take_turns(Connection& connection, const std::string& pods, int client, const Way& way,
                unsigned seed, Counts& counts, Verdict& verdict) {
  std::mt19937 random(seed);
  for (int turn = 0; turn < (way.deletes ? kTurns : 1); ++turn) {
    std::string name = fmt::format("p{}-{}", client, turn);
    Answer answer = connection.request("POST", pods, pod_body(name, way.requests));
    if (answer.status == 201) {
      ++counts.made;
    } else if (answer.status == 403 && answer.body.find("exceeded quota") != std::string::npos) {
      ++counts.refused;
    } else {
      return verdict.complain(fmt::format("{} answered {}: {}", name, answer.status, answer.body));
    }
    if (!way.deletes || answer.status != 201 || random() % 3 == 0) continue;
    Answer gone = connection.request("DELETE", pods + "/" + name + "?gracePeriodSeconds=0");
    if (gone.status != 200) {
      return verdict.complain(fmt::format("DELETE answered {}: {}", gone.status, gone.body));
    }
  }
}

class Race {
 public:
  Race(const Cluster& cluster, int clients, unsigned seed)
      : cluster_(cluster), admin_(cluster), random_(seed) {
    for (int i = 0; i < clients; ++i) connections_.push_back(std::make_unique<Connection>(cluster));
    std::string list = admin_.request("GET", "/api/v1/pods?limit=1").body;
    Result<json::Document> parsed = json::Document::parse(list);
    std::string from(parsed.ok() ? parsed->root()["metadata"]["resourceVersion"].as_string() : "");
    observer_ = std::make_unique<Observer>(cluster, verdict_, from);
  }

  bool failed() { return !verdict_.text().empty(); }
  std::string verdict() { return verdict_.text(); }
  int most() { return observer_->most(); }

  // One round in a namespace of its own.
  void round(const Way& way, int number, Counts& total) {
    std::string ns = fmt::format("race-{}-{}-{:x}", way.name, number, random_());
    prepare(ns, way);
    Counts counts;
    run_clients(pods_of(ns), way, counts);
    std::string mark = "end-" + ns;
    must(admin_.request("POST", pods_of("default"), pod_body(mark, "{}")), 201);
    if (!failed() && !observer_->has_seen(mark)) verdict_.complain("the watch lags behind");
    if (!failed()) judge(ns, way, counts);
    total.made += counts.made;
    total.refused += counts.refused;
    must(admin_.request("DELETE", pods_of("default") + "/" + mark + "?gracePeriodSeconds=0"), 200);
    must(admin_.request("DELETE", pods_of(ns) + "?gracePeriodSeconds=0"), 200);
    must(admin_.request("DELETE", "/api/v1/namespaces/" + ns), 200);
  }

 private:
  void must(const Answer& answer, int status) {
    if (answer.status == status) return;
    verdict_.complain(fmt::format("answered {}: {}", answer.status, answer.body));
  }
  void prepare(const std::string& ns, const Way& way) {
    must(admin_.request("POST", "/api/v1/namespaces",
                        fmt::format(R"({{"metadata":{{"name":"{}"}}}})", ns)),
         201);
    // Its controller makes it too.
    (void)admin_.request("POST", fmt::format("/api/v1/namespaces/{}/serviceaccounts", ns),
                         R"({"metadata":{"name":"default"}})");
    int number = 0;
    for (const std::string& hard : way.quotas) {
      must(admin_.request("POST", fmt::format("/api/v1/namespaces/{}/resourcequotas", ns),
                          fmt::format(R"({{"metadata":{{"name":"q{}"}},"spec":{{"hard":{}}}}})",
                                      number++, hard)),
           201);
    }
  }
  void run_clients(const std::string& pods, const Way& way, Counts& counts) {
    std::latch start(static_cast<std::ptrdiff_t>(connections_.size()));
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < connections_.size(); ++i) {
      unsigned seed = static_cast<unsigned>(random_());
      threads.push_back(start_thread("client", [&, i, seed](const std::stop_token&) {
        Connection& connection = *connections_[i];
        if (!connection.is_open()) (void)connection.open();
        start.arrive_and_wait();
        take_turns(connection, pods, static_cast<int>(i), way, seed, counts, verdict_);
      }));
    }
  }
  int count_pods(const std::string& ns) {
    Result<json::Document> list = json::Document::parse(admin_.request("GET", pods_of(ns)).body);
    return list.ok() ? static_cast<int>(list->root()["items"].size()) : -1;
  }
  // What the first quota says of the Pods, in Pods.
  int used(const std::string& ns) {
    Answer answer =
        admin_.request("GET", fmt::format("/api/v1/namespaces/{}/resourcequotas/q0", ns));
    Result<json::Document> quota = json::Document::parse(answer.body);
    if (!quota.ok()) return -1;
    for (auto [name, amount] : quota->root()["status"]["used"].members()) {
      std::string text(amount.as_string());
      if (name == "requests.cpu") return text == "1" ? kLetIn : std::atoi(text.c_str()) / 100;
      return std::atoi(text.c_str());
    }
    return -1;
  }
  void judge(const std::string& ns, const Way& way, const Counts& counts) {
    int there = count_pods(ns);
    if (!way.deletes && (counts.made != kLetIn || there != kLetIn)) {
      verdict_.complain(
          fmt::format("{}: {} were made, {} are there", ns, counts.made.load(), there));
    }
    if (most() > kLetIn) verdict_.complain(fmt::format("{}: there were {} at once", ns, most()));
    Clock::time_point begin = Clock::now();
    while (used(ns) != there && Clock::now() - begin < kSettleLimit) ::poll(nullptr, 0, 10);
    int said = used(ns);
    if (said != there) {
      verdict_.complain(fmt::format("{}: the quota says {}, there are {}", ns, said, there));
    }
  }

  const Cluster& cluster_;
  Verdict verdict_;
  Connection admin_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<Observer> observer_;
};

int run(const std::string& kubeconfig, int rounds, int clients, unsigned seed) {
  Result<Cluster> cluster = read_cluster(kubeconfig);
  if (!cluster.ok()) {
    std::printf("%s\n", cluster.error().message().c_str());
    return 1;
  }
  std::printf("seed %u, %d clients\n", seed, clients);
  Race race(*cluster, clients, seed);
  for (const Way& way : kWays) {
    Counts total;
    Clock::time_point begin = Clock::now();
    int number = 0;
    for (; number < rounds && !race.failed(); ++number) race.round(way, number, total);
    double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::printf("%-5s %d rounds: %d made, %d refused, %.1f s\n", way.name, number,
                total.made.load(), total.refused.load(), seconds);
    if (race.failed()) break;
  }
  std::printf("at most %d at once\n", race.most());
  if (race.failed()) std::printf("VIOLATION: %s\n", race.verdict().c_str());
  return race.failed() ? 1 : 0;
}

}  // namespace
}  // namespace wherry::test

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr, "quota_rounds KUBECONFIG ROUNDS [CLIENTS] [SEED]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  unsigned seed = count > 4 ? static_cast<unsigned>(std::atol(words[4])) : std::random_device()();
  return wherry::test::run(words[1], std::atoi(words[2]), count > 3 ? std::atoi(words[3]) : 64,
                           seed);
}
