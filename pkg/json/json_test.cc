#include "json/json.h"

#include <gtest/gtest.h>

namespace wherry::json {
namespace {

TEST(Value, ReadsMembersAndItems) {
  Document document = Document::parse(R"({"a":[1,-2,2.5],"b":{"c":"x"},"n":null})").value();
  Value root = document.root();
  EXPECT_EQ(root["b"]["c"].as_string(), "x");
  EXPECT_EQ(root["missing"]["deep"].as_string("none"), "none");
  EXPECT_FALSE(root["missing"]);
  EXPECT_TRUE(root["n"].is_null());
  EXPECT_EQ(root["a"].at(1).as_int(), -2);
  EXPECT_EQ(root["a"].at(2).as_double(), 2.5);
  std::string keys;
  for (auto [key, value] : root.members()) keys += std::string(key) + ",";
  EXPECT_EQ(keys, "a,b,n,");
  int64_t sum = 0;
  for (Value item : root["a"].items()) sum += item.as_int();
  EXPECT_EQ(sum, 1);
}

TEST(Value, SaysWhereTextIsBroken) {
  auto result = Document::parse("{\"a\":");
  ASSERT_FALSE(result.ok());
  EXPECT_TRUE(result.error().is(Code::kBadRequest));
}

TEST(Value, NumberThatIsTooLargeIsNamed) {
  Result<Document> document = Document::parse(R"({"a":[1, -2.5e+999]})");
  ASSERT_FALSE(document.ok());
  EXPECT_EQ(document.error().message(),
            "json: cannot unmarshal number -2.5e+999 into Go value of type float64");
}

TEST(Draft, SetsReplacesAndRemoves) {
  Draft draft = Draft::parse(R"({"a":1,"b":2})").value();
  Node root = draft.root();
  root.set("a", "one");
  root.set("c", true);
  root.ensure_object("d").set("x", 1);
  root.ensure_array("e").push("y");
  EXPECT_TRUE(root.remove("b"));
  EXPECT_FALSE(root.remove("b"));
  EXPECT_EQ(draft.dump(), R"({"a":"one","c":true,"d":{"x":1},"e":["y"]})");
}

TEST(Draft, ReplacingKeepsTheMembersPlace) {
  Draft draft = Draft::parse(R"({"a":{"k":[1,2]},"b":2})").value();
  Draft other = Draft::parse(R"({"z":[7]})").value();
  draft.root().set("a", other.root());
  EXPECT_EQ(draft.dump(), R"({"a":{"z":[7]},"b":2})");
  draft.root()["a"].assign("text");
  EXPECT_EQ(draft.dump(), R"({"a":"text","b":2})");
  EXPECT_EQ(other.dump(), R"({"z":[7]})");
}

TEST(Draft, InsertsAndRemovesItems) {
  Draft draft = Draft::parse("[1,2,3]").value();
  draft.root().insert(1, draft.make_string("x"));
  draft.root().remove_at(0);
  EXPECT_EQ(draft.dump(), R"(["x",2,3])");
  std::string seen;
  for (Node item : draft.root().items()) seen += item.dump() + ";";
  EXPECT_EQ(seen, "\"x\";2;3;");
}

TEST(Draft, FreezesIntoAnEqualDocument) {
  Draft draft = Draft::parse(R"({"a":[{"b":null},"\u00e9\n"]})").value();
  Document frozen = draft.freeze();
  EXPECT_EQ(frozen.root().dump(), draft.dump());
  EXPECT_TRUE(equal(frozen.root(), Document::parse(draft.dump())->root()));
}

TEST(Quote, EscapesForJson) { EXPECT_EQ(quote("a\"\n"), "\"a\\\"\\n\""); }

}  // namespace
}  // namespace wherry::json
