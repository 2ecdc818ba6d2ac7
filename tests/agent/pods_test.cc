// Pods by the agent with the real runc, in network and mount namespaces of the test's own; the API
// server is a cluster in memory.

#include <fcntl.h>
#include <poll.h>

#include <condition_variable>
#include <functional>
#include <mutex>

#include "../container/testbed.h"
#include "../network/testbed.h"
#include "agent/agent.h"
#include "api/resource.h"
#include "client/fake_cluster.h"

namespace wherry::agent {
namespace {

using namespace std::chrono_literals;

// The cluster calls back into this file while it is locked, hence a lock that may be taken again;
// base/mutex.h has none, on purpose.
using Again = std::recursive_mutex;         // tidy: allow(mutex)
using AgainLock = std::scoped_lock<Again>;  // tidy: allow(mutex)
using AgainWait = std::unique_lock<Again>;  // tidy: allow(mutex)

// Waits up to two seconds for what has nothing to wait on, like a file of the agent.
bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 100; ++i) {
    if (holds()) return true;
    ::poll(nullptr, 0, 20);
  }
  return false;
}

// The cluster in memory for many threads; changes are delivered inside the call.
class LockedCluster final : public client::Client, public client::Cache {
  template <typename Work>
  auto locked(Work work) {
    AgainLock lock(mutex_);
    auto result = work();
    changed_.notify_all();
    return result;
  }

  Again mutex_;
  std::condition_variable_any changed_;
  client::FakeCluster cluster_;
  std::map<std::string, Handler> handlers_;

 public:
  using Object = Result<client::ObjectPtr>;
  using Resource = client::Resource;
  explicit LockedCluster(const Clock& clock) : cluster_(clock) {}

  Object get(const Resource& r, std::string_view ns, std::string_view name) override {
    return locked([&] { return cluster_.get(r, ns, name); });
  }
  Result<client::List> list(const Resource& r, std::string_view ns,
                            const api::Selector& s) override {
    return locked([&] { return cluster_.list(r, ns, s); });
  }
  Object create(const Resource& r, std::string_view ns, json::Value object) override {
    return locked([&] { return cluster_.create(r, ns, object); });
  }
  Object create_subresource(const Resource& r, std::string_view ns, std::string_view name,
                            std::string_view sub, json::Value body) override {
    if (sub == "token") {
      return api::Object::parse(
          R"({"apiVersion":"v1","kind":"TokenRequest","metadata":{"name":"t","resourceVersion":"1"},"status":{"token":"t0k3n"}})");
    }
    return locked([&] { return cluster_.create_subresource(r, ns, name, sub, body); });
  }
  Object update(const Resource& r, std::string_view ns, std::string_view name, json::Value object,
                std::string_view sub) override {
    return locked([&] { return cluster_.update(r, ns, name, object, sub); });
  }
  Object patch(const Resource& r, std::string_view ns, std::string_view name,
               client::PatchType type, json::Value patch,
               const client::PatchOptions& options) override {
    return locked([&] { return cluster_.patch(r, ns, name, type, patch, options); });
  }
  Result<void> remove(const Resource& r, std::string_view ns, std::string_view name,
                      const client::DeleteOptions& options) override {
    return locked([&] { return cluster_.remove(r, ns, name, options); });
  }
  const client::Lister& lister(const Resource& r) override {
    AgainLock lock(mutex_);
    auto& wrapped = listers_[r.group_resource()];
    if (wrapped == nullptr) wrapped = std::make_unique<LockedLister>(mutex_, cluster_.lister(r));
    return *wrapped;
  }
  void subscribe(const Resource& r, Handler handler) override {
    AgainLock lock(mutex_);
    std::string name = r.group_resource();
    if (!handlers_.contains(name)) {
      cluster_.subscribe(r, [this, name](const client::Change& change) {
        if (handlers_[name]) handlers_[name](change);
      });
    }
    handlers_[name] = std::move(handler);
  }
  void unsubscribe_all() {
    AgainLock lock(mutex_);
    for (auto& [name, handler] : handlers_) handler = nullptr;
  }
  Result<void> start() override { return {}; }
  void stop() override {}

  client::ObjectPtr put(const Resource& r, std::string_view text) {
    AgainLock lock(mutex_);
    client::ObjectPtr object = cluster_.put(r, text);
    changed_.notify_all();
    return object;
  }
  // Waits until the pod's status satisfies `holds`; null after the patience has run out.
  client::ObjectPtr wait_pod(const std::string& name, const std::function<bool(json::Value)>& holds,
                             std::chrono::seconds patience = 20s) {
    AgainWait lock(mutex_);
    client::ObjectPtr found;
    bool held = changed_.wait_for(lock, patience, [&] {
      found = cluster_.lister(api::resource("pods")).find("default", name);
      if (found == nullptr) return holds({});
      json::Document document = found->document();
      return holds(document.root());
    });
    EXPECT_TRUE(held) << (found == nullptr ? "no pod" : found->json());
    return found;
  }

