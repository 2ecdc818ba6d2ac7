#include "api/protobuf.h"

#include <gtest/gtest.h>

#include <random>

#include "api/decode.h"
#include "api/schema_apiextensions_v1.h"
#include "api/schema_core_v1.h"
#include "base/encoding.h"

namespace wherry::api {
namespace {

// Random JSON of a type, in the form that decoding gives it.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  json::Draft object(const Struct& type) {
    json::Draft draft;
    fill(type, draft.root(), 0);
    return draft;
  }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }

  void fill(const Struct& type, json::Node out, int depth) {
    for (const Field& field : type.fields) {
      if (field.name.empty() || field.name == "kind" || field.name == "apiVersion") continue;
      if (depth > 0 && pick(3) != 0) continue;
      put(field.type, out, field.name, depth);
    }
  }

  std::string text() {
    static constexpr std::string_view kTexts[] = {"",          "a",  "web", "caf\xc3\xa9",
                                                  "\"<&>\\\n", "x y"};
    return std::string(kTexts[pick(std::size(kTexts))]);
  }

  void put(const TypeRef& type, json::Node out, std::string_view key, int depth) {
    switch (type.kind) {
      case Kind::kString: return out.set(key, text());
      case Kind::kInt32: return out.set(key, int64_t{static_cast<int32_t>(random_())});
      case Kind::kInt64: return out.set(key, static_cast<int64_t>(random_()) << pick(31));
      case Kind::kBool: return out.set(key, pick(2) == 1);
      case Kind::kDouble: return out.set(key, pick(100) + 0.5);
      case Kind::kBytes: return out.set(key, base64_encode(text()));
      case Kind::kTime: return out.set(key, "2024-01-02T03:04:05Z");
      case Kind::kMicroTime: return out.set(key, "2024-01-02T03:04:05.000060Z");
      case Kind::kDuration: return out.set(key, "1m30s");
      case Kind::kQuantity: return out.set(key, pick(2) ? "1500m" : "2Gi");
      case Kind::kIntOrString:
        if (pick(2)) return out.set(key, "25%");
        return out.set(key, int64_t{pick(9) - 4});
      case Kind::kStruct:
        if (depth > 6) return;
        return fill(*type.structure, out.set_object(key), depth + 1);
      case Kind::kList: return put_list(type, out.set_array(key), depth);
      case Kind::kMap: {
        json::Node map = out.set_object(key);
        for (int i = pick(3); i > 0; --i)
          put(*type.element, map, "k" + std::to_string(i), depth + 1);
        return;
      }
      case Kind::kAny:
        if (type.structure != nullptr) return put(type.structure->fields[0].type, out, key, depth);
        [[fallthrough]];
      case Kind::kFieldsV1: return out.set_object(key).set("f:x", int64_t{pick(9)});
      case Kind::kVerbs: out.set_array(key).push("get"); return;
    }
  }

  void put_list(const TypeRef& type, json::Node list, int depth) {
    for (int i = pick(3); i > 0; --i) {
      json::Draft holder;
      put(*type.element, holder.root(), "v", depth + 1);
      if (json::Node made = holder.root()["v"]) list.push(made);
    }
  }

  std::mt19937 random_;
};

// A list or map that is empty and one that is absent are the same in protobuf.
std::string without_empty(json::Value value) {
  std::string out = value.dump();
  for (std::string_view empty : {"[]", "{}"}) {
    for (size_t at = 0; (at = out.find(empty, at)) != std::string::npos;)
      out.replace(at, 2, "null");
  }
  return out;
}

TEST(Protobuf, KeepsEveryType) {
  Generator generator(1);
  for (const Struct* type : all_structs()) {
    SCOPED_TRACE(type->definition);
    bool in_protobuf = !type->by_number.empty();
    for (const Field& field : type->fields) {
      if (field.number == 0 && type->name.starts_with("Table")) in_protobuf = false;
    }
    if (!in_protobuf || type->name.starts_with("JSONSchemaPropsOr")) continue;
    for (int round = 0; round < 5; ++round) {
      json::Document made = generator.object(*type).freeze();
      Result<json::Draft> canonical = decode(*type, made.root());
      ASSERT_TRUE(canonical.ok()) << canonical.error().message();
      json::Document before = canonical->freeze();
      std::string bytes = protobuf_encode(*type, before.root());
      Result<json::Draft> back = protobuf_decode(*type, bytes);
      ASSERT_TRUE(back.ok()) << back.error().message();
      json::Document after = back->freeze();
      ASSERT_EQ(without_empty(before.root()), without_empty(after.root()));
      EXPECT_EQ(protobuf_encode(*type, after.root()), bytes);
    }
  }
}

