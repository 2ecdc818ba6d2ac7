#pragma once
// PodFixture: one pod worker in a world of fakes, for tests. Time stands still until moved; tasks
// run when the test says so.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/fake_driver.h"
#include "agent/pod_context.h"
#include "agent/pod_worker.h"
#include "network/fake_pod_network.h"
#include "os/file.h"

namespace wherry::agent {

class FakeLister final : public client::Lister {
 public:
  client::ObjectPtr find(std::string_view ns, std::string_view name) const override {
    auto found = objects.find({std::string(ns), std::string(name)});
    return found == objects.end() ? nullptr : found->second;
  }
  std::vector<client::ObjectPtr> list(std::string_view ns) const override {
    std::vector<client::ObjectPtr> all;
    for (const auto& [key, object] : objects) {
      if (ns.empty() || key.first == ns) all.push_back(object);
    }
    return all;
  }
  std::vector<client::ObjectPtr> list_owned(std::string_view, std::string_view) const override {
    return {};
  }
  client::Revision revision() const override { return 1; }
  void put(const std::string& json) {
    client::ObjectPtr object = api::Object::parse(json).value();
    objects[{std::string(object->ns()), std::string(object->name())}] = object;
  }

  std::map<std::pair<std::string, std::string>, client::ObjectPtr> objects;
};

class FakeImages final : public ImageSource {
 public:
  Result<container::Image> find(const std::string& reference) override {
    auto found = present.find(reference);
    if (found == present.end()) return Error::not_found("no image {}", reference);
    return found->second;
  }
  Result<container::Image> pull(const std::string& reference,
                                const std::vector<container::Credentials>&,
                                const std::stop_token&) override {
    ++pulls;
    if (!pull_error.empty()) return Error::not_found("{}", pull_error);
    return add(reference);
  }
  Result<container::ImageUser> user(const container::Image&, const std::string&) override {
    return container::ImageUser{};
  }
  std::vector<container::Image> list() override { return {}; }
  container::Image add(const std::string& reference) {
    container::Image image;
    image.id = "sha256:1234";
    image.tags = {"docker.io/library/" + reference};
    image.size_bytes = 1000;
    image.layers = {"/layers/" + reference};
    present[reference] = image;
    return image;
  }

  std::map<std::string, container::Image> present;
  std::string pull_error;
  int pulls = 0;
};

class RecordedEvents final : public EventSink {
 public:
  void record(const client::Reference& about, std::string_view type, std::string_view reason,
              std::string_view message) override {
    (void)about;
    lines.push_back(std::string(type) + " " + std::string(reason) + ": " + std::string(message));
  }
  bool has(std::string_view line) const {
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  }
  std::vector<std::string> lines;
};

class RecordedStatus final : public StatusSink {
 public:
  void set(WantedStatus wanted) override { last = std::move(wanted); }
  void forget(const std::string&) override { forgotten = true; }
  json::Value status() const { return last.status.root(); }
  json::Value container(size_t i = 0) const { return status()["containerStatuses"].at(i); }
  json::Value condition(std::string_view type) const {
    for (json::Value item : status()["conditions"].items()) {
      if (item["type"].as_string() == type) return item;
    }
    return {};
  }
  WantedStatus last;
  bool forgotten = false;
};

class FakeProbes final : public ProbeRunner {
 public:
  ProbeResult probe(const HandlerTarget&, json::Value, Duration, const std::stop_token&) override {
    ++probes;
    return result;
  }
  Result<void> hook(const HandlerTarget&, json::Value, Duration, const std::stop_token&) override {
    ++hooks;
    if (!hook_error.empty()) return Error::internal("{}", hook_error);
    return {};
  }
  ProbeResult result;
  std::string hook_error;
  int probes = 0;
  int hooks = 0;
};

class HeldTasks final : public TaskRunner {
 public:
  void run(std::function<void(const std::stop_token&)> task) override {
    held.push_back(std::move(task));
  }
  int release() {
    int count = 0;
    for (auto& task : std::exchange(held, {})) {
      task(std::stop_token());
      ++count;
    }
    return count;
  }
  std::vector<std::function<void(const std::stop_token&)>> held;
};

class NoWatch final : public SandboxWatcher {
 public:
  void watch(const std::string&, std::shared_ptr<container::Sandbox>) override {}
  void unwatch(const std::string&) override {}
};

class FakeClient final : public client::Client {
 public:
  using Object = Result<client::ObjectPtr>;
  Object get(const client::Resource&, std::string_view, std::string_view name) override {
    return Error::not_found("{} not found", name);
  }
  Result<client::List> list(const client::Resource&, std::string_view,
                            const api::Selector&) override {
    return client::List{};
  }
  Object create(const client::Resource&, std::string_view, json::Value object) override {
    return answer("create", object);
  }
  Object create_subresource(const client::Resource&, std::string_view, std::string_view name,
                            std::string_view subresource, json::Value) override {
    calls.push_back("create " + std::string(name) + "/" + std::string(subresource));
    return api::Object::parse(
        R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","metadata":{"name":"x","resourceVersion":"1"},"status":{"token":"t0k3n"}})");
  }
  Object update(const client::Resource&, std::string_view, std::string_view, json::Value object,
                std::string_view) override {
    return answer("update", object);
  }
  Object patch(const client::Resource&, std::string_view, std::string_view name, client::PatchType,
               json::Value patch, const client::PatchOptions&) override {
    calls.push_back("patch " + std::string(name) + " " + patch.dump());
    if (fail) return Error::unavailable("no server");
    return patch_answer;
  }
  Result<void> remove(const client::Resource&, std::string_view, std::string_view name,
                      const client::DeleteOptions&) override {
    calls.push_back("delete " + std::string(name));
    return {};
  }
  Object answer(std::string_view verb, json::Value object) {
    calls.push_back(std::string(verb) + " " + object.dump());
    return patch_answer;
  }