 private:
  class LockedLister final : public client::Lister {
   public:
    LockedLister(Again& mutex, const client::Lister& inner) : mutex_(mutex), inner_(inner) {}
    client::ObjectPtr find(std::string_view ns, std::string_view name) const override {
      AgainLock lock(mutex_);
      return inner_.find(ns, name);
    }
    std::vector<client::ObjectPtr> list(std::string_view ns) const override {
      AgainLock lock(mutex_);
      return inner_.list(ns);
    }
    std::vector<client::ObjectPtr> list_owned(std::string_view ns,
                                              std::string_view uid) const override {
      AgainLock lock(mutex_);
      return inner_.list_owned(ns, uid);
    }
    client::Revision revision() const override {
      AgainLock lock(mutex_);
      return inner_.revision();
    }

   private:
    Again& mutex_;
    const client::Lister& inner_;
  };
  std::map<std::string, std::unique_ptr<LockedLister>> listers_;
};

bool running(json::Value pod) { return pod["status"]["phase"].as_string() == "Running"; }
bool gone(json::Value pod) { return !pod; }

class AgentTest : public container::ContainerTest {
 protected:
  static void SetUpTestSuite() {
    container::ContainerTest::SetUpTestSuite();
    if (geteuid() != 0) return;
    network::PodNetworkOptions options;
    options.node_ip = test::kNodeIp;
    options.pod_cidr = "10.42.7.0/24";
    options.cluster_cidr = "10.42.0.0/16";
    options.service_cidr = "10.43.0.0/16";
    options.ledger_dir = folder_->path() + "/network";
    network_ = network::set_up_pod_network(options).value();
  }
  static void TearDownTestSuite() {
    network_.reset();
    container::ContainerTest::TearDownTestSuite();
  }
  void SetUp() override {
    container::ContainerTest::SetUp();
    if (IsSkipped()) return;
    cluster_ = std::make_unique<LockedCluster>(clock_);
    start();
  }
  void TearDown() override {
    if (agent_ == nullptr) return;
    stop();
    (void)Agent::remove_all_pods(folder_->path(), *driver_, network_.get()).ok();
    (void)driver_->cgroups().remove("/wherry-test-" + std::to_string(getpid())).ok();
  }
  void stop() {
    cluster_->unsubscribe_all();
    agent_.reset();
  }
  void start() {
    AgentOptions options;
    options.node_name = "n1";
    options.node_ip = test::kNodeIp;
    options.data_dir = folder_->path();
    options.cgroup_root = "/wherry-test-" + std::to_string(getpid());
    agent_ = std::make_unique<Agent>(
        options, AgentParts{*cluster_, *cluster_, *store_, *driver_, *network_, clock_});
    ASSERT_TRUE(agent_->start().ok());
  }
  void put_pod(const std::string& name, const std::string& spec) {
    cluster_->put(api::resource("pods"), R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" +
                                             name + R"(","namespace":"default","uid":"uid-)" +
                                             name + R"("},"spec":{"nodeName":"n1",)" + spec + "}}");
  }
  void remove_pod(const std::string& name, int64_t grace) {
    client::DeleteOptions options;
    options.grace_period_seconds = grace;
    ASSERT_TRUE(cluster_->remove(api::resource("pods"), "default", name, options).ok());
  }
  std::string logs(const std::string& name, const std::string& container,
                   const client::LogOptions& options = {}) {
    std::string out;
    Result<void> done = agent_->node_api().logs(
        {"default", name, "", container}, options,
        [&](std::string_view text) {
          out += text;
          return true;
        },
        [] { return false; });
    return done.ok() ? out : "error: " + done.error().message();
  }

  static inline std::unique_ptr<network::PodNetwork> network_;
  std::unique_ptr<LockedCluster> cluster_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentTest, APodRunsAndGoes) {
  put_pod("web",
          R"("containers":[{"name":"c","image":"busybox:test","imagePullPolicy":"IfNotPresent",
      "env":[{"name":"A","value":"x"},{"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}}],
      "command":["sh","-c","echo $(A) $IP; cat /etc/hosts | grep web; trap 'exit 3' TERM; while true; do sleep 0.1; done"]}])");
  client::ObjectPtr pod = cluster_->wait_pod("web", running);
  ASSERT_NE(pod, nullptr);
  json::Document document = pod->document();
  std::string ip(document.root()["status"]["podIP"].as_string());
  EXPECT_EQ(ip.substr(0, 8), "10.42.7.") << document.root().dump();
  EXPECT_EQ(logs("web", "c", {.tail_lines = 0}), "");
  std::string text;
  eventually([&] {
    text = logs("web", "c");
    return text.find("web\n") != std::string::npos;
  });
  EXPECT_EQ(text, "x " + ip + "\n" + ip + "\tweb\n");
  remove_pod("web", 10);
  EXPECT_EQ(cluster_->wait_pod("web", gone), nullptr);
  std::string left = folder_->path() + "/agent/pods/uid-web";
  EXPECT_TRUE(eventually([&] { return !os::exists(left); }));
}

