#include "json/yaml.h"

#include <gtest/gtest.h>

namespace wherry::json {
namespace {

std::string to_json(std::string_view yaml) {
  Result<Document> document = parse_yaml(yaml);
  return document.ok() ? document->root().dump() : "error: " + document.error().message();
}

TEST(Yaml, BlockAndFlow) {
  EXPECT_EQ(to_json("a: 1\nb:\n- x\n- {c: d, e: [1, 2]}\n"),
            R"({"a":1,"b":["x",{"c":"d","e":[1,2]}]})");
  EXPECT_EQ(to_json("{\"a\": [true, null]}"), R"({"a":[true,null]})");
  EXPECT_EQ(to_json(""), "null");
  EXPECT_EQ(to_json("# nothing\n"), "null");
  EXPECT_EQ(to_json("text: |\n  one\n  two\nfolded: >-\n  three\n  four\n"),
            R"({"folded":"three four","text":"one\ntwo\n"})");
}

TEST(Yaml, ScalarsAsKubernetesReadsThem) {
  const std::pair<const char*, const char*> cases[] = {
      {"yes", "true"},
      {"Off", "false"},
      {"y", "true"},
      {"TRUE", "true"},
      {"tRue", "\"tRue\""},
      {"~", "null"},
      {"Null", "null"},
      {"0644", "420"},
      {"0o17", "15"},
      {"0x1F", "31"},
      {"0b101", "5"},
      {"1_000", "1000"},
      {"-5", "-5"},
      {"+5", "5"},
      {"1.50", "1.5"},
      {"1e3", "1000"},
      {"1.0", "1"},
      {".5", "0.5"},
      {"-", "error"},
      {"1.2.3", "\"1.2.3\""},
      {"2024-01-02", "\"2024-01-02\""},
      {"12:30", "\"12:30\""},
      {"0x", "\"0x\""},
      {"\"yes\"", "\"yes\""},
      {"'1'", "\"1\""},
      {"!!str 1", "\"1\""},
      {"!!int \"7\"", "7"},
      {"18446744073709551615", "18446744073709551615"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"100m", "\"100m\""},
      {"1e", "\"1e\""},
      {"08", "8"},
      {"1Gi", "\"1Gi\""},
      {"1e400", "\"1e400\""},
      {"1e-400", "0"},
  };
  for (const auto& [yaml, json] : cases) {
    std::string got = to_json("v: " + std::string(yaml));
    if (std::string_view(json) == "error") continue;
    EXPECT_EQ(got, "{\"v\":" + std::string(json) + "}") << yaml;
  }
  EXPECT_EQ(to_json("v: .inf"), "error: json: unsupported value: +Inf");
  EXPECT_EQ(to_json("v: -.Inf"), "error: json: unsupported value: -Inf");
  EXPECT_EQ(to_json("v: .NaN"), "error: json: unsupported value: NaN");
}

TEST(Yaml, KeysBecomeStrings) {
  EXPECT_EQ(to_json("1: a\ntrue: b\n\"2\": c\n"), R"({"1":"a","2":"c","true":"b"})");
  EXPECT_EQ(to_json(".Inf: a\n1e400: b\n"), R"({".inf":"a","1e400":"b"})");
  EXPECT_TRUE(to_json("{[a]: b}").starts_with("error: yaml: line 1: unsupported map key"));
  EXPECT_TRUE(to_json("~: b").starts_with("error: yaml: line 1: unsupported map key"));
}

TEST(Yaml, AnchorsAndMerges) {
  EXPECT_EQ(to_json("base: &b {x: 1, y1: 2}\nuse:\n  <<: *b\n  x: 3\nagain: *b\n"),
            R"({"again":{"x":1,"y1":2},"base":{"x":1,"y1":2},"use":{"x":3,"y1":2}})");
  EXPECT_EQ(to_json("a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc:\n  <<: [*a, *b]\n"),
            R"({"a":{"x":1},"b":{"x":2,"z":3},"c":{"x":1,"z":3}})");
  EXPECT_EQ(to_json("a:\n  <<: 3\n"),
            "error: yaml: map merge requires map or sequence of maps as the value");
}

TEST(Yaml, DuplicateKeysAreErrors) {
  EXPECT_EQ(to_json("a: 1\nb: 2\na: 3\n"),
            "error: yaml: unmarshal errors:\n  line 3: key \"a\" already set in map");
  EXPECT_EQ(to_json("a:\n  b: 1\n  b: 2\nc: 1\nc: 2\n"),
            "error: yaml: unmarshal errors:\n  line 5: key \"c\" already set in map\n"
            "  line 3: key \"b\" already set in map");
  EXPECT_EQ(to_json("1: a\n0x1: b\n"),
            "error: yaml: unmarshal errors:\n  line 2: key 1 already set in map");
  EXPECT_EQ(to_json("1: a\n\"1\": b\n"), R"({"1":"b"})");
}

TEST(Yaml, TheLastOfTwoCountsAndAliasesStay) {
  std::vector<std::string> repeated;
  Result<Document> document = parse_yaml("a: &x 1\nb: *x\na: 2\n", &repeated);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->root().dump(), R"({"a":2,"b":1})");
  EXPECT_EQ(repeated, std::vector<std::string>{"line 3: key \"a\" already set in map"});
}

TEST(Yaml, MalformedTextNamesTheLine) {
  // The first line's number is left out, as libyaml does.
  EXPECT_EQ(to_json("a: b: c"), "error: yaml: mapping values are not allowed in this context");
  EXPECT_TRUE(to_json("a: 1\n b: 2\n").starts_with("error: yaml: line 2: "));
  EXPECT_TRUE(to_json("a: [1, 2\n").starts_with("error: yaml: line "));
  EXPECT_EQ(to_json("a: *nowhere"), "error: yaml: unknown anchor 'nowhere' referenced");
  EXPECT_EQ(to_json("a: [b\n"), "error: yaml: line 1: did not find expected ',' or ']'");
}

// Each with what upstream says of it.
TEST(Yaml, MalformedTextIsRefusedInKnownWords) {
  const std::pair<const char*, const char*> cases[] = {
      {"a: \"open", "found unexpected end of stream"},
      {"x:\n  a: \"open\n", "line 3: found unexpected end of stream"},
      {"x:\n  a: 'open\n  ", "line 3: found unexpected end of stream"},
      {"x:\n  a: \"", "line 2: found unexpected end of stream"},
      {"x:\n  a: 'b''\n", "line 3: found unexpected end of stream"},
      {"x:\n  'a: b\n", "line 3: found unexpected end of stream"},
      {"x: {a: \"b}\n", "line 2: found unexpected end of stream"},
      {"x:\n  a: \"b\n---\nc\"\n", "line 3: found unexpected document indicator"},
      {"x:\n  a: \"b\"c\n", "line 1: did not find expected key"},
      {"a: b\n- c\n", "line 1: did not find expected key"},
      {"a: b\nc\n", "line 3: could not find expected ':'"},
      {"x:\n  a: |\n  text\n", "line 4: could not find expected ':'"},
      {"x:\n  a: |\n  text\n\n# c\ny: z\n", "line 5: could not find expected ':'"},
      {"x:\n  a: b\n\tc: d\n", "line 3: found a tab character that violates indentation"},
      {"x:\n  a: |\n\tb\n", "line 3: found a tab character where an indentation space is expected"},
      {"x:\n  a: \"\\z\"\n", "line 2: found unknown escape character"},
      {"x:\n  a: \"\\u12\"\n", "line 2: did not find expected hexdecimal number"},
      {"x:\n  a: \"\\ud800\"\n", "line 2: found invalid Unicode character escape code"},
      {"x:\n  a: & b\n", "line 2: did not find expected alphabetic or numeric character"},
      {"x:\n  a: &x.y b\n", "line 2: did not find expected alphabetic or numeric character"},
      {"x:\n  &x! a: b\n", "line 2: did not find expected alphabetic or numeric character"},
      {"x:\n  a: !y!z b\n", "line 1: found undefined tag handle"},
      {"x:\n  a: \"b\\/c\"\n", "line 2: found unknown escape character"},
      {"x: {a: b]\n", "did not find expected ',' or '}'"},
      {"x:\n  y: [a}\n", "line 1: did not find expected ',' or ']'"},
      {"x:\n  y: {a: b}}\n", "line 1: did not find expected key"},
      {"x:\n  y: [a,,b]\n", "line 1: did not find expected node content"},
      {"x:\n  y: {: b}\n", "line 1: did not find expected node content"},
      {": b\n", "did not find expected key"},
      {"]", "did not find expected node content"},
      {"a: - b\n", "block sequence entries are not allowed in this context"},
      {"a: ? b\n", "mapping keys are not allowed in this context"},
      {"x:\n  a: |x\n    b\n", "line 2: did not find expected comment or line break"},
      {"x:\n  a: !!int b\n", "cannot decode !!str `b` as a !!int"},
      {"%YAML 1.2\n---\na: b\n", "found incompatible YAML document"},
      {"%YAML 1.1\n%YAML 1.1\n---\na: b\n", "line 1: found duplicate %YAML directive"},
      {"%YAML 1\n---\na: b\n", "did not find expected digit or '.' character"},
      {"%YAML 1.1\na: b\n", "line 1: did not find expected <document start>"},
      {"# c\n%FOO bar\n---\na: b\n", "line 2: found unknown directive name"},
      {"%\n---\na: b\n", "could not find expected directive name"},
      {"%TAG\n---\na: b\n", "did not find expected '!'"},
      {"a: b\xFF\n", "invalid leading UTF-8 octet"},
      {"a: b\xC3(\n", "invalid trailing UTF-8 octet"},
      {"a: b\xC3", "incomplete UTF-8 octet sequence"},
      {"a: b # \xC0\x80\n", "invalid length of a UTF-8 sequence"},
      {"a: b\xED\xA0\x80\n", "invalid Unicode character"},
      {"a: \"b\x01\"\n", "control characters are not allowed"},
      {"a: b\xC2\x80\n", "control characters are not allowed"},
  };
  for (const auto& [yaml, words] : cases)
    EXPECT_EQ(to_json(yaml), "error: yaml: " + std::string(words)) << yaml;
  EXPECT_EQ(to_json(std::string_view("a: b\0", 5)),
            "error: yaml: control characters are not allowed");
}

TEST(Yaml, TextThatOnlyLooksMalformed) {
  EXPECT_EQ(to_json("%YAML 1.1 # c\n---\na: b\n"), R"({"a":"b"})");
  EXPECT_EQ(to_json("a: |\n  echo \"x\""), R"({"a":"echo \"x\""})");
  EXPECT_EQ(to_json("a: |"), R"({"a":""})");
  EXPECT_EQ(to_json("a: \"b\\\\/c\"\nd: '\\/'\n"), R"({"a":"b\\/c","d":"\\/"})");
  EXPECT_EQ(to_json("%TAG !y! tag:yaml.org,2002:\n---\na: !y!str 1\n"), R"({"a":"1"})");
  EXPECT_EQ(to_json("a: &x-1_b b\nc: [*x-1_b, &y\n d]\ne: !z f\n"),
            R"({"a":"b","c":["b","d"],"e":"f"})");
  EXPECT_EQ(to_json("a: \"b\"  \n\n  "), R"({"a":"b"})");
  EXPECT_EQ(to_json("a: |+\n  b\n\n"), R"({"a":"b\n\n"})");
  EXPECT_EQ(to_json("a: b\rc: \"d\re\"\r"), R"({"a":"b","c":"d e"})");
  EXPECT_EQ(to_json("a: \"\\N\\_\"\n"), "{\"a\":\"\xC2\x85\xC2\xA0\"}");
  EXPECT_EQ(to_json("\xEF\xBB\xBF"
                    "a: [b, c,]\nd: {e, f: }\ng:\n? h\n"),
            R"({"a":["b","c"],"d":{"e":null,"f":null},"g":null,"h":null})");
}

TEST(Yaml, BombsAndCyclesAreRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 1; j < 10; ++j) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_EQ(to_json(bomb), "error: yaml: document contains excessive aliasing");
  EXPECT_TRUE(to_json("a: &a [*a]").starts_with("error: yaml: "));
  EXPECT_TRUE(to_json("a: &a\n  <<: *a\n").starts_with("error: yaml: "));
  EXPECT_TRUE(to_json(std::string(100'000, '[')).starts_with("error: yaml: "));
}

TEST(Yaml, StreamsLeaveEmptyDocumentsOut) {
  Result<std::vector<Document>> all = parse_yaml_stream("---\na: 1\n---\n# none\n---\nb: 2\n...\n");
  ASSERT_TRUE(all.ok()) << all.error().message();
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ((*all)[1].root().dump(), R"({"b":2})");
  EXPECT_FALSE(parse_yaml_stream("a: 1\n---\nb: [\n").ok());
}

TEST(Yaml, EmitsWhatItReads) {
  std::string_view yaml =
      "apiVersion: v1\ndata:\n  empty: \"\"\n  flag: \"yes\"\n  number: \"0644\"\n  path: /etc/x\n"
      "  port: \"12:30\"\n  script: |\n    #!/bin/sh\n\n    echo hi\n  tail: |-\n    a\n    b\n"
      "items:\n- a: 1\n  b:\n  - x\n  - z\n- []\n- {}\n- - 1\n  - 2\nnothing: null\nwide: 'a: b'\n";
  Result<Document> document = parse_yaml(yaml);
  ASSERT_TRUE(document.ok()) << document.error().message();
  EXPECT_EQ(to_yaml(document->root()), yaml);
}

// As upstream writes them.
TEST(Yaml, EscapesWhatCannotBeShown) {
  Draft draft;
  draft.root().set("bell", "a\a\x1b\x01\x7f\"\\/");
  draft.root().set("emoji",
                   "a\xF0\x9F\x98\x80"
                   "b\n");
  draft.root().set("long",
                   "x\x01 word word word word word word word word word word word word word "
                   "word word  word");
  draft.root().set("marks", "\xEF\xBB\xBF\xC2\x85\xE2\x80\xA8\xEF\xBF\xBF");
  draft.root().set("tab", "a\tb\nc\n");
  EXPECT_EQ(to_yaml(draft.freeze().root()),
            "bell: \"a\\a\\e\\x01\\x7F\\\"\\\\/\"\n"
            "emoji: \"a\\U0001F600b\\n\"\n"
            "long: \"x\\x01 word word word word word word word word word word word word word word\n"
            "  word  word\"\n"
            "marks: \"\\uFEFF\\N\\L\\uFFFF\"\n"
            "tab: \"a\\tb\\nc\\n\"\n");
}

TEST(Yaml, AKeyStaysOnItsLine) {
  Draft draft;
  draft.root().set(std::string(100, 'a') + " b\tc d", "e");
  Document before = draft.freeze();
  Result<Document> after = parse_yaml(to_yaml(before.root()));
  ASSERT_TRUE(after.ok()) << after.error().message();
  EXPECT_EQ(after->root().dump(), before.root().dump());
}

TEST(Yaml, Utf16IsRead) {
  EXPECT_EQ(to_json(std::string_view("\xFF\xFE"
                                     "a\0:\0 \0\x3D\xD8\x00\xDE\n\0",
                                     14)),
            "{\"a\":\"\xF0\x9F\x98\x80\"}");
  EXPECT_EQ(to_json(std::string_view("\xFE\xFF\0a\0:\0 \0b", 10)), R"({"a":"b"})");
  EXPECT_EQ(to_json(std::string_view("\xFE\xFF\0a\0", 5)),
            "error: yaml: incomplete UTF-16 character");
  EXPECT_EQ(to_json(std::string_view("\xFE\xFF\xDC\x00", 4)),
            "error: yaml: unexpected low surrogate area");
}

TEST(Yaml, EveryStringSurvives) {
  for (std::string_view text : {"",
                                " ",
                                "a ",
                                " a",
                                "-",
                                "- a",
                                "--- a",
                                "a: b",
                                "a:",
                                "a #b",
                                "#a",
                                "null",
                                "~",
                                "on",
                                "1",
                                "1.5",
                                "0x1f",
                                "2024-01-02",
                                "it's",
                                "\"q\"",
                                "tab\there",
                                "bell\a",
                                "a\nb",
                                "a\nb\n",
                                "a\n\n",
                                "\na",
                                " a\nb",
                                "\n",
                                "a\r\nb",
                                "{a}",
                                "[a",
                                "*a",
                                "&a",
                                "!a",
                                "%a",
                                "@a",
                                "`a",
                                "a,b",
                                "\xc3\xa4\xe2\x82\xac",
                                "...",
                                "=",
                                "<<",
                                "a\n \nb",
                                "a\xC2\x85"
                                "b",
                                "a\xE2\x80\xA8 b\n c",
                                "\xEF\xBF\xBF",
                                "\xC2\x80\n",
                                "\xEF\xBB\xBF"
                                "a",
                                "a\x01  b",
                                "\xF0\x9F\x98\x80"}) {
    Draft draft;
    draft.root().set("k", text);
    Document before = draft.freeze();
    std::string yaml = to_yaml(before.root());
    Result<Document> after = parse_yaml(yaml);
    ASSERT_TRUE(after.ok()) << yaml << after.error().message();
    EXPECT_EQ(after->root().dump(), before.root().dump()) << yaml;
  }
}

}  // namespace
}  // namespace wherry::json
