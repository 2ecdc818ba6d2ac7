#include "api/object.h"

#include <gtest/gtest.h>

namespace wherry::api {
namespace {

ObjectPtr stored(std::string_view text, Revision revision) {
  json::Document document = json::Document::parse(text).value();
  return Object::stamp(unstamped(document.root()).value(), revision);
}

// The same as one that was read from its bytes.
void expect_sound(const ObjectPtr& object) {
  ObjectPtr read = Object::parse(object->json()).value();
  EXPECT_EQ(object->kind(), read->kind());
  EXPECT_EQ(object->api_version(), read->api_version());
  EXPECT_EQ(object->name(), read->name());
  EXPECT_EQ(object->ns(), read->ns());
  EXPECT_EQ(object->uid(), read->uid());
  EXPECT_EQ(object->revision(), read->revision());
  EXPECT_EQ(object->deleting(), read->deleting());
  EXPECT_EQ(object->owned(), read->owned());
  ASSERT_EQ(object->labels().size(), read->labels().size());
  for (size_t i = 0; i < object->labels().size(); ++i) {
    EXPECT_EQ(object->labels()[i].key, read->labels()[i].key);
    EXPECT_EQ(object->labels()[i].value, read->labels()[i].value);
  }
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

TEST(Object, IsStampedAgain) {
  ObjectPtr object = stored(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"n",
      "namespace":"a","uid":"u","creationTimestamp":null,"labels":{"a":"b","c":"","d/e":"f"},
      "annotations":{"labels":"\"labels\":{\"x\":\"y\"}"},"deletionTimestamp":"x"},
      "spec":{"labels":{"a":"z"}}})",
                            9);
  expect_sound(object);
  for (Revision revision : {Revision(10), Revision(1), Revision(INT64_MAX), Revision(12345)}) {
    object = Object::restamp(*object, revision);
    EXPECT_EQ(object->revision(), revision);
    expect_sound(object);
    EXPECT_EQ(object->label("d/e"), "f");
  }
  for (std::string_view text :
       {R"({"metadata":{"labels":{}}})", R"({"metadata":{"labels":null,"name":"n"}})",
        R"({"metadata":{"name":"n","ownerReferences":[]}})",
        R"({"metadata":{"ownerReferences":[{"uid":"u"}],"name":"n"},"ownerReferences":[]})",
        R"({"metadata":{},"spec":1})", R"({"kind":"K","metadata":{"name":"n","labels":{"a":"a"}}})",
        R"({"metadata":{"labels":{"a":"b"},"uid":"x"},"apiVersion":"v1"})"}) {
    expect_sound(stored(text, 77));
  }
}

TEST(Object, NeedsMetadata) {
  EXPECT_FALSE(Object::parse(R"({"kind":"Pod"})").ok());
  EXPECT_FALSE(Object::parse("{").ok());
  EXPECT_FALSE(unstamped(json::Value()).ok());
}

}  // namespace
}  // namespace wherry::api
