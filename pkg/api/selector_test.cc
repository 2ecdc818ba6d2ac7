#include "api/selector.h"

#include <gtest/gtest.h>

namespace wherry::api {
namespace {

json::Document parse(std::string_view text) { return json::Document::parse(text).value(); }

bool matches(std::string_view selector, std::string_view labels) {
  json::Document document = parse(labels);
  return Selector::parse(selector).value().matches_labels(document.root());
}

std::string fault(std::string_view text) {
  Result<Selector> parsed = Selector::parse(text);
  return parsed.ok() ? "" : parsed.error().message();
}

TEST(Selector, Matches) {
  constexpr const char* kLabels = R"({"a":"b","n":"5"})";
  for (const char* yes : {"", "a=b", "a==b", "a", "a in (x,b)", "a notin (x)", "!z", "z!=1", "n>4",
                          "n<6", "a=b,n=5", "z notin (b)"}) {
    EXPECT_TRUE(matches(yes, kLabels)) << yes;
  }
  for (const char* no :
       {"a=c", "z", "!a", "a!=b", "a in (x)", "n>5", "n<5", "a>1", "a=b,z=1", "a="}) {
    EXPECT_FALSE(matches(no, kLabels)) << no;
  }
}

TEST(Selector, SaysWhatIsWrong) {
  EXPECT_EQ(fault("="), "found '=', expected: !, identifier, or 'end of string'");
  EXPECT_EQ(fault("a in"), "unable to parse requirement: found '' expected: '('");
  EXPECT_EQ(fault("a in (b"), "unable to parse requirement: found '', expected: ',' or ')'");
  EXPECT_EQ(fault("a,"), "found '', expected: identifier after ','");
  EXPECT_EQ(fault("a b"),
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
  EXPECT_EQ(fault("a=b=c"), "found '=', expected: ',' or 'end of string'");
  EXPECT_EQ(
      fault("a>b"),
      "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the "
      "value must be an integer");
}

TEST(Selector, FromLabelSelector) {
  json::Document selector = parse(
      R"({"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"In","values":["e","d"]}]})");
  Selector made = Selector::from_label_selector(selector.root()).value();
  EXPECT_EQ(made.text(), "a=b,c in (d,e)");
  json::Document empty = parse("{}");
  EXPECT_TRUE(Selector::from_label_selector(empty.root()).value().everything());
  EXPECT_TRUE(Selector::from_label_selector({}).value().matches_nothing());
}

TEST(Selector, FromMap) {
  json::Document empty = parse("{}");
  EXPECT_TRUE(Selector::from_map(empty.root(), true).matches_nothing());
  EXPECT_TRUE(Selector::from_map(empty.root(), false).everything());
}

TEST(FieldSelector, Parses) {
  std::vector<FieldRequirement> made =
      parse_field_selector("metadata.name=x,status.phase!=Running,a==b\\,c").value();
  ASSERT_EQ(made.size(), 3u);
  EXPECT_EQ(made[0].path, "metadata.name");
  EXPECT_TRUE(made[0].equals);
  EXPECT_EQ(made[1].path, "status.phase");
  EXPECT_FALSE(made[1].equals);
  EXPECT_EQ(made[2].value, "b,c");
}

TEST(FieldSelector, SaysWhatIsWrong) {
  EXPECT_EQ(parse_field_selector("a").error().message(),
            "invalid selector: 'a'; can't understand 'a'");
  EXPECT_EQ(parse_field_selector("a=b\\x").error().message(),
            "invalid field selector: invalid escape sequence: \\x");
  EXPECT_EQ(parse_field_selector("a=b=c").error().message(),
            "invalid field selector: unescaped character in value: 61");
}

}  // namespace
}  // namespace wherry::api
