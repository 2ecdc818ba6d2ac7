#include "store/history.h"

#include <gtest/gtest.h>

namespace wherry::store {
namespace {

MonotonicTime at(int seconds) { return MonotonicTime(std::chrono::seconds(seconds)); }

EventPtr event(Revision revision, std::string_view resource, size_t bytes = 0) {
  std::string json = fmt::format(
      R"({{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"m","resourceVersion":"{}"}},"data":{{"d":"{}"}}}})",
      revision, std::string(bytes, 'd'));
  return std::make_shared<const Event>(Event{EventType::kAdded, revision, resource,
                                             api::Object::parse(std::move(json)).value(), nullptr});
}

std::vector<Revision> revisions(const std::vector<EventPtr>& events) {
  std::vector<Revision> out;
  for (const EventPtr& one : events) out.push_back(one->revision);
  return out;
}

TEST(History, TellsWhatCameAfterARevisionOfOneResource) {
  History history({std::chrono::minutes(5), 100, 1 << 20}, 7);
  history.append(event(8, "pods"), at(0));
  history.append(event(9, "nodes"), at(0));
  history.append(event(12, "pods"), at(1));
  EXPECT_EQ(history.trim(at(2)), 7);
  EXPECT_EQ(revisions(history.after("pods", 7)), (std::vector<Revision>{8, 12}));
  EXPECT_EQ(revisions(history.after("pods", 8)), (std::vector<Revision>{12}));
  EXPECT_EQ(revisions(history.after("", 8)), (std::vector<Revision>{9, 12}));
  EXPECT_TRUE(history.after("", 12).empty());
}

TEST(History, ForgetsByAge) {
  History history({std::chrono::seconds(300), 100, 1 << 20}, 0);
  history.append(event(1, "pods"), at(0));
  history.append(event(2, "pods"), at(200));
  EXPECT_EQ(history.trim(at(300)), 0);
  EXPECT_EQ(history.trim(at(301)), 1);
  EXPECT_EQ(history.trim(at(501)), 2);
  EXPECT_EQ(history.size(), 0U);
  EXPECT_EQ(history.trimmed_through(), 2);
}

TEST(History, ForgetsByNumber) {
  History history({std::chrono::minutes(5), 3, 1 << 20}, 0);
  for (Revision revision = 1; revision <= 10; ++revision) {
    history.append(event(revision, "pods"), at(0));
  }
  EXPECT_EQ(history.trim(at(0)), 7);
  EXPECT_EQ(revisions(history.after("pods", 7)), (std::vector<Revision>{8, 9, 10}));
}

TEST(History, ForgetsByBytes) {
  History history({std::chrono::minutes(5), 1000, 10'000}, 0);
  for (Revision revision = 1; revision <= 20; ++revision) {
    history.append(event(revision, "pods", 2'000), at(0));
    history.trim(at(0));
    EXPECT_LE(history.size(), 5U);
  }
  EXPECT_EQ(history.trimmed_through(), 16);
  // A single event over the limit goes too; those who need it list again.
  history.append(event(21, "pods", 20'000), at(0));
  EXPECT_EQ(history.trim(at(0)), 21);
}

}  // namespace
}  // namespace wherry::store