// The bytes upstream makes for this object.
TEST(Protobuf, WritesUpstreamsBytes) {
  json::Document port = json::Document::parse(R"({"containerPort":80,"protocol":"TCP"})").value();
  EXPECT_EQ(hex_encode(protobuf_encode(schema::core_v1::kContainerPort, port.root())),
            "0a00"        // name
            "1000"        // hostPort
            "1850"        // containerPort
            "2203544350"  // protocol
            "2a00");      // hostIP
}

TEST(Protobuf, WrapsAndUnwraps) {
  std::string body = protobuf_wrap("v1", "Pod", "raw");
  EXPECT_TRUE(body.starts_with(std::string_view("k8s\0", 4)));
  Result<ProtobufEnvelope> envelope = protobuf_unwrap(body);
  ASSERT_TRUE(envelope.ok());
  EXPECT_EQ(envelope->api_version, "v1");
  EXPECT_EQ(envelope->kind, "Pod");
  EXPECT_EQ(envelope->raw, "raw");
  EXPECT_FALSE(protobuf_unwrap("{}").ok());
}

TEST(Protobuf, MakesListsFromEncodedItems) {
  json::Document map =
      json::Document::parse(
          R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}})")
          .value();
  std::string item = protobuf_list_item(schema::core_v1::kConfigMap, map.root());
  json::Document meta = json::Document::parse(R"({"resourceVersion":"7"})").value();
  ProtobufListFrame frame =
      protobuf_list_frame("v1", "ConfigMapList", meta.root(), 2 * item.size());
  std::string body = frame.before + item + item + frame.after;
  Result<json::Draft> list = protobuf_decode_body(schema::core_v1::kConfigMapList, body);
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(
      list->dump(),
      R"({"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[)"
      R"({"metadata":{"name":"a"},"data":{"k":"v"}},{"metadata":{"name":"a"},"data":{"k":"v"}}]})");
}

TEST(Protobuf, FramesWatchEvents) {
  std::string frame = protobuf_watch_frame("ADDED", "body");
  EXPECT_EQ(hex_encode(frame),
            "0000000f"
            "0a054144444544"
            "1206"
            "0a04626f6479");
}

TEST(Protobuf, RefusesHostileBytes) {
  const Struct& pod = schema::core_v1::kPod;
  EXPECT_FALSE(protobuf_decode(pod, "\x0a\xff\xff\xff\xff\x0f").ok());  // Longer than the message.
  EXPECT_FALSE(protobuf_decode(pod, "\x0b").ok());                      // A group.
  EXPECT_FALSE(protobuf_decode(pod, "\x08\x01").ok());                  // A number for a message.
  EXPECT_FALSE(protobuf_decode(pod, std::string(12, '\xff')).ok());
  // Schemas that nest 100,000 deep.
  std::string deep;
  for (int i = 0; i < 100000; ++i) {
    if (deep.size() > 200000) break;
    std::string outer("\xe2\x01");  // Field 28, "not".
    size_t size = deep.size();
    do {
      outer += static_cast<char>((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
      size >>= 7;
    } while (size > 0);
    deep.insert(0, outer);
  }
  EXPECT_FALSE(protobuf_decode(schema::apiextensions_v1::kJSONSchemaProps, deep).ok());
}

TEST(Protobuf, RepairsTextThatIsNotUtf8) {
  Result<json::Draft> made =
      protobuf_decode(schema::core_v1::kLocalObjectReference, std::string_view("\x0a\x02\xff"
                                                                               "a"));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->dump(),
            "{\"name\":\"\xef\xbf\xbd"
            "a\"}");
}

}  // namespace
}  // namespace wherry::api
