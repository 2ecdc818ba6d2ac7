// Puts load on an API server and says how fast it was (see requests.h and fan.h for how). Works
// against any server with the kubeconfig's client certificate.
//
//   load KUBECONFIG get PATH CONNECTIONS SECONDS [HEADER...]   such as "Accept: application/yaml"
//   load KUBECONFIG pages PATH LIMIT CONNECTIONS SECONDS [HEADER...]   JSON that is not compressed
//   load KUBECONFIG fair HEAVY-PATH LIGHT-PATH SECONDS         one connection of one user beside 64
//                                                              of another; 0 instead of 64: FAIR=0
//   load KUBECONFIG watches PATH COUNT SECONDS                 opens them, says so, and waits
//   load KUBECONFIG create NAMESPACE CONNECTIONS SECONDS       ConfigMaps with 1 kB of data
//   load KUBECONFIG seed NAMESPACE COUNT                       Pods of 5 kB that no scheduler takes
//   load KUBECONFIG fan PATH WATCHES EVENTS                    PATH: configmaps of a namespace
//   load KUBECONFIG pods NAMESPACE IMAGE COUNT                 one by one: create until Running
//   load KUBECONFIG crowd NAMESPACE IMAGE COUNT                all at once
//   load - runc BUNDLE COUNT                                   bare `runc run` beside the pods
//   load - start PORT COUNT PROGRAM ARGUMENT...                a server, COUNT times, until /readyz
//
// Prints one line of "name=value"; times in ms, client_us: what a request (of a fan: a watcher's
// event) cost the client itself.

#include "fan.h"
#include "os/process.h"
#include "requests.h"

namespace wherry::test {
namespace {

std::string get_text(const Cluster& cluster, const std::string& path,
                     const std::vector<std::string>& headers) {
  std::string text = request_text(cluster, "GET", path);
  for (const std::string& header : headers) {
    std::string name = "\r\n" + header.substr(0, header.find(':') + 1);
    if (size_t at = text.find(name); at != std::string::npos) {
      text.erase(at, text.find("\r\n", at + 2) - at);
    }
    text.insert(text.find("\r\n") + 2, header + "\r\n");
  }
  return text;
}

// What the one connection sees of the many, by the times of its own requests.
int run_fair(const Cluster& cluster, const std::string& heavy_path, const std::string& light_path,
             double seconds) {
  const char* crowd = std::getenv("FAIR");
  size_t many = crowd != nullptr ? static_cast<size_t>(std::atoi(crowd)) : 64;
  std::string heavy_text = get_text(cluster, heavy_path, {"Impersonate-User: bench-loud"});
  std::string light_text = get_text(cluster, light_path, {"Impersonate-User: bench-quiet"});
  std::jthread loud;
  if (many > 0) {
    loud = std::jthread([&] {
      Load load(cluster, many, [&](std::string& text, std::string_view) { text = heavy_text; });
      load.run(seconds + 1);
    });
  }
  ::poll(nullptr, 0, 500);
  Load load(cluster, 1, [&](std::string& text, std::string_view) { text = light_text; });
  load.run(seconds);
  load.report("per_second", 200);
  return 0;
}

int run_watches(const Cluster& cluster, const std::string& path, size_t count, double seconds) {
  std::vector<std::unique_ptr<Connection>> all;
  for (size_t i = 0; i < count; ++i) {
    all.push_back(std::make_unique<Connection>(cluster));
    bool sent = all.back()->open() &&
                all.back()->send(request_text(cluster, "GET", path + "?watch=1&resourceVersion=0"));
    if (!sent || !all.back()->read_stream(2000)) give_up("a watch cannot be opened");
  }
  std::printf("opened=%zu\n", count);
  std::fflush(stdout);
  ::poll(nullptr, 0, static_cast<int>(seconds * 1000));
  return 0;
}

int run_get(const Cluster& cluster, const std::string& path, size_t connections, double seconds,
            const std::vector<std::string>& headers) {
  std::string text = get_text(cluster, path, headers);
  Load load(cluster, connections, [&text](std::string& out, std::string_view) { out = text; });
  load.run(seconds);
  load.report("per_second", 200);
  return 0;
}

// A list page by page, and then again from its start.
int run_pages(const Cluster& cluster, const std::string& path, int limit, size_t connections,
              double seconds, const std::vector<std::string>& headers) {
  constexpr std::string_view kMember = "\"continue\":\"";
  std::string first = fmt::format("{}?limit={}", path, limit);
  Load load(cluster, connections, [&](std::string& out, std::string_view before) {
    size_t at = before.find(kMember);
    if (at == std::string_view::npos) {
      out = get_text(cluster, first, headers);
      return;
    }
    at += kMember.size();
    std::string_view token = before.substr(at, before.find('"', at) - at);
    out = get_text(cluster, fmt::format("{}&continue={}", first, token), headers);
  });
  load.run(seconds);
  load.report("per_second", 200);
  return 0;
}

int run_create(const Cluster& cluster, const std::string& name_space, size_t connections,
               double seconds) {
  std::string data(1000, 'd');
  uint64_t number = static_cast<uint64_t>(Clock::now().time_since_epoch().count());
  Load load(cluster, connections, [&, number](std::string& out, std::string_view) mutable {
    out = request_text(
        cluster, "POST", fmt::format("/api/v1/namespaces/{}/configmaps", name_space),
        fmt::format(
            R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"load-{:x}"}},"data":{{"v":"{}"}}}})",
            ++number, data));
  });
  load.run(seconds);
  load.report("per_second", 201);
  return 0;
}

