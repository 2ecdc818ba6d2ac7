#include "dns/zone.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "client/fake_cluster.h"
#include "dns/server.h"

namespace wherry::dns {
namespace {

class ZoneTest : public testing::Test {
 protected:
  void SetUp() override {
    const api::Resource& services = api::resource("services");
    cluster_.put(api::resource("namespaces"), "metadata: {name: default}");
    cluster_.put(services,
                 "{metadata: {name: web, namespace: default}, spec: {clusterIP: 10.43.0.9, ports: "
                 "[{name: http, port: 80, protocol: TCP}]}}");
    cluster_.put(services,
                 "{metadata: {name: db, namespace: default}, spec: {clusterIP: None, ports: "
                 "[{name: sql, port: 5432}]}}");
    cluster_.put(services,
                 "{metadata: {name: out, namespace: default}, spec: {type: ExternalName, "
                 "externalName: example.org}}");
    cluster_.put(
        api::resource("endpointslices.discovery.k8s.io"),
        "{metadata: {name: db-1, namespace: default, labels: {kubernetes.io/service-name: db}}, "
        "endpoints: [{addresses: [10.42.0.5], hostname: db-0, conditions: {ready: true}}, "
        "{addresses: [10.42.0.6], conditions: {ready: true}}, "
        "{addresses: [10.42.0.7], conditions: {ready: false}}], ports: [{name: sql, port: 5432, "
        "protocol: TCP}]}");
  }
  // "code: data data ..." with addresses as text, or "forward".
  std::string ask(const std::string& name, uint16_t type = kTypeA) {
    std::optional<Answer> answer = zone_.answer({name, type, 1});
    if (!answer) return "forward";
    std::string out = std::to_string(answer->code) + ":";
    for (const Record& record : answer->answers) {
      if (record.type == kTypeA) {
        char text[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, record.data.data(), text, sizeof text);
        out += std::string(" ") + text;
      } else {
        out += " type" + std::to_string(record.type);
      }
    }
    return out;
  }
  FakeClock clock_;
  client::FakeCluster cluster_{clock_};
  Zone zone_{cluster_, "cluster.local"};
};

TEST_F(ZoneTest, ServicesByTheirAddress) {
  EXPECT_EQ(ask("web.default.svc.cluster.local"), "0: 10.43.0.9");
  EXPECT_EQ(ask("WEB.default.svc.Cluster.Local"), "0: 10.43.0.9");
  EXPECT_EQ(ask("web.default.svc.cluster.local", kTypeAaaa), "0:");
  EXPECT_EQ(ask("nope.default.svc.cluster.local"), "3:");
  EXPECT_EQ(ask("example.org"), "forward");
}

TEST_F(ZoneTest, HeadlessServicesByTheirReadyEndpoints) {
  EXPECT_EQ(ask("db.default.svc.cluster.local"), "0: 10.42.0.5 10.42.0.6");
  EXPECT_EQ(ask("db-0.db.default.svc.cluster.local"), "0: 10.42.0.5");
  EXPECT_EQ(ask("10-42-0-6.db.default.svc.cluster.local"), "0: 10.42.0.6");
  EXPECT_EQ(ask("db-9.db.default.svc.cluster.local"), "3:");
}

TEST_F(ZoneTest, PortsAliasesAndReverseNames) {
  EXPECT_EQ(ask("_http._tcp.web.default.svc.cluster.local", kTypeSrv), "0: type33");
  EXPECT_EQ(ask("_sql._tcp.db.default.svc.cluster.local", kTypeSrv), "0: type33 type33");
  EXPECT_EQ(ask("_nope._tcp.web.default.svc.cluster.local", kTypeSrv), "3:");
  EXPECT_EQ(ask("out.default.svc.cluster.local"), "0: type5");
  EXPECT_EQ(ask("9.0.43.10.in-addr.arpa", kTypePtr), "0: type12");
  EXPECT_EQ(ask("5.0.42.10.in-addr.arpa", kTypePtr), "0: type12");
  EXPECT_EQ(ask("1.1.1.1.in-addr.arpa", kTypePtr), "forward");
  EXPECT_EQ(ask("10-42-0-9.default.pod.cluster.local"), "0: 10.42.0.9");
}

std::string query_bytes(std::string_view name, uint16_t type) {
  std::string out("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  out += name_data(name);
  out += static_cast<char>(type >> 8);
  out += static_cast<char>(type & 255);
  return out + std::string("\x00\x01", 2);
}

TEST(Message, QueriesAreReadAndAnswersWritten) {
  std::optional<Query> query = parse_query(query_bytes("a.example", kTypeA));
  ASSERT_TRUE(query);
  EXPECT_EQ(query->question.name, "a.example");
  Answer answer;
  answer.answers.push_back({"a.example", kTypeA, 5, a_data("192.0.2.1")});
  std::string bytes = render(*query, answer, true);
  EXPECT_EQ(bytes.substr(0, 2), "\x12\x34");
  EXPECT_EQ(bytes.substr(bytes.size() - 4), a_data("192.0.2.1"));
}

TEST(Message, LongAnswersAreCutOverUdpOnly) {
  Query query = *parse_query(query_bytes("a.example", kTypeA));
  Answer answer;
  for (int i = 0; i < 100; ++i)
    answer.answers.push_back({"a.example", kTypeA, 5, a_data("192.0.2.1")});
  EXPECT_LE(render(query, answer, true).size(), 512U);
  EXPECT_GT(render(query, answer, false).size(), 2000U);
}

TEST(Message, RubbishIsRefused) {
  EXPECT_FALSE(parse_query("short"));
  std::string query = query_bytes("a.example", kTypeA);
  for (size_t cut = 0; cut < query.size(); ++cut) EXPECT_FALSE(parse_query(query.substr(0, cut)));
  std::string pointer = query;
  pointer[12] = '\xc0';
  EXPECT_FALSE(parse_query(pointer));
}

TEST(ResolvConf, NameServersAreFound) {
  EXPECT_EQ(
      parse_resolv_conf(
          "# x\nsearch a b\nnameserver 192.0.2.53\nnameserver ::1\n nameserver\t192.0.2.54\n"),
      (std::vector<std::string>{"192.0.2.53", "192.0.2.54"}));
}

}  // namespace
}  // namespace wherry::dns
