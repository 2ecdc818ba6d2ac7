#include "store/tree.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace wherry::store {
namespace {

api::ObjectPtr object(const std::string& ns, const std::string& name) {
  return api::Object::parse(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":")" + name +
                            R"(","namespace":")" + ns + R"(","resourceVersion":"1"}})")
      .value();
}

std::string keys(const Tree& tree, std::string_view ns, std::string_view after_ns = "",
                 std::string_view after_name = "") {
  std::string out;
  tree.scan(ns, after_ns, after_name, [&out](const Entry& entry) {
    out += std::string(entry.object->ns()) + "/" + std::string(entry.object->name()) + " ";
    return true;
  });
  return out;
}

TEST(Tree, KeepsOldRootsAsTheyWere) {
  Tree one = Tree().put({object("a", "x"), 1});
  Tree two = one.put({object("a", "y"), 2});
  Tree three = two.erase("a", "x");
  EXPECT_EQ(keys(one, ""), "a/x ");
  EXPECT_EQ(keys(two, ""), "a/x a/y ");
  EXPECT_EQ(keys(three, ""), "a/y ");
  EXPECT_EQ(three.erase("a", "gone").size(), 1U);
}

TEST(Tree, OrdersByNamespaceSlashName) {
  Tree tree;
  for (const auto& [ns, name] :
       std::map<std::string, std::string>{{"a", "x"}, {"a-b", "x"}, {"b", "x"}}) {
    tree = tree.put({object(ns, name), 1});
  }
  EXPECT_EQ(keys(tree, ""), "a-b/x a/x b/x ");
  EXPECT_EQ(keys(tree, "a"), "a/x ");
  EXPECT_EQ(keys(tree, "", "a-b", "x"), "a/x b/x ");
}

void expect_same(const Tree& tree, const std::map<std::string, int64_t>& model) {
  ASSERT_EQ(tree.size(), model.size());
  auto expected = model.begin();
  tree.scan("ns", "", "", [&](const Entry& entry) {
    EXPECT_EQ(entry.object->name(), expected->first);
    EXPECT_EQ(entry.row, expected->second);
    ++expected;
    return true;
  });
  EXPECT_EQ(expected, model.end());
}

// Trees that are kept stay as they were while others that share nodes with them change.
TEST(Tree, ChangesInPlaceOnlyWhatNobodyElseHolds) {
  struct Kept {
    Tree tree;
    std::map<std::string, int64_t> model;
  };
  std::vector<Kept> kept;
  Kept now;
  uint32_t state = 11;
  for (int i = 0; i < 6000; ++i) {
    state = state * 1664525 + 1013904223;
    std::string name = "n" + std::to_string(state >> 8 & 511);
    if ((state >> 20 & 7) != 0) {
      now.tree = std::move(now.tree).put({object("ns", name), i});
      now.model[name] = i;
    } else {
      now.tree = now.tree.erase("ns", name);
      now.model.erase(name);
    }
    if (i % 100 == 50) kept.push_back(now);
    if (i % 700 == 699) now = kept[state % kept.size()];
    if (i % 900 == 899) kept.erase(kept.begin() + static_cast<int>(state % kept.size()));
  }
  expect_same(now.tree, now.model);
  for (const Kept& one : kept) expect_same(one.tree, one.model);
}

TEST(Tree, AgreesWithAnOrderedMapOverRandomChanges) {
  std::map<std::string, int64_t> model;
  Tree tree;
  uint32_t state = 7;
  for (int i = 0; i < 5000; ++i) {
    state = state * 1664525 + 1013904223;
    std::string name = "n" + std::to_string(state >> 8 & 255);
    if (state & 1) {
      tree = tree.put({object("ns", name), i});
      model[name] = i;
    } else {
      tree = tree.erase("ns", name);
      model.erase(name);
    }
  }
  expect_same(tree, model);
  std::string middle = std::next(model.begin(), static_cast<int>(model.size() / 2))->first;
  EXPECT_EQ(tree.count_after("ns", "ns", middle), model.size() - model.size() / 2 - 1);
}

TEST(Tree, CountsWhatAScanWouldVisit) {
  Tree tree;
  const std::string spaces[] = {"a", "a-b", "ab", "b", ""};
  uint32_t state = 11;
  for (int i = 0; i < 300; ++i) {
    state = state * 1664525 + 1013904223;
    tree = tree.put({object(spaces[state >> 16 & 3], "n" + std::to_string(state >> 8 & 63)), i});
  }
  for (const std::string& ns : spaces) {
    for (const std::string& after_ns : spaces) {
      for (const char* name : {"", "n1", "n20", "n2x", "z"}) {
        size_t visited = 0;
        tree.scan(ns, after_ns, name, [&visited](const Entry&) { return ++visited > 0; });
        EXPECT_EQ(tree.count_after(ns, after_ns, name), visited)
            << ns << " after " << after_ns << "/" << name;
      }
    }
  }
}

}  // namespace
}  // namespace wherry::store