// About 5 kB once it is stored, as a Pod with a few variables and volumes is.
std::string pod_body(const std::string& name, const std::string& image,
                     const std::string& scheduler, bool large) {
  std::string env;
  for (int i = 0; large && i < 20; ++i) {
    env += fmt::format(R"({}{{"name":"VARIABLE_{}","value":"{}"}})", i > 0 ? "," : "", i,
                       std::string(130, 'v'));
  }
  return fmt::format(
      R"({{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{}","labels":{{"app":"load"}}}},"spec":{{{}"restartPolicy":"Never","terminationGracePeriodSeconds":0,"containers":[{{"name":"main","image":"{}","imagePullPolicy":"IfNotPresent","command":["sleep","100000"],"env":[{}]}}]}}}})",
      name, scheduler.empty() ? "" : fmt::format(R"("schedulerName":"{}",)", scheduler), image,
      env);
}

int run_seed(const Cluster& cluster, const std::string& name_space, int count) {
  Connection connection(cluster);
  std::string path = fmt::format("/api/v1/namespaces/{}/pods", name_space);
  for (int i = 0; i < count; ++i) {
    Answer answer = connection.request("POST", path,
                                       pod_body(fmt::format("seed-{}", i), "none", "nobody", true));
    if (answer.status != 201 && answer.status != 409) give_up(answer.body);
  }
  std::printf("seeded=%d\n", count);
  return 0;
}

// When each pod of the namespace was seen Running, by a watch that was open before.
class PodWatch {
 public:
  PodWatch(const Cluster& cluster, const std::string& path) : connection_(cluster) {
    Connection lister(cluster);
    Result<json::Document> list =
        json::Document::parse(lister.request("GET", path + "?limit=1").body);
    if (!list.ok()) give_up("no list of pods");
    if (!connection_.open() ||
        !connection_.send(
            request_text(cluster, "GET",
                         fmt::format("{}?watch=1&resourceVersion={}", path,
                                     list->root()["metadata"]["resourceVersion"].as_string())))) {
      give_up("no watch of pods");
    }
  }
  bool wait_for(size_t running, double limit_ms) {
    Clock::time_point begin = Clock::now();
    while (running_.size() < running && since(begin) < limit_ms) {
      std::optional<std::string> piece = connection_.read_stream(100);
      if (!piece) give_up("the watch of pods ended");
      rest_ += *piece;
      for (size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
        take(std::string_view(rest_).substr(0, end));
        rest_.erase(0, end + 1);
      }
    }
    return running_.size() >= running;
  }
  const std::map<std::string, Clock::time_point>& running() const { return running_; }

 private:
  void take(std::string_view line) {
    Result<json::Document> event = json::Document::parse(line);
    if (!event.ok()) return;
    if (event->root()["object"]["status"]["phase"].as_string() != "Running") return;
    running_.emplace(event->root()["object"]["metadata"]["name"].as_string(), Clock::now());
  }
  Connection connection_;
  std::string rest_;
  std::map<std::string, Clock::time_point> running_;
};

int run_pods(const Cluster& cluster, const std::string& name_space, const std::string& image,
             int count) {
  std::string path = fmt::format("/api/v1/namespaces/{}/pods", name_space);
  PodWatch watch(cluster, path);
  Connection connection(cluster);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    std::string name = fmt::format("one-{}", i);
    Clock::time_point begin = Clock::now();
    Answer answer = connection.request("POST", path, pod_body(name, image, "", false));
    if (answer.status != 201) give_up(answer.body);
    if (!watch.wait_for(static_cast<size_t>(i) + 1, 60000)) give_up(name + " does not run");
    times.push_back(
        std::chrono::duration<double, std::milli>(watch.running().at(name) - begin).count());
    connection.request("DELETE", path + "/" + name + "?gracePeriodSeconds=0");
    ::poll(nullptr, 0, 200);
  }
  std::sort(times.begin(), times.end());
  std::printf("p50=%.1f p99=%.1f min=%.1f max=%.1f\n", at_share(times, 0.5), at_share(times, 0.99),
              times.front(), times.back());
  return 0;
}