TEST_F(AgentTest, ExecPortForwardAndRestart) {
  cluster_->put(
      api::resource("configmaps"),
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"default"},"data":{"k":"v1"}})");
  put_pod(
      "two",
      R"("terminationGracePeriodSeconds":1,"volumes":[{"name":"m","configMap":{"name":"m"}},{"name":"e","emptyDir":{}},{"name":"t","emptyDir":{"medium":"Memory"}},
        {"name":"p","projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}}],
      "containers":[{"name":"c","image":"busybox:test","imagePullPolicy":"IfNotPresent","command":["sleep","1000"],
        "volumeMounts":[{"name":"m","mountPath":"/m"},{"name":"e","mountPath":"/e"},{"name":"t","mountPath":"/t"},{"name":"p","mountPath":"/p"}]}])");
  ASSERT_NE(cluster_->wait_pod("two", running), nullptr);
  auto exec = [&](const std::string& script) {
    client::ExecOptions options;
    options.command = {"sh", "-c", script};
    auto session = agent_->node_api().exec({"default", "two", "", "c"}, options);
    if (!session.ok()) return "error: " + session.error().message();
    std::string out;
    char buffer[4096];
    while (true) {
      Result<bool> ready = os::wait_for((*session)->stdout_fd(), POLLIN, 5s);
      if (!ready.ok() || !*ready) return out + "<timeout>";
      ssize_t got = ::read((*session)->stdout_fd(), buffer, sizeof buffer);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) break;
      out.append(buffer, static_cast<size_t>(got));
    }
    (void)os::wait_for((*session)->exit_fd(), POLLIN, 5s).ok();
    return out + std::to_string((*session)->exit_code().value_or(-1));
  };
  EXPECT_EQ(exec("cat /m/k; echo; cat /p/token; exit 4"), "v1\nt0k3n4");
  EXPECT_EQ(exec("ls -ld /e /t | grep -c ^drwxrwxrwx"), "2\n0");
  EXPECT_EQ(exec("grep -c '/t tmpfs' /proc/mounts"), "1\n0");
  cluster_->put(
      api::resource("configmaps"),
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"default"},"data":{"k":"v2"}})");
  std::string seen;
  eventually([&] {
    seen = exec("cat /m/k");
    return seen == "v20";
  });
  EXPECT_EQ(seen, "v20");
  EXPECT_FALSE(agent_->node_api().dial({"default", "two", "", ""}, 81).ok());

  // A restarted agent finds the same container.
  stop();
  start();
  EXPECT_TRUE(eventually([&] { return exec("true") == "0"; }));
  EXPECT_EQ(exec("cat /proc/1/cmdline | tr '\\0' ' '"), "sleep 1000 0");
  client::ObjectPtr pod = cluster_->wait_pod("two", running);
  json::Document document = pod->document();
  EXPECT_EQ(document.root()["status"]["containerStatuses"].at(0)["restartCount"].as_int(), 0);
  remove_pod("two", 1);
  EXPECT_EQ(cluster_->wait_pod("two", gone), nullptr);
}

TEST_F(AgentTest, ProbesRestartsAndTerminationMessages) {
  put_pod(
      "job",
      R"("restartPolicy":"Never","containers":[{"name":"c","image":"busybox:test","imagePullPolicy":"IfNotPresent",
      "command":["sh","-c","echo done > /dev/termination-log; exit 5"]}])");
  client::ObjectPtr pod = cluster_->wait_pod(
      "job", [](json::Value v) { return v["status"]["phase"].as_string() == "Failed"; });
  json::Document document = pod->document();
  json::Value ended = document.root()["status"]["containerStatuses"].at(0)["state"]["terminated"];
  EXPECT_EQ(ended["exitCode"].as_int(), 5);
  EXPECT_EQ(ended["message"].as_string(), "done\n");
  put_pod(
      "live",
      R"("terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"busybox:test","imagePullPolicy":"IfNotPresent",
      "command":["sh","-c","touch /tmp/ok; sleep 1; rm -f /tmp/ok; sleep 1000"],
      "readinessProbe":{"exec":{"command":["cat","/tmp/ok"]},"periodSeconds":1},
      "livenessProbe":{"exec":{"command":["sh","-c","exit 1"]},"initialDelaySeconds":2,"periodSeconds":1,"failureThreshold":1}}])");
  EXPECT_NE(cluster_->wait_pod("live",
                               [](json::Value v) {
                                 return v["status"]["containerStatuses"].at(0)["ready"].as_bool();
                               }),
            nullptr);
  EXPECT_NE(cluster_->wait_pod(
                "live",
                [](json::Value v) {
                  return v["status"]["containerStatuses"].at(0)["restartCount"].as_int() > 0;
                }),
            nullptr);
}

}  // namespace
}  // namespace wherry::agent

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  std::unique_ptr<wherry::test::World> world;
  if (::geteuid() == 0) world = std::make_unique<wherry::test::World>();
  int code = RUN_ALL_TESTS();
  auto* unit = ::testing::UnitTest::GetInstance();
  std::printf("%d passed, %d failed, %d skipped\n", unit->successful_test_count(),
              unit->failed_test_count(), unit->skipped_test_count());
  return code;
}
