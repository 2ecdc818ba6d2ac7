#include "apiserver/empties.h"

#include <gtest/gtest.h>

namespace wherry::apiserver {
namespace {

TEST(Empties, AreFoundAnywhere) {
  auto has = [](std::string_view text) {
    return has_empties(json::Document::parse(text).value().root());
  };
  EXPECT_TRUE(has(R"({"a": []})"));
  EXPECT_TRUE(has(R"({"a": [{"b": {}}]})"));
  EXPECT_FALSE(has(R"({"a": [{"b": ""}], "c": null})"));
}

TEST(Empties, ComeBackWhereTheyWereLost) {
  json::Document object =
      json::Document::parse(R"({"a": [{"n": "x"}], "b": {"c": 1, "d": null}, "e": ["y"]})").value();
  json::Document sent =
      json::Document::parse(
          R"({"a": [{"n": "x", "l": []}], "b": {"d": [], "m": {}}, "e": [], "f": 1})")
          .value();
  EXPECT_EQ(with_empties(object.root(), sent.root()).root().dump(),
            R"({"a":[{"n":"x","l":[]}],"b":{"c":1,"d":[],"m":{}},"e":["y"]})");
}

}  // namespace
}  // namespace wherry::apiserver
