// Many clients write the same thing at once, and what each was told must be what happened:
//
//   - of those that create one name, one is told that it did, the others that it exists
//   - of those that replace one version, one is told that it did, the others that they came late
//   - each patch that was taken is in the object, each that was not is a 409
//   - names that the server makes are never the same
//
//   write_races KUBECONFIG ROUNDS [CLIENTS]

#include <atomic>
#include <cstdio>
#include <functional>
#include <set>
#include <thread>

#include "../lib/https_client.h"
#include "base/mutex.h"

namespace wherry::test {
namespace {

constexpr char kMaps[] = "/api/v1/namespaces/default/configmaps";

struct Told {
  int status = 0;
  std::string body;
};

// The clients keep their connections over the rounds and begin each together.
class Crowd {
 public:
  Crowd(const Cluster& cluster, size_t size) {
    for (size_t i = 0; i < size; ++i) clients_.push_back(std::make_unique<Connection>(cluster));
  }
  Connection& first() { return *clients_.front(); }
  std::vector<Told> all(const std::function<Answer(Connection&, size_t)>& ask) {
    std::vector<Told> told(clients_.size());
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < clients_.size(); ++i) {
      threads.emplace_back([&, i] {
        Answer answer = ask(*clients_[i], i);
        told[i] = {answer.status, answer.body};
      });
    }
    threads.clear();
    return told;
  }

 private:
  std::vector<std::unique_ptr<Connection>> clients_;
};

size_t count(const std::vector<Told>& told, int status) {
  size_t found = 0;
  for (const Told& one : told) found += one.status == status ? 1 : 0;
  return found;
}

std::string show(const std::vector<Told>& told) {
  std::string text;
  for (const Told& one : told) {
    if (one.status != 200 && one.status != 201 && one.status != 409) text = one.body;
  }
  return fmt::format("{} times 201, {} times 200, {} times 409 of {}; {}", count(told, 201),
                     count(told, 200), count(told, 409), told.size(), text);
}

std::string map_of(const std::string& meta, size_t client) {
  return fmt::format(
      R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{{}}},"data":{{"of":"{}"}}}})", meta,
      client);
}

json::Document parsed(const std::string& body) {
  return json::Document::parse(body).value_or(json::Document());
}

// Empty when all is well.
std::string race(Crowd& crowd, int round) {
  const std::string name = fmt::format("m{}", round);
  const std::string path = fmt::format("{}/{}", kMaps, name);
  std::vector<Told> told = crowd.all([&](Connection& client, size_t i) {
    return client.request("POST", kMaps, map_of(fmt::format(R"("name":"{}")", name), i));
  });
  if (count(told, 201) != 1 || count(told, 409) != told.size() - 1) {
    return "creates: " + show(told);
  }

  json::Document made = parsed(crowd.first().request("GET", path).body);
  std::string version(made.root()["metadata"]["resourceVersion"].as_string());
  told = crowd.all([&](Connection& client, size_t i) {
    std::string meta = fmt::format(R"("name":"{}","resourceVersion":"{}")", name, version);
    return client.request("PUT", path, map_of(meta, i + 1000));
  });
  if (count(told, 200) != 1 || count(told, 409) != told.size() - 1) {
    return "replacements: " + show(told);
  }

  told = crowd.all([&](Connection& client, size_t i) {
    return client.request("PATCH", path,
                          fmt::format(R"({{"metadata":{{"labels":{{"l{}":"x"}}}}}})", i),
                          "application/merge-patch+json");
  });
  json::Document patched = parsed(crowd.first().request("GET", path).body);
  for (size_t i = 0; i < told.size(); ++i) {
    bool there = !patched.root()["metadata"]["labels"][fmt::format("l{}", i)].as_string().empty();
    if (told[i].status != (there ? 200 : 409)) {
      return fmt::format("patch {} was answered {} and is {}: {}", i, told[i].status,
                         there ? "there" : "not there", show(told));
    }
  }

  told = crowd.all([&](Connection& client, size_t i) {
    return client.request("POST", kMaps, map_of(R"("generateName":"g-")", i));
  });
  std::set<std::string> names;
  for (const Told& one : told) {
    names.emplace(parsed(one.body).root()["metadata"]["name"].as_string());
  }
  if (count(told, 201) != told.size() || names.size() != told.size()) {
    return "generated names: " + show(told);
  }
  return "";
}

int run(int count, char** words) {
  if (count < 3) return std::fprintf(stderr, "write_races KUBECONFIG ROUNDS [CLIENTS]\n"), 2;
  Result<Cluster> cluster = read_cluster(words[1]);
  if (!cluster.ok()) return std::fprintf(stderr, "%s\n", cluster.error().message().c_str()), 1;
  const int rounds = std::atoi(words[2]);
  Crowd crowd(*cluster, count > 3 ? static_cast<size_t>(std::atoi(words[3])) : 32);
  for (int round = 0; round < rounds; ++round) {
    std::string wrong = race(crowd, round);
    if (!wrong.empty()) return std::fprintf(stderr, "round %d: %s\n", round, wrong.c_str()), 1;
  }
  std::printf("%d rounds, what each was told is what happened\n", rounds);
  return 0;
}

}  // namespace
}  // namespace wherry::test

int main(int count, char** words) { return wherry::test::run(count, words); }
