// The Service proxy as a whole: cache notices in, connections through the kernel out.

#include <cstdlib>
#include <map>

#include "network/host_rules.h"
#include "proxy/proxy.h"
#include "testbed.h"

namespace wherry {
namespace {

using test::Client;
using test::exchange;
using test::Pod;
using test::Server;
using test::start_pod;

std::unique_ptr<test::World> world;

// Listers over maps; put and remove tell the subscribers at once, as a cache's dispatcher would.
class FakeCache final : public client::Cache {
 public:
  const client::Lister& lister(const api::Resource& resource) override { return table(resource); }
  void subscribe(const api::Resource& resource, Handler handler) override {
    table(resource).handlers.push_back(std::move(handler));
  }
  Result<void> start() override { return {}; }
  void stop() override {}

  void put(const char* resource, const std::string& json) {
    Table& in = table(api::resource(resource));
    api::ObjectPtr object = api::Object::parse(json).value();
    api::ObjectPtr before;
    {
      MutexLock lock(in.mutex);
      api::ObjectPtr& slot = in.objects[{std::string(object->ns()), std::string(object->name())}];
      before = slot;
      slot = object;
    }
    for (const Handler& handler : in.handlers) handler({in.resource, before, object, 1});
  }
  void remove(const char* resource, const char* name) {
    Table& in = table(api::resource(resource));
    api::ObjectPtr before;
    {
      MutexLock lock(in.mutex);
      auto node = in.objects.extract({"default", name});
      before = node.mapped();
    }
    for (const Handler& handler : in.handlers) handler({in.resource, before, nullptr, 2});
  }

 private:
  struct Table final : client::Lister {
    client::ObjectPtr find(std::string_view ns, std::string_view name) const override {
      MutexLock lock(mutex);
      auto at = objects.find({std::string(ns), std::string(name)});
      return at == objects.end() ? nullptr : at->second;
    }
    std::vector<client::ObjectPtr> list(std::string_view) const override { return {}; }
    std::vector<client::ObjectPtr> list_owned(std::string_view, std::string_view) const override {
      return {};
    }
    client::Revision revision() const override { return 1; }

    const api::Resource* resource = nullptr;
    std::vector<Handler> handlers;
    mutable Mutex mutex;
    std::map<std::pair<std::string, std::string>, client::ObjectPtr> objects GUARDED_BY(mutex);
  };
  Table& table(const api::Resource& resource) {
    Table& found = tables_[&resource];
    found.resource = &resource;
    return found;
  }
  std::map<const api::Resource*, Table> tables_;
};

std::string service(const char* address) {
  return fmt::format(R"({{"apiVersion":"v1","kind":"Service","metadata":{{"name":"web",)"
                     R"("namespace":"default","uid":"u","resourceVersion":"1"}},"spec":)"
                     R"({{"clusterIP":"{}","ports":[{{"port":80}}]}}}})",
                     address);
}

std::string slice(const char* name, const std::string& address) {
  return fmt::format(
      R"({{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":)"
      R"({{"name":"{}","namespace":"default","uid":"u","resourceVersion":"1","labels":)"
      R"({{"kubernetes.io/service-name":"web"}}}},"addressType":"IPv4","ports":)"
      R"([{{"port":8080}}],"endpoints":[{{"addresses":["{}"]}}]}})",
      name, address);
}

class ProxyTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/proxy_test.XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    network_ = network::set_up_pod_network({.node_ip = test::kNodeIp,
                                            .pod_cidr = "10.42.0.0/24",
                                            .cluster_cidr = "10.42.0.0/16",
                                            .service_cidr = "10.43.0.0/16",
                                            .ledger_dir = dir_ + "/network",
                                            .mtu = 0})
                   .value();
    a_ = start_pod(*network_, "a");
    b_ = start_pod(*network_, "b");
    proxy_ = make_proxy();
    cache_.put("services", service("10.43.0.7"));
    cache_.put("endpointslices.discovery.k8s.io", slice("web-1", b_.ip));
    proxy_->start().value();
  }
  void TearDown() override {
    proxy_.reset();
    network_.reset();
    ASSERT_TRUE(network::tear_down_pod_network(dir_ + "/network").ok());
    ASSERT_TRUE(os::remove_tree(dir_).ok());
  }
  std::unique_ptr<proxy::Proxy> make_proxy() {
    return std::make_unique<proxy::Proxy>(proxy::ProxyOptions{.node_name = "n1",
                                                              .node_ip = test::kNodeIp,
                                                              .pod_cidr = "10.42.0.0/24",
                                                              .cluster_cidr = "10.42.0.0/16",
                                                              .service_cidr = "10.43.0.0/16"},
                                          cache_);
  }
  // The proxy works on a thread of its own: tries until the answer is as wanted, or for a second.
  int reach(const char* address, int wanted) {
    int got = -1;
    for (int i = 0; i < 50 && got != wanted; ++i) {
      if (i > 0) ::poll(nullptr, 0, 20);
      got = Client(a_.fd(), SOCK_STREAM).reach(address, 80);
    }
    return got;
  }

  std::string dir_;
  FakeCache cache_;
  std::unique_ptr<network::PodNetwork> network_;
  std::unique_ptr<proxy::Proxy> proxy_;
  Pod a_, b_;
};

TEST_F(ProxyTest, FollowsServicesAndSlices) {
  Server b(b_.fd(), SOCK_STREAM, 8080);
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, "10.43.0.7", 80, b), a_.ip);  // From the start.

  cache_.remove("endpointslices.discovery.k8s.io", "web-1");
  EXPECT_EQ(reach("10.43.0.7", ECONNREFUSED), ECONNREFUSED);
  cache_.put("endpointslices.discovery.k8s.io", slice("web-2", b_.ip));
  EXPECT_EQ(reach("10.43.0.7", 0), 0);
  cache_.put("services", service("10.43.0.8"));
  EXPECT_EQ(reach("10.43.0.8", 0), 0);
  EXPECT_EQ(reach("10.43.0.7", ECONNREFUSED), ECONNREFUSED);
  cache_.remove("services", "web");
  EXPECT_EQ(reach("10.43.0.8", ECONNREFUSED), ECONNREFUSED);
}

TEST_F(ProxyTest, PutsFlushedRulesBack) {
  Server b(b_.fd(), SOCK_STREAM, 8080);
  auto nft = os::NetlinkSocket::open(NETLINK_NETFILTER).value();
  network::NftTransaction flush{std::string(network::kServiceTable)};
  flush.delete_table();
  ASSERT_TRUE(flush.commit(nft, "flush").ok());
  EXPECT_EQ(reach("10.43.0.7", 0), 0);
}

TEST_F(ProxyTest, ServicesGoOnWhileItIsAway) {
  Server b(b_.fd(), SOCK_STREAM, 8080);
  proxy_.reset();
  EXPECT_EQ(exchange(a_.fd(), SOCK_STREAM, "10.43.0.7", 80, b), a_.ip);
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) { return wherry::test::run_as_root(argc, argv, wherry::world); }