int run_crowd(const Cluster& cluster, const std::string& name_space, const std::string& image,
              int count) {
  std::string path = fmt::format("/api/v1/namespaces/{}/pods", name_space);
  PodWatch watch(cluster, path);
  Connection connection(cluster);
  Clock::time_point begin = Clock::now();
  for (int i = 0; i < count; ++i) {
    Answer answer =
        connection.request("POST", path, pod_body(fmt::format("crowd-{}", i), image, "", false));
    if (answer.status != 201) give_up(answer.body);
  }
  bool all = watch.wait_for(static_cast<size_t>(count), 180000);
  std::vector<double> times;
  for (const auto& [name, time] : watch.running()) {
    times.push_back(std::chrono::duration<double, std::milli>(time - begin).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("running=%zu first=%.0f half=%.0f last=%.0f\n", times.size(), at_share(times, 0),
              at_share(times, 0.5), at_share(times, 1));
  return all ? 0 : 1;
}

// `runc run --detach` of the same file system and command: what the runtime alone costs.
int run_runc(const std::string& bundle, int count) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    std::string id = fmt::format("wherry-bench-{}-{}", ::getpid(), i);
    os::SpawnOptions options;
    options.args = {"runc", "--root", bundle + "/state", "run", "--detach", "--bundle", bundle, id};
    Clock::time_point begin = Clock::now();
    Result<os::Process> process = os::spawn(options);
    if (!process.ok() || !process->wait(std::chrono::seconds(30)).ok())
      give_up("runc does not run");
    times.push_back(since(begin));
    os::SpawnOptions remove;
    remove.args = {"runc", "--root", bundle + "/state", "delete", "--force", id};
    Result<os::RunResult> removed = os::run(remove, std::chrono::seconds(30));
    if (!removed.ok() || !removed->status.ok())
      give_up("runc delete: " + (removed.ok() ? removed->output : ""));
    ::poll(nullptr, 0, 100);
  }
  std::sort(times.begin(), times.end());
  std::printf("p50=%.1f p99=%.1f min=%.1f max=%.1f\n", at_share(times, 0.5), at_share(times, 0.99),
              times.front(), times.back());
  return 0;
}

// From executing the program until /readyz says ok; it is ended with TERM each time.
int run_start(uint16_t port, int count, std::vector<std::string> program) {
  Cluster cluster;
  cluster.host = "127.0.0.1";
  cluster.port = port;
  cluster.context.reset(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    os::SpawnOptions options;
    options.args = program;
    Clock::time_point begin = Clock::now();
    Result<os::Process> process = os::spawn(options);
    if (!process.ok()) give_up(process.error().message());
    while (true) {
      Connection connection(cluster);
      if (connection.open() && connection.request("GET", "/readyz").body == "ok") break;
      if (since(begin) > 30000) give_up("the server does not come up");
      ::poll(nullptr, 0, 1);
    }
    times.push_back(since(begin));
    // What it does right after its start, such as the first objects, is not cut short.
    ::poll(nullptr, 0, 1500);
    if (!process->kill(SIGTERM).ok() || !process->wait(std::chrono::seconds(30)).ok())
      give_up("it does not end");
  }
  std::sort(times.begin(), times.end());
  std::printf("p50=%.0f min=%.0f max=%.0f\n", at_share(times, 0.5), times.front(), times.back());
  return 0;
}

int run(const std::vector<std::string>& words) {
  const std::string& what = words[1];
  auto number = [&](size_t at) { return std::atoi(words[at].c_str()); };
  if (what == "runc" && words.size() == 4) return run_runc(words[2], number(3));
  if (what == "start" && words.size() > 4) {
    return run_start(static_cast<uint16_t>(number(2)), number(3), {words.begin() + 4, words.end()});
  }
  Result<Cluster> cluster = read_cluster(words[0]);
  if (!cluster.ok()) give_up(cluster.error().message());
  if (what == "get" && words.size() >= 5) {
    return run_get(*cluster, words[2], static_cast<size_t>(number(3)), std::atof(words[4].c_str()),
                   {words.begin() + 5, words.end()});
  }
  if (what == "pages" && words.size() >= 6) {
    return run_pages(*cluster, words[2], number(3), static_cast<size_t>(number(4)),
                     std::atof(words[5].c_str()), {words.begin() + 6, words.end()});
  }
  if (what == "fair" && words.size() == 5)
    return run_fair(*cluster, words[2], words[3], std::atof(words[4].c_str()));
  if (what == "watches" && words.size() == 5)
    return run_watches(*cluster, words[2], static_cast<size_t>(number(3)), number(4));
  if (what == "create" && words.size() == 5)
    return run_create(*cluster, words[2], static_cast<size_t>(number(3)), number(4));
  if (what == "seed" && words.size() == 4) return run_seed(*cluster, words[2], number(3));
  if (what == "fan" && words.size() == 5) {
    Fan(*cluster, words[2], static_cast<size_t>(number(3))).run(number(4));
    return 0;
  }
  if (what == "pods" && words.size() == 5) return run_pods(*cluster, words[2], words[3], number(4));
  if (what == "crowd" && words.size() == 5)
    return run_crowd(*cluster, words[2], words[3], number(4));
  give_up("what? The words are in the head of tests/bench/load.cc");
}

}  // namespace
}  // namespace wherry::test

int main(int count, char** words) {
  wherry::test::prepare_process();
  if (count < 4)
    wherry::test::give_up(
        "load KUBECONFIG get|pages|create|seed|fair|watches|fan|pods|crowd|runc ...");
  return wherry::test::run({words + 1, words + count});
}
