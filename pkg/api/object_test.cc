#include "api/object.h"

#include <gtest/gtest.h>

namespace wherry::api {
namespace {

ObjectPtr stored(std::string_view text, Revision revision) {
  json::Document document = json::Document::parse(text).value();
  return Object::stamp(unstamped(document.root()).value(), revision).value();
}

TEST(Object, IsStampedWithItsRevision) {
  ObjectPtr object =
      stored(R"({"spec":{"a":1},"apiVersion":"v1","metadata":{"labels":{"app":"web"},"uid":"u-1",
      "resourceVersion":"3","namespace":"default","name":"web"},"kind":"Pod"})",
             17);
  EXPECT_EQ(
      object->json(),
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","uid":"u-1",)"
      R"("resourceVersion":"17","labels":{"app":"web"}},"spec":{"a":1}})");
  EXPECT_EQ(object->revision(), 17);
  EXPECT_EQ(object->kind(), "Pod");
  EXPECT_EQ(object->api_version(), "v1");
  EXPECT_EQ(object->name(), "web");
  EXPECT_EQ(object->ns(), "default");
  EXPECT_EQ(object->uid(), "u-1");
  EXPECT_FALSE(object->deleting());
}

TEST(Object, KnowsItsLabels) {
  ObjectPtr object = stored(R"({"metadata":{"name":"a","labels":{"a":"a","b":"","name":"a"},
      "deletionTimestamp":"2024-01-02T03:04:05Z"}})",
                            1);
  ASSERT_EQ(object->labels().size(), 3u);
  EXPECT_EQ(object->label("a"), "a");
  EXPECT_EQ(object->label("b"), "");
  EXPECT_EQ(object->label("name"), "a");
  EXPECT_EQ(object->label("none"), "");
  EXPECT_TRUE(object->deleting());
}

TEST(Object, IsNotFooledByContentThatLooksLikeMetadata) {
  ObjectPtr object = stored(R"({"metadata":{"annotations":{"x":"\"resourceVersion\":\"\"",
      "resourceVersion":""},"name":"n"},"data":{"name":"other","resourceVersion":"9"}})",
                            5);
  EXPECT_EQ(object->revision(), 5);
  EXPECT_EQ(object->name(), "n");
  json::Document document = object->document();
  EXPECT_EQ(document.root()["data"]["resourceVersion"].as_string(), "9");
  EXPECT_EQ(document.root()["metadata"]["resourceVersion"].as_string(), "5");
}

TEST(Object, SharesItsDocumentWhileHeld) {
  ObjectPtr object = stored(R"({"metadata":{"name":"n"}})", 5);
  json::Document first = object->document();
  EXPECT_EQ(object->document().root().raw(), first.root().raw());
}

TEST(Object, NeedsMetadata) {
  EXPECT_FALSE(Object::parse(R"({"kind":"Pod"})").ok());
  EXPECT_FALSE(Object::parse("{").ok());
  EXPECT_FALSE(unstamped(json::Value()).ok());
}

}  // namespace
}  // namespace wherry::api