  std::vector<std::string> calls;
  client::ObjectPtr patch_answer;
  bool fail = false;
};

class PodFixture {
 public:
  explicit PodFixture(const std::string& spec, const std::string& meta = "") : driver(clock) {
    images.add("web:1");
    folder.emplace(os::TempDirectory::make().value());
    context = std::make_unique<PodContext>(PodContext{
        .node_name = "n1",
        .host_ips = {"192.168.0.1"},
        .pods_dir = folder->path() + "/pods",
        .memory_dir = folder->path() + "/memory",
        .seccomp_dir = folder->path() + "/seccomp",
        .dns = {{"10.43.0.10"}, "cluster.local", ""},
        .allocatable = {api::Quantity::of(2), api::Quantity::of(1 << 30),
                        api::Quantity::of(1 << 30)},
        .memory_capacity_bytes = 1 << 30,
        .driver = driver,
        .images = images,
        .network = network,
        .client = client,
        .nodes = nodes,
        .config_maps = config_maps,
        .secrets = secrets,
        .services = services,
        .events = events,
        .statuses = statuses,
        .probes = probes,
        .tasks = tasks,
        .pulls = pulls,
        .watcher = watch,
        .admissions = admissions,
        .clock = clock,
        .wake = [this](const std::string&) { woken = true; },
    });
    put(spec, meta);
    make_worker();
  }
  ~PodFixture() {
    // Tasks hold the worker, which needs its context to the end.
    worker.reset();
    tasks.held.clear();
    pulls.held.clear();
  }
  PodFixture(const PodFixture&) = delete;

  static std::string json_of(const std::string& spec, const std::string& meta) {
    return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"ns","uid":"u1",)" +
           meta + R"("generation":1,"resourceVersion":"5"},"spec":)" + spec + "}";
  }
  void put(const std::string& spec, const std::string& meta = "") {
    object = api::Object::parse(json_of(spec, meta)).value();
    if (worker != nullptr) worker->set_wanted(object);
  }
  void make_worker() { worker = std::make_shared<PodWorker>(*context, object); }
  // Passes until nothing wakes it any more.
  std::optional<MonotonicTime> run() {
    std::optional<MonotonicTime> next;
    for (int i = 0; i < 20; ++i) {
      woken = false;
      next = worker->pass();
      if (!woken) break;
    }
    return next;
  }
  void advance(Duration by) {
    clock.advance(by);
    run();
  }

  FakeClock clock;
  FakeDriver driver;
  FakeImages images;
  network::FakePodNetwork network;
  FakeClient client;
  FakeLister nodes, config_maps, secrets, services;
  RecordedEvents events;
  RecordedStatus statuses;
  FakeProbes probes;
  HeldTasks tasks, pulls;
  NoWatch watch;
  AdmissionTable admissions;
  bool woken = false;
  std::optional<os::TempDirectory> folder;
  std::unique_ptr<PodContext> context;
  api::ObjectPtr object;
  std::shared_ptr<PodWorker> worker;
};

}  // namespace wherry::agent
